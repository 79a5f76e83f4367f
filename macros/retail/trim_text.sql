{# Text without surrounding white space of any kind (non-breaking and other Unicode spaces too); NULL when nothing is left. #}
{% macro trim_text(column) -%}
    nullif(regexp_replace({{ column }}, '^[\s\p{Z}]+|[\s\p{Z}]+$', '', 'g'), '')
{%- endmacro %}
