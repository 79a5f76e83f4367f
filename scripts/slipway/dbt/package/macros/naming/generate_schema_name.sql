{#
    The schema of a node is its layer, as it is configured, in every environment: environments are distinguished
    apart by database. Refuses a node that has no layer.
#}
{% macro slipway__generate_schema_name(custom_schema_name, node) -%}
    {%- if custom_schema_name -%} {{ custom_schema_name | trim }} {%- else -%} {{ target.schema }} {%- endif -%}
{%- endmacro %}
