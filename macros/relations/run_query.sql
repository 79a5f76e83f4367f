{#
    dbt's run_query, for macros that a node calls while it is compiled. One that lists tables is refused: the in-memory
    database has only what this run has read so far. What it depends on (a file, a clock) counts for the node.
#}
{% macro run_query(sql) %}
    {%- if execute and model is defined and model.resource_type in ('model', 'snapshot', 'test', 'unit_test') -%}
        {%- do slipway('check_listings', this, {'name': model.name, 'sql': sql, 'rendering': model.unique_id}) -%}
    {%- endif -%}
    {{ return(dbt.run_query(sql)) }}
{% endmacro %}
