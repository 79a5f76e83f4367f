{# The first day of a date's month, as a DATE: plain truncation gives a timestamp. #}
{% macro month_of(expression) -%}
    cast(date_trunc('month', {{ expression }}) as date)
{%- endmacro %}
