{#
    What a monitor finds, as a query with a row for each finding: `business_date` and `problem`. It is judged while the test is compiled, by
    scripts/slipway/dbt/monitored.py, because what it compares with is history and a clock.
#}
{% macro _slipway_monitor(kind, relation, arguments) %}
    {%- if not execute or flags.INTROSPECT is sameas false -%}
        {{ return('select null::date as business_date, null::varchar as problem where false') }}
    {%- endif -%}
    {%- set answer = {'unique_id': model.unique_id, 'kind': kind, 'relation': relation | string, 'arguments': arguments} -%}
    {%- do _slipway_connect() -%}
    {%- do _slipway('monitor', api.Relation.create(database=target.database, schema='ops', identifier='monitor'), answer) -%}
    {%- if answer['says'] -%} {%- do log(model.name ~ ': ' ~ answer['says'], info=true) -%} {%- endif -%}
    {{ return(answer['sql']) }}
{% endmacro %}
