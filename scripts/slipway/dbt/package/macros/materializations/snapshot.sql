{#
    dbt's SCD2 snapshot: dbt's own staging query says which versions are new and which end. Ended versions are deleted
    and inserted again with their end: only among the current ones, because a row that comes back unchanged has the
    dbt_scd_id that it had before. Prefer strategy timestamp: with check, validity begins when the run happens.
#}
{% materialization snapshot, adapter='slipway' %}
    {%- set exists = _slipway_has_table(this) -%}
    {%- set strategy = strategy_dispatch(config.get('strategy'))(model, 'snapshotted_data', 'source_data', model['config'], exists) -%}
    {%- set columns = config.get('snapshot_table_column_names') or get_snapshot_table_column_names() -%}
    {%- set settings = _slipway_settings('delete+insert' if exists else 'replace') -%}
    {%- do settings.update({
        'unique_key': [columns.dbt_scd_id],
        'predicates': [_slipway_is_current(columns)],
        'on_schema_change': 'append_new_columns',
    }) -%}
    {%- call _slipway_materialize(settings) -%}
        {%- if not exists -%}
            {%- do _slipway_write(settings, build_snapshot_table(strategy, model['compiled_code'])) -%}
        {%- else -%}
            {%- do _slipway_pin(this) -%}
            {%- do adapter.assert_valid_snapshot_target_given_strategy(this, columns, strategy) -%}
            {%- do _slipway_write(settings, _slipway_snapshot_versions(strategy, columns)) -%}
        {%- endif -%}
    {%- endcall -%}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmaterialization %}


{# New versions as they are, and ended versions as stored with their new end. #}
{% macro _slipway_snapshot_versions(strategy, columns) %}
    {%- set staging -%} ({{ snapshot_staging_table(strategy, model['compiled_code'], this) }}) {%- endset -%}
    {%- set helpers = ['dbt_change_type'] -%}
    {%- if strategy.unique_key is string -%}
        {%- do helpers.append('dbt_unique_key') -%}
    {%- else -%}
        {%- for key in strategy.unique_key -%} {%- do helpers.append('dbt_unique_key_' ~ loop.index) -%} {%- endfor -%}
    {%- endif -%}
    with changes as materialized (select * from {{ staging }}),
    {#- one end for each version: a key that is there twice must not multiply what is stored #}
    ends as (
        select {{ columns.dbt_scd_id }}, min({{ columns.dbt_valid_to }}) as {{ columns.dbt_valid_to }}
        from changes
        where dbt_change_type in ('update', 'delete')
        group by {{ columns.dbt_scd_id }}
    ),
    ended as (
        select stored.* replace (changes.{{ columns.dbt_valid_to }} as {{ columns.dbt_valid_to }})
        from (select * from {{ this }} where {{ _slipway_is_current(columns) }}) as stored
        inner join ends as changes on stored.{{ columns.dbt_scd_id }} = changes.{{ columns.dbt_scd_id }}
    ),
    begun as (
        select * exclude ({{ helpers | join(', ') }})
        from changes where dbt_change_type = 'insert'
    )
    select * from ended
    union all by name
    select * from begun
{% endmacro %}


{# Whether a version has not ended. #}
{% macro _slipway_is_current(columns) %}
    {%- set never = config.get('dbt_valid_to_current') -%}
    {{ return(columns.dbt_valid_to ~ ' is null' ~ (' or ' ~ columns.dbt_valid_to ~ ' = ' ~ never if never else '')) }}
{% endmacro %}
