{#
    The rows of a feed's raw table, typed as its contract says: a select statement with the properties by their names, the columns of lineage, `rule_id`
    and `reason` (NULL for a row that keeps all rules), `_row_key` and `_original`, a struct of the values as they landed; by `schemaContract`
    also `_extra` and `_discarded`. A column that raw does not have is NULL.

    Arguments: name of the feed; `relation`, where its raw table is not `ref(feed)`. Refuses a contract that does not say enough to type its columns.
#}
{% macro typed(feed, relation=none) %}
    {{ return(_slipway_contract_query('typed', feed, ref(feed) if relation is none else relation)) }}
{% endmacro %}


{% macro _slipway_contract_query(form, name, relation, severity='error') %}
    {%- if not execute -%} {{ return('select 1 as nothing') }} {%- endif -%}
    {%- set answer = {'form': form, 'name': name, 'relation': relation | string, 'severity': severity, 'unique_id': model.unique_id} -%}
    {%- do _slipway('contract_query', relation, answer) -%}
    {{ return(answer['sql']) }}
{% endmacro %}
