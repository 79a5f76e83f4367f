{#
    The quintile of a row, 1 to 5, by the given order over all rows. It goes by rank, not by row number: equal
    rows are in one quintile.
#}
{% macro quintile(order_by) -%}
    cast(1 + (5 * (rank() over (order by {{ order_by }}) - 1)) // count(*) over () as integer)
{%- endmacro %}
