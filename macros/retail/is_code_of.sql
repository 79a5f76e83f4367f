{#
    Whether a stock code is one of a table like non_product_codes: equal to a row's code, or starting with
    it where the row says so.
#}
{% macro is_code_of(stock_code, codes) -%}
    (
                {{ stock_code }} = {{ codes }}.stock_code
                or ({{ codes }}.is_prefix and starts_with({{ stock_code }}, {{ codes }}.stock_code))
            )
{%- endmacro %}
