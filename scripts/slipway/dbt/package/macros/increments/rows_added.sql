{#
    A predicate for the rows that runs appended to an append-only table since this model last read it:
    `_run_id in (…)`, `false`, or `true` when everything has to be read. It is known from Iceberg's snapshots,
    not from a clock, so late and repeated files are found, and a rollback is too.
#}
{% macro rows_added(relation) %}
    {#- a unit test gives the rows that count, and `this` is no table in it; a table that is built whole reads everything -#}
    {%- if not execute or model.resource_type == 'unit_test' or not is_incremental() -%} {{ return('true') }} {%- endif -%}
    {%- set answer = {'this': this, 'unique_id': model.unique_id} -%}
    {%- do _slipway('rows_added', relation, answer) -%}
    {{ return(answer['predicate']) }}
{% endmacro %}
