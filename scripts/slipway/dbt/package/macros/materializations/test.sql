{#
    dbt's data test; one that passed before with the same code on the same snapshots is carried, not run again. Spark counts the rows of a test of large
    tables, and dbt stores and judges what was found. If a test finds something and its query has a column `problem`, these sentences are reported.
#}
{% materialization test, adapter='slipway' %}
    {%- set settings = {'unique_id': model.unique_id, 'sql': sql} -%}
    {%- do _slipway('test_carried', this, settings) -%}
    {%- if settings['carried'] -%}
        {%- do store_result('main', response=settings['response'], agate_table=settings['result']) -%}
        {{ return({'relations': []}) }}
    {%- endif -%}
    {%- do _slipway('check_query', this, {'unique_id': model.unique_id, 'sql': compiled_code}) -%}
    {%- do settings.update({
        'limit': config.get('limit'),
        'stores': should_store_failures(),
        'counting': _slipway_counting('select * from __slipway_found'),
    }) -%}
    {%- do _slipway('test_on_spark', this, settings) -%}
    {%- set relations = [] -%}
    {%- if settings['counted'] -%}
        {%- call statement('main', fetch_result=True) -%} {{ settings['counted'] }} {%- endcall -%}
    {%- elif settings['rows'] -%}
        {%- set relations = _slipway_count_rows(get_limit_subquery_sql(settings['rows'], config.get('limit'))) -%}
    {%- else -%}
        {%- set relations = dbt.materialization_test_default().relations -%}
    {%- endif -%}
    {%- if load_result('main').table.rows[0][0] -%}
        {%- set found = {
            'unique_id': model.unique_id,
            'sql': 'select * from ' ~ relations[0] if relations else settings['rows'] or sql,
        } -%}
        {%- do _slipway('test_problems', this, found) -%}
        {%- for problem in found['says'] -%} {%- do log(model.name ~ ': ' ~ problem, info=true) -%} {%- endfor -%}
    {%- endif -%}
    {{ return({'relations': relations}) }}
{% endmaterialization %}


{# The query that dbt puts around the rows of a test. #}
{% macro _slipway_counting(rows) %}
    {{ return(get_test_sql(rows, config.get('fail_calc'), config.get('warn_if'), config.get('error_if'), limit=none)) }}
{% endmacro %}


{# Count rows that Spark has found as dbt does, stored where the test stores them. Returns the relations that were made. #}
{% macro _slipway_count_rows(rows) %}
    {%- set relations = [] -%}
    {%- if should_store_failures() -%}
        {%- set stored = api.Relation.create(identifier=model['alias'], schema=model['schema'], database=model['database'], type='table') -%}
        {%- set before = adapter.get_relation(database=stored.database, schema=stored.schema, identifier=stored.identifier) -%}
        {%- if before -%} {%- do adapter.drop_relation(before) -%} {%- endif -%}
        {%- call statement(auto_begin=True) -%} {{ get_create_sql(stored, rows) }} {%- endcall -%}
        {%- do relations.append(stored) -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
    {%- call statement('main', fetch_result=True) -%}
        {{ _slipway_counting('select * from ' ~ stored if relations else rows) }}
    {%- endcall -%}
    {{ return(relations) }}
{% endmacro %}
