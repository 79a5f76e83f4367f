{#
    A key over text columns: md5 of the values, each preceded by its length, so that no two different rows
    share an encoding ('ab', 'c' and 'a', 'bc') and NULL ('~') differs from the empty text ('0:').
#}
{% macro row_key(columns) -%}
    md5(
        {%- for column in columns %}
        {{ '|| ' if not loop.first }}coalesce(length({{ column }}) || ':' || {{ column }}, '~')
        {%- endfor %}
    )
{%- endmacro %}
