{#
    Which engine computes the model: `duckdb` or `spark`. A unit test is computed by DuckDB whatever the engine of its model is. Refused in an ephemeral model,
    which is a part of the models that read it, of whichever engine they are. While the project is parsed, and under --no-introspect, nothing is chosen:
    `auto` counts as `duckdb` then.
#}
{% macro engine() %}
    {%- if model.resource_type == 'unit_test' -%}
        {{ return('duckdb') }}
    {%- elif config.get('materialized') == 'ephemeral' -%}
        {%- do exceptions.raise_compiler_error(
            model.name ~ ": an ephemeral model has no engine of its own, because it is a part of the models that read it. Call engine() in these."
        ) -%}
    {%- endif -%}
    {%- set asked = {'unique_id': model.unique_id, 'engine': config.get('engine') or 'duckdb'} -%}
    {%- if execute and model.resource_type == 'model' and flags.INTROSPECT is not sameas false -%}
        {%- do _slipway_connect() -%}
        {%- do _slipway('engine', this, asked) -%}
    {%- endif -%}
    {{ return('duckdb' if asked['engine'] == 'auto' else asked['engine']) }}
{% endmacro %}
