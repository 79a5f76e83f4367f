{# as packages do it: a macro for each adapter, found by dispatch #}
{% macro cents_to_currency(column) %}
    {{ return(adapter.dispatch('cents_to_currency')(column)) }}
{% endmacro %}

{% macro default__cents_to_currency(column) %}
    ({{ column }} / 100)
{% endmacro %}

{% macro duckdb__cents_to_currency(column) %}
    cast({{ column }} / 100 as decimal(16, 2))
{% endmacro %}
