{#
    A file outside of the warehouse would be outside of releases, and stay where it is when the run fails.
#}
{% materialization external, adapter='slipway', supported_languages=['sql', 'python'] %}
    {%- do exceptions.raise_compiler_error(
        model.name ~ ": materialized external is not published. Use table, and slipway sql --output parquet for a file."
    ) -%}
{% endmaterialization %}
