{#
    dbt's ref, and on use the table is pinned: every model of a run reads what the catalog named when the
    run began, or what the run itself staged.
#}
{% macro ref() %}
    {%- set relation = _slipway_own(builtins.ref(*varargs, **kwargs)) -%}
    {%- do _slipway_pin(relation) -%}
    {%- do return(relation) -%}
{% endmacro %}


{# With --defer --favor-state, dbt retry leads to the other environment also for what the run has built before. #}
{% macro _slipway_own(relation) %}
    {%- if execute and flags.INTROSPECT is not sameas false and relation is not none and relation.identifier is not none and relation.database != target.database -%}
        {%- set answer = {} -%}
        {%- do _slipway_connect() -%}
        {%- do _slipway('staged', relation, answer) -%}
        {%- if answer.staged -%} {{ return(relation.incorporate(path={'database': target.database})) }} {%- endif -%}
    {%- endif -%}
    {{ return(relation) }}
{% endmacro %}
