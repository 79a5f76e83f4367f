{#
    A view is internal to a run: it stands in memory, is not published, and is gone when the run ends. Refused where a
    table of that name is published, because other runs would go on reading that.
#}
{% materialization view, adapter='slipway' %}
    {%- if _slipway_has_table(this) -%}
        {%- do exceptions.raise_compiler_error(
            model.name ~ ": " ~ this.schema ~ "." ~ this.identifier ~ " is published as a table, and a view is not published. "
            ~ "Use materialized='ephemeral' under another name, or keep the table."
        ) -%}
    {%- endif -%}
    {%- set settings = {'sql': compiled_code} -%}
    {%- do _slipway('has_columns_from_data', this, settings) -%}
    {%- if settings['has_columns_from_data'] -%} {{ return(_slipway_view_of_rows()) }} {%- endif -%}
    {%- do _slipway('check_query', this, {'unique_id': model.unique_id, 'sql': compiled_code, 'always': true}) -%}
    {{ return(dbt.materialization_view_default()) }}
{% endmaterialization %}


{# DuckDB makes no view of a PIVOT that takes its columns from the data: the rows of such a view are kept in memory. #}
{% macro _slipway_view_of_rows() %}
    {{ run_hooks(pre_hooks) }}
    {%- do adapter.create_schema(this) -%}
    {%- call statement('main') -%}
        {%- if config.get('contract').enforced -%} {{ get_assert_columns_equivalent(compiled_code) }} {%- endif -%}
        create or replace table {{ this }} as (
            {{ compiled_code }}
        )
    {%- endcall -%}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [this.incorporate(type='view')]}) }}
{% endmacro %}
