{#
    dbt's ref, and on use the table is pinned: every model of a run reads what the catalog named when the
    run began, or what the run itself staged.
#}
{% macro ref() %}
    {%- set relation = builtins.ref(*varargs, **kwargs) -%}
    {%- do pin(relation) -%}
    {%- do return(relation) -%}
{% endmacro %}
