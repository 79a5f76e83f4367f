{#
    dbt's data test; one that passed before with the same code on the same snapshots is carried, not run again. If a test finds something and its query has
    a column `problem`, these sentences are reported.
#}
{% materialization test, adapter='slipway' %}
    {%- set settings = {'unique_id': model.unique_id, 'sql': sql} -%}
    {%- do _slipway('test_carried', this, settings) -%}
    {%- if settings['carried'] -%}
        {%- do store_result('main', response=settings['response'], agate_table=settings['result']) -%}
        {{ return({'relations': []}) }}
    {%- endif -%}
    {%- do _slipway('check_query', this, {'unique_id': model.unique_id, 'sql': compiled_code}) -%}
    {%- set done = dbt.materialization_test_default() -%}
    {%- if load_result('main').table.rows[0][0] -%}
        {%- set found = {'unique_id': model.unique_id, 'sql': 'select * from ' ~ done.relations[0] if done.relations else sql} -%}
        {%- do _slipway('test_problems', this, found) -%}
        {%- for problem in found['says'] -%} {%- do log(model.name ~ ': ' ~ problem, info=true) -%} {%- endfor -%}
    {%- endif -%}
    {{ return(done) }}
{% endmaterialization %}
