{#
    The schema of a node is its layer, as it is configured, in every environment: environments are distinguished
    by database. A run refuses a node that makes a table and has no layer (scripts/slipway/dbt/configuration.py).
#}
{% macro slipway__generate_schema_name(custom_schema_name, node) -%}
    {%- if custom_schema_name -%} {{ custom_schema_name | trim }} {%- else -%} {{ target.schema }} {%- endif -%}
{%- endmacro %}
