{#
    A seed is read in dbt's own dialect (scripts/slipway/dbt/seeds.py), put into the in-memory database, then
    written like any table. dbt's guess of types is taken for columns that column_types does not name.
#}
{% materialization seed, adapter='slipway' %}
    {%- set settings = _slipway_settings('replace') -%}
    {%- set agate_table = load_agate_table() -%}
    {%- do store_result('agate_table', response='OK', agate_table=agate_table) -%}
    {%- call _slipway_materialize(settings) -%}
        {%- do adapter.create_schema(this) -%}
        {%- do _slipway_load_seed(settings, agate_table) -%}
    {%- endcall -%}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmaterialization %}


{% macro _slipway_load_seed(settings, agate_table) %}
    {%- set guessed = [] -%}
    {%- for name in agate_table.column_names -%}
        {%- do guessed.append(adapter.convert_type(agate_table, loop.index0)) -%}
    {%- endfor -%}
    {%- set loaded = this.incorporate(path={'identifier': 'seed_' ~ model.alias}) -%}
    {%- do settings.update({
        'path': adapter.get_seed_file_path(model),
        'delimiter': config.get('delimiter', ','),
        'column_types': config.get('column_types', {}),
        'guessed': guessed,
        'loaded': loaded.render(),
    }) -%}
    {%- do _slipway('load_seed', this, settings) -%}
    {%- do _slipway_write(settings, 'from ' ~ loaded) -%}
    {%- call statement('drop_loaded') -%} drop table {{ loaded }} {%- endcall -%}
{% endmacro %}
