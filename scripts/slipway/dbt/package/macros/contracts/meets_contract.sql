{#
    Fails for each rule of a table's contract that does not hold: metrics and queries of `quality`, `required`, `unique`, the primary key and `enum`.
    The rows that it returns say which rule, what was measured and what the contract says.

    Arguments: `contract`, id of the contract where it is not found by the table's name; `rules`, `error` or `warning`, the severity of those looked at.
#}
{% test meets_contract(model, contract=none, rules='error') %}
    {%- set name = contract or (model.schema ~ '.' ~ model.identifier) -%}
    {{ _slipway_contract_query('broken', name, model, rules) }}
{% endtest %}
