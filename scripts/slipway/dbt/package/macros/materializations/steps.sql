{# Whether the node's key is that of the published table: then nothing is read or written. #}
{% macro iceberg_unchanged(settings) %}
    {%- do _slipway('unchanged', this, settings) -%}
    {{ return(settings.get('response') is not none) }}
{% endmacro %}


{# Stage the result of a query. #}
{% macro iceberg_write(settings, sql) %}
    {%- do settings.update({'sql': sql}) -%}
    {%- do _slipway('write', this, settings) -%}
{% endmacro %}


{# The compiled Python model; what it returns is written by the plugin, in the same process. #}
{% macro iceberg_python(settings) %}
{{ compiled_code }}


def materialize(df, con):
    from slipway.dbt import plugin

    plugin.current().write_python('{{ settings.python_call }}', df, con)
{% endmacro %}
