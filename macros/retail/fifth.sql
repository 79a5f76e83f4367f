{#
    The fifth of all rows, 1 to 5, in which a row stands by the given order. Ranks, not row numbers: equals
    stay together.
#}
{% macro fifth(order_by) -%}
    cast(1 + (5 * (rank() over (order by {{ order_by }}) - 1)) // count(*) over () as integer)
{%- endmacro %}
