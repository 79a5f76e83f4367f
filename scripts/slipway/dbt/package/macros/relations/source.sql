{#
    dbt's source, pinned on use. The tables of source `landing` are the accepted files that raw does not hold yet.
#}
{% macro source() %}
    {%- set relation = builtins.source(*varargs) -%}
    {%- do _slipway_pin(relation) -%}
    {%- do return(relation) -%}
{% endmacro %}
