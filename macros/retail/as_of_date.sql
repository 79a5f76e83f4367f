{#
  The last local date that a model looks at, as a SQL expression. The var `as_of` names it, as a date or as a timestamp of which
  the date counts (ISO text); events of the whole day count. Without the var it is the date of the latest event in the relation.
#}
{% macro as_of_date(relation) -%}
    {%- set as_of = var('as_of', none) -%}
    {%- if as_of is none -%}
        (select max(revenue_date) from {{ relation }})
    {%- else -%}
        {%- set day = (as_of | string)[:10] -%}
        {%- if not modules.re.fullmatch('\d{4}-\d{2}-\d{2}([T ].*)?', as_of | string) -%}
            {{ exceptions.raise_compiler_error("var as_of is '" ~ as_of ~ "', which is no ISO date: give it as '2011-08-31'") }}
        {%- endif -%}
        date '{{ day }}'
    {%- endif -%}
{%- endmacro %}
