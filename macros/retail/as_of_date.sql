{#
    The last local date that a model looks at, as a SQL expression; events of the whole day count. The var
    `as_of` names it as ISO text: a date, a local timestamp of which the date counts, or one with an offset,
    which is taken to the shop's time zone first. Without the var it is the date of the latest event in the
    relation.
#}
{% macro as_of_date(relation) -%}
    {%- set as_of = var('as_of', none) -%}
    {%- if as_of is none -%}
        (select max(dated.revenue_date) from {{ relation }} as dated)
    {%- elif modules.re.fullmatch('[0-9]{4}-[0-9]{2}-[0-9]{2}[T ].*(Z|[+-][0-9:]{2,6})', as_of | string) -%}
        cast(timezone('{{ var("shop_time_zone") }}', timestamptz '{{ as_of }}') as date)
    {%- elif modules.re.fullmatch('[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]+)?', as_of | string) -%}
        date '{{ (as_of | string)[:10] }}'
    {%- else -%}
        {{ exceptions.raise_compiler_error("var as_of is '" ~ as_of ~ "', which is no ISO date or timestamp: give it as '2011-08-31'") }}
    {%- endif -%}
{%- endmacro %}
