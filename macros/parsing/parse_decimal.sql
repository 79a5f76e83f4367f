{#
    Trimmed text as DECIMAL(precision, scale), or NULL. The pattern is checked before the cast, because the
    cast by itself rounds ('2.55555' becomes 2.5556) and reads exponents. Zeros beyond the scale change nothing
    and are accepted.
#}
{% macro parse_decimal(column, precision, scale) -%}
    case
        when regexp_full_match({{ column }}, '[+-]?([0-9]+([.][0-9]{0,{{ scale }}}0*)?|[.][0-9]{1,{{ scale }}}0*)')
            then try_cast({{ column }} as decimal({{ precision }}, {{ scale }}))
    end
{%- endmacro %}
