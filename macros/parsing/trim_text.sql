{#
    Text without surrounding white space of any kind (non-breaking and other Unicode spaces too); NULL when
    nothing is left.
#}
{% macro trim_text(column) -%}
    nullif(regexp_replace({{ column }}, '^[\s\x0b\x1c-\x1f\x{85}\p{Z}]+|[\s\x0b\x1c-\x1f\x{85}\p{Z}]+$', '', 'g'), '')
{%- endmacro %}
