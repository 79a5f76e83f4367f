{#
    A seed is loaded by dbt's own macros into the in-memory database, then written like any table.
#}
{% materialization seed, adapter='duckdb' %}
    {%- set settings = iceberg_settings('replace') -%}
    {%- set agate_table = load_agate_table() -%}
    {%- do store_result('agate_table', response='OK', agate_table=agate_table) -%}
    {%- if not iceberg_unchanged(settings) -%}
        {{ run_hooks(pre_hooks) }}
        {%- do adapter.create_schema(this) -%}
        {%- call statement('drop_view') -%} drop view if exists {{ this }} {%- endcall -%}
        {%- do create_csv_table(model, agate_table) -%}
        {%- if agate_table.rows | length -%}
            {%- do _copy_seed() -%}
            {#- dbt loads in a transaction; the view that takes the table's name is made outside of it -#}
            {%- do adapter.commit() -%}
        {%- endif -%}
        {%- do iceberg_seed(settings) -%}
        {{ run_hooks(post_hooks) }}
    {%- endif -%}
    {%- do store_result('main', response=settings['response']) -%}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmaterialization %}


{# As dbt-duckdb does it, but for a path that may hold an apostrophe. #}
{% macro _copy_seed() %}
    {%- set path = adapter.get_seed_file_path(model) | replace("'", "''") -%}
    {%- set delimiter = config.get('delimiter', ',') | replace("'", "''") -%}
    {%- do adapter.add_query(
        "copy " ~ this ~ " from '" ~ path ~ "' (format csv, header true, delimiter '" ~ delimiter ~ "')", abridge_sql_log=True
    ) -%}
{% endmacro %}


{% macro iceberg_seed(settings) %}
    {%- set loaded = 'seed_' ~ model.alias -%}
    {%- call statement('name_loaded') -%} alter table {{ this }} rename to {{ adapter.quote(loaded) }} {%- endcall -%}
    {%- set relation = this.incorporate(path={'identifier': loaded}) -%}
    {%- do iceberg_write(settings, 'from ' ~ relation) -%}
    {%- call statement('drop_loaded') -%} drop table {{ relation }} {%- endcall -%}
{% endmacro %}
