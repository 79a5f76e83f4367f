{# on-run-start: land new files and begin the run. #}
{% macro on_run_begin() %}
    {%- if execute -%}
        {%- set answer = {} -%}
        {%- do run_query('select 1') -%}
        {%- do slipway('begin', api.Relation.create(database=target.database, schema='ops', identifier='run'), answer) -%}
        {%- for line in answer['messages'] -%} {%- do log(line, info=true) -%} {%- endfor -%}
    {%- endif -%}
{% endmacro %}


{# on-run-end: publish all that passed in one step, or nothing. #}
{% macro on_run_finish(results) %}
    {%- if execute -%}
        {%- set answer = {'results': results} -%}
        {%- do slipway('finish', api.Relation.create(database=target.database, schema='ops', identifier='run'), answer) -%}
        {%- for line in answer.get('messages', []) -%} {%- do log(line, info=true) -%} {%- endfor -%}
    {%- endif -%}
{% endmacro %}
