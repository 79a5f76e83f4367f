{% macro engine() %}
    {%- if target.type == 'duckdb' -%} 'duckdb' {%- else -%} 'another' {%- endif -%}
{% endmacro %}
