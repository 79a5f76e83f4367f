{# on-run-start: land new files and begin the run. #}
{% macro _slipway_begin() %}
    {%- if execute -%}
        {%- set answer = {} -%}
        {%- do run_query('select 1') -%}
        {%- do _slipway('begin', api.Relation.create(database=target.database, schema='ops', identifier='run'), answer) -%}
        {%- for line in answer['messages'] -%} {%- do log(line, info=true) -%} {%- endfor -%}
    {%- endif -%}
{% endmacro %}
