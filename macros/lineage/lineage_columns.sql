{# Where a row came from: the columns that raw tables carry in addition to the values of the feed. #}
{% macro lineage_columns() %}
    {{ return(['_source_file', '_source_line', '_file_sha256', '_landed_at', '_run_id']) }}
{% endmacro %}
