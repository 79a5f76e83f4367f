{#
    The rows of a feed's raw table that break a rule of its contract: a select statement with the values as they landed, the columns of lineage,
    `rule_id`, `reason` and `_row_key`. With `typed(feed)` where `rule_id is null` they are all rows, each once; without those whose `quarantineRetention` is over.
#}
{% macro quarantined(feed, relation=none) %}
    {{ return(_slipway_contract_query('quarantined', feed, ref(feed) if relation is none else relation)) }}
{% endmacro %}
