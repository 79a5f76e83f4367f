{#
    A quotient as DECIMAL(38, places), rounded half away from zero. It is computed in whole numbers, because `/`
    divides in double, which cannot hold most decimals: the half in 31824.64875 would be lost.

    Arguments: a numerator that is an integer, or a DECIMAL with at most so many places; a denominator that is a
    positive integer; how many places the result has.
#}
{% macro rounded_quotient(numerator, denominator, places) -%}
    {%- set units = 'cast(' ~ numerator ~ ' * ' ~ 10 ** places ~ ' as hugeint)' -%}
    cast(
                (2 * {{ units }} + case when {{ units }} < 0 then -({{ denominator }}) else {{ denominator }} end)
                // (2 * {{ denominator }})
                as decimal(38, 0)
            ) * 0.{{ '0' * (places - 1) }}1
{%- endmacro %}
