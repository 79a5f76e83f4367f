{#
    The condition for rows that stay in quarantine: they landed within the `quarantineRetention` of the feed's contract, counted back from the var
    `as_of`, or from the newest row of raw; `true` if the contract states none. For a quarantine model that takes its rows from `typed(feed)`;
    `quarantined(feed)` has it. It comes before rows that repeat others are left out: a row may not go because one that has expired was equal to it.

    Arguments: name of the feed; `relation`, where its raw table is not `ref(feed)`.
#}
{% macro within_retention(feed, relation=none) %}
    {{ return(_slipway_contract_query('retained', feed, ref(feed) if relation is none else relation)) }}
{% endmacro %}
