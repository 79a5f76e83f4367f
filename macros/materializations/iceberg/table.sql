{#
    A table is replaced as a whole by one Iceberg snapshot that nobody sees before it is published.
#}
{% materialization table, adapter='duckdb', supported_languages=['sql', 'python'] %}
    {%- set settings = iceberg_settings('replace') -%}
    {%- if not iceberg_unchanged(settings) -%}
        {{ run_hooks(pre_hooks) }}
        {%- if model.language == 'python' -%}
            {%- do slipway('expect_python', this, settings) -%}
            {%- call dbt.statement('main', language='python') -%} {{ iceberg_python(settings) }} {%- endcall -%}
            {%- do slipway('python_written', this, settings) -%}
        {%- else -%}
            {%- do iceberg_write(settings, compiled_code) -%}
        {%- endif -%}
        {{ run_hooks(post_hooks) }}
    {%- endif -%}
    {%- do store_result('main', response=settings['response']) -%}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmaterialization %}
