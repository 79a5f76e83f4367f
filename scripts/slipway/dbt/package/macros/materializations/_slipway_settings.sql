{#
    What a materialization resolved from config, in one dict that goes to the plugin.
    Refuses configuration that would be ignored in silence.
#}
{% macro _slipway_settings(strategy) %}
    {%- set refused = [] -%}
    {%- for key in ['location', 'indexes', 'grants', 'sql_header'] -%}
        {%- if config.get(key) -%} {%- do refused.append(key) -%} {%- endif -%}
    {%- endfor -%}
    {%- if refused -%}
        {%- do exceptions.raise_compiler_error(
            model.name ~ ": " ~ refused | join(', ') ~ " has no effect on Iceberg tables here. Remove it."
        ) -%}
    {%- endif -%}
    {%- set batch = model.get('batch') -%}
    {{ return({
        'unique_id': model.unique_id,
        'python_call': model.unique_id ~ (' ' ~ batch.id if batch else ''),
        'batch': batch,
        'query': model.get('compiled_code') if model.language == 'sql' and model.resource_type != 'seed',
        'strategy': strategy,
        'unique_key': config.get('unique_key'),
        'partitioned_by': config.get('partitioned_by'),
        'sorted_by': config.get('sorted_by'),
        'on_schema_change': config.get('on_schema_change'),
        'table_properties': config.get('table_properties'),
        'full_refresh': should_full_refresh(),
    }) }}
{% endmacro %}
