{#
  A key over text columns: md5 of the values, each preceded by its length, so that no two different rows share an encoding
  ('ab', 'c' and 'a', 'bc') and NULL differs from the empty text.
#}
{% macro row_key(columns) -%}
    md5(concat(
        {%- for column in columns %}
        coalesce(concat(length({{ column }}), ':', {{ column }}), '~'){{ ',' if not loop.last }}
        {%- endfor %}
    ))
{%- endmacro %}
