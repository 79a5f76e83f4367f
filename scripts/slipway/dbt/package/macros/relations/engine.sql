{#
    Which engine computes the model: `duckdb` or `spark`. A unit test is computed by DuckDB whatever the engine of its model is. Refused in an ephemeral model,
    which is a part of the models that read it, of whichever engine they are.
#}
{% macro engine() %}
    {%- if model.resource_type != 'unit_test' and config.get('materialized') == 'ephemeral' -%}
        {%- do exceptions.raise_compiler_error(
            model.name ~ ": an ephemeral model has no engine of its own, because it is a part of the models that read it. Call engine() in these."
        ) -%}
    {%- endif -%}
    {{ return('duckdb' if model.resource_type == 'unit_test' else config.get('engine') or 'duckdb') }}
{% endmacro %}
