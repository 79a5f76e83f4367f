{#
    dbt's unit test; one that passed before as the same SQL with the same expected rows is carried, not run again. Its SQL is
    compiled by each run, so that everything that shapes it counts: model, macros, variables, fixtures, columns of its inputs.
#}
{% materialization unit, adapter='slipway' %}
    {%- set settings = {'unique_id': model.unique_id, 'sql': sql, 'config': model.config} -%}
    {%- do _slipway('unit_test_carried', this, settings) -%}
    {%- if settings['carried'] -%}
        {%- do store_result('main', response=settings['response'], agate_table=settings['result']) -%}
        {{ return({'relations': []}) }}
    {%- endif -%}
    {{ return(dbt.materialization_unit_default()) }}
{% endmaterialization %}
