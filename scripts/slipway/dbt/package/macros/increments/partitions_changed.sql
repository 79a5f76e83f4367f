{#
    A predicate for the partitions of a table whose files changed since this model last read it:
    `column in (…)`, `false`, or `true` when everything has to be read. The table is partitioned by the column.
#}
{% macro partitions_changed(relation, column) %}
    {#- a unit test gives the rows that count, and `this` is no table in it; a table that is built whole reads everything -#}
    {%- if not execute or model.resource_type == 'unit_test' or not is_incremental() -%} {{ return('true') }} {%- endif -%}
    {%- set answer = {'this': this, 'unique_id': model.unique_id, 'column': column} -%}
    {%- do _slipway('partitions_changed', relation, answer) -%}
    {{ return(answer['predicate']) }}
{% endmacro %}
