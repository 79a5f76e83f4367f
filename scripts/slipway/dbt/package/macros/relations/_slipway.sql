{#
    One operation of the slipway plugin (scripts/slipway/dbt/plugin.py). `config` is filled in with its answer.
#}
{% macro _slipway(operation, relation, config) %}
    {%- do adapter.store_relation('slipway', relation, [], operation, 'iceberg', config) -%}
{% endmacro %}
