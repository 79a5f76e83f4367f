{#
    What dbt asks the adapter about relations is answered from the Iceberg catalog: the in-memory database
    holds only views, and only of what was used so far.
#}
{% macro slipway__list_relations_without_caching(schema_relation) %}
    {%- set answer = {} -%}
    {%- do run_query('select 1') -%}
    {%- do _slipway('list', schema_relation, answer) -%}
    {%- set found = [] -%}
    {%- for name in answer.get('names', []) -%}
        {%- do found.append((schema_relation.database, name, schema_relation.schema, 'table')) -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}


{% macro slipway__get_columns_in_relation(relation) -%}
    {#- the adapter runs this outside of a node, where `execute` is not set -#}
    {#- a unit test asks for its model's own columns before there is a table -#}
    {%- set answer = {'columns': true} -%}
    {%- if relation.database -%} {%- do _slipway('pin', relation, answer) -%} {%- endif -%}
    {%- set described = relation.render() if not relation.database else answer.columns or relation.render() -%}
    {% call statement('get_columns_in_relation', fetch_result=True) %}
        select
            column_name,
            column_type as data_type,
            cast(null as bigint) as character_maximum_length,
            cast(null as bigint) as numeric_precision,
            cast(null as bigint) as numeric_scale
        from (describe {{ described }})
    {% endcall %}
    {{ return(sql_convert_columns_in_relation(load_result('get_columns_in_relation').table)) }}
{% endmacro %}


{#
    dbt's question, answered from the catalog. `dbt show` is shown the model's whole result: the delta since the
    last run is nearly always empty. Under --no-introspect nothing can be asked.
#}
{% macro is_incremental() %}
    {%- if not execute -%} {%- do declare_increments() -%} {{ return(false) }} {%- endif -%}
    {%- if flags.WHICH == 'show' or flags.INTROSPECT is sameas false -%} {{ return(false) }} {%- endif -%}
    {%- set yes = model.config.materialized == 'incremental' and not should_full_refresh() and _slipway_has_table(this) -%}
    {%- if yes -%} {%- do _slipway_pin(this) -%} {%- endif -%}
    {{ return(yes) }}
{% endmacro %}


{% macro slipway__get_catalog_relations(information_schema, relations) -%}
    {%- set answer = {'relations': relations} -%}
    {%- do run_query('select 1') -%}
    {%- do _slipway('describe', (relations | list)[0], answer) -%}
    {{ return(run_query(answer['sql'])) }}
{%- endmacro %}


{% macro slipway__get_catalog(information_schema, schemas) -%}
    {%- set relations = [] -%}
    {%- for schema in schemas -%}
        {%- do relations.append(
            api.Relation.create(database=information_schema.database, schema=schema, identifier='any')
        ) -%}
    {%- endfor -%}
    {{ return(slipway__get_catalog_relations(information_schema, relations)) }}
{%- endmacro %}


{# Whether a node has a table to add to. In a scratch environment that is its own, not a published one it may read. #}
{% macro _slipway_has_table(relation) %}
    {%- set answer = {} -%}
    {%- do _slipway_connect() -%}
    {%- do _slipway('exists', relation, answer) -%}
    {{ return(answer['exists']) }}
{% endmacro %}


{# A landing source is as fresh as the last file that was accepted; its relation holds only what raw does not. #}
{% macro slipway__collect_freshness(source, loaded_at_field, filter) %}
    {%- set answer = {} -%}
    {%- do run_query('select 1') -%}
    {%- if source.schema != 'landing' -%}
        {%- do _slipway('pin', source, answer) -%}
        {{ return(default__collect_freshness(source, loaded_at_field, filter)) }}
    {%- endif -%}
    {%- do _slipway('landed_at', source, answer) -%}
    {%- set landed_at = "timestamptz '" ~ answer['landed_at'] ~ "'" if answer['landed_at'] else 'null::timestamptz' -%}
    {% call statement('collect_freshness', fetch_result=True, auto_begin=False) %}
        select {{ landed_at }} as max_loaded_at, {{ current_timestamp() }} as snapshotted_at
    {% endcall %}
    {{ return(load_result('collect_freshness')) }}
{% endmacro %}
