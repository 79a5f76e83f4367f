{# on-run-end: publish all that passed in one step, or nothing. #}
{% macro _slipway_finish(results) %}
    {%- if execute -%}
        {%- set answer = {'results': results} -%}
        {%- do _slipway('finish', api.Relation.create(database=target.database, schema='ops', identifier='run'), answer) -%}
        {%- for line in answer.get('messages', []) -%} {%- do log(line, info=true) -%} {%- endfor -%}
    {%- endif -%}
{% endmacro %}
