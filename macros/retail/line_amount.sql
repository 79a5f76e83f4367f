{#
    Quantity times price of an invoice line. Widened first: an integer times DECIMAL(18, 4) stays
    DECIMAL(18, 4) and overflows.
#}
{% macro line_amount() -%}
    quantity * cast(unit_price as decimal(38, 4))
{%- endmacro %}
