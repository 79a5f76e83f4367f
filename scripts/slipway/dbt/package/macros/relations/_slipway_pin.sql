{#
    Make a relation of an environment readable as this run sees it; anything else is left as it is, and nothing is
    done under --no-introspect, where dbt has no connection.
#}
{% macro _slipway_pin(relation) %}
    {%- if execute and flags.INTROSPECT is not sameas false and relation is not none and relation.identifier is not none -%}
        {%- do _slipway_connect() -%}
        {%- do _slipway('pin', relation, {}) -%}
    {%- endif -%}
{% endmacro %}


{#
    `test`, `show` and `docs` reach the first ref before dbt opened its database. The adapter asks DuckDB for its version
    to answer this, once per command, and a statement per ref would cost more than everything else about it.
#}
{% macro _slipway_connect() %}
    {%- do adapter.valid_incremental_strategies() -%}
{% endmacro %}
