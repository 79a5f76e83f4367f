{#
    Trimmed text as a whole number of the given type, or NULL. The pattern is checked before the cast,
    because the cast by itself rounds ('6.7' becomes 7). A fraction of zeros is accepted: exports write 12680 as
    '12680.0'.
#}
{% macro parse_integer(column, data_type) -%}
    case
        when regexp_full_match({{ column }}, '[+-]?[0-9]+([.]0*)?')
            then try_cast(regexp_extract({{ column }}, '^[+-]?[0-9]+') as {{ data_type }})
    end
{%- endmacro %}
