{#
    dbt's SCD2 snapshot: dbt's own staging query says which versions are new, which end; they are merged by
    dbt_scd_id. Prefer strategy timestamp: with check, validity begins when the run happens.
#}
{% materialization snapshot, adapter='duckdb' %}
    {%- set exists = has_table(this) -%}
    {%- set strategy = strategy_dispatch(config.get('strategy'))(model, 'snapshotted_data', 'source_data', model['config'], exists) -%}
    {%- set columns = config.get('snapshot_table_column_names') or get_snapshot_table_column_names() -%}
    {%- set settings = iceberg_settings('merge' if exists else 'replace') -%}
    {%- do settings.update({'unique_key': [columns.dbt_scd_id]}) -%}
    {%- if not iceberg_unchanged(settings) -%}
        {{ run_hooks(pre_hooks) }}
        {%- if not exists -%}
            {%- do iceberg_write(settings, build_snapshot_table(strategy, model['compiled_code'])) -%}
        {%- else -%}
            {%- do pin(this) -%}
            {%- do iceberg_write(settings, _snapshot_versions(strategy, columns)) -%}
        {%- endif -%}
        {{ run_hooks(post_hooks) }}
    {%- endif -%}
    {%- do store_result('main', response=settings['response']) -%}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmaterialization %}


{# New versions as they are, and ended versions as stored with their new end. #}
{% macro _snapshot_versions(strategy, columns) %}
    {%- set staging -%} ({{ snapshot_staging_table(strategy, model['compiled_code'], this) }}) {%- endset -%}
    with changes as materialized (select * from {{ staging }}),
    ended as (
        select stored.* replace (changes.{{ columns.dbt_valid_to }} as {{ columns.dbt_valid_to }})
        from {{ this }} as stored
        inner join changes on stored.{{ columns.dbt_scd_id }} = changes.{{ columns.dbt_scd_id }}
        where changes.dbt_change_type in ('update', 'delete')
    ),
    begun as (
        select * exclude (dbt_change_type, dbt_unique_key)
        from changes where dbt_change_type = 'insert'
    )
    select * from ended
    union all by name
    select * from begun
{% endmacro %}
