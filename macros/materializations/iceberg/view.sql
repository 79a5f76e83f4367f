{#
    A view is internal to a run: it stands in memory, is not published, and is gone when the run ends. Refused where a
    table of that name is published, because other runs would go on reading that.
#}
{% materialization view, adapter='duckdb' %}
    {%- if has_table(this) -%}
        {%- do exceptions.raise_compiler_error(
            model.name ~ ": " ~ this.schema ~ "." ~ this.identifier ~ " is published as a table, and a view is not published. "
            ~ "Use materialized='ephemeral' under another name, or keep the table."
        ) -%}
    {%- endif -%}
    {{ return(dbt.materialization_view_default()) }}
{% endmaterialization %}
