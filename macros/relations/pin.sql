{#
    Make a relation of an environment readable as this run sees it; anything else is left alone.
#}
{% macro pin(relation) %}
    {%- if execute and relation is not none and relation.identifier is not none -%}
        {%- do connect_once() -%}
        {%- do slipway('pin', relation, {}) -%}
    {%- endif -%}
{% endmacro %}


{# `test`, `show` and `docs` reach the first ref before dbt opened its database. #}
{% macro connect_once() %}
    {%- do adapter.get_relation(none, none, none) if false -%}
    {%- do run_query('select 1') -%}
{% endmacro %}
