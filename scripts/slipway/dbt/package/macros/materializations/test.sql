{#
    dbt's data test; one that passed before with the same code on the same snapshots is carried, not run again.
#}
{% materialization test, adapter='slipway' %}
    {%- set settings = {'unique_id': model.unique_id, 'sql': sql} -%}
    {%- do _slipway('test_carried', this, settings) -%}
    {%- if settings['carried'] -%}
        {%- do store_result('main', response=settings['response'], agate_table=settings['result']) -%}
        {{ return({'relations': []}) }}
    {%- endif -%}
    {%- do _slipway('check_query', this, {'unique_id': model.unique_id, 'sql': compiled_code}) -%}
    {{ return(dbt.materialization_test_default()) }}
{% endmaterialization %}
