{#
    dbt's statement, for those of a node's own Jinja and of the macros that it calls while it is compiled: one that lists
    tables is refused, as in run_query. While a materialization runs, `sql` is what it runs; before, there is none.
#}
{% macro statement(name=None, fetch_result=False, auto_begin=True, language='sql') %}
    {%- if execute -%}
        {%- set code = caller() -%}
        {%- if language == 'sql' and name not in ('main', 'run_query_statement') and sql is none
            and model is defined and model.resource_type in ('model', 'snapshot', 'test', 'unit_test') -%}
            {%- do slipway('check_listings', this, {'name': model.name, 'sql': code, 'rendering': model.unique_id}) -%}
        {%- endif -%}
        {%- call dbt.statement(name, fetch_result, auto_begin, language) -%}{{ code }}{%- endcall -%}
    {%- endif -%}
{% endmacro %}
