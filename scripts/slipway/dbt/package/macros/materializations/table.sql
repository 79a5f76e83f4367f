{#
    A table is replaced as a whole by one Iceberg snapshot that nobody sees before it is published.
#}
{% materialization table, adapter='slipway', supported_languages=['sql', 'python'] %}
    {%- set settings = iceberg_settings('replace') -%}
    {%- if not iceberg_unchanged(settings) -%}
        {{ run_hooks(pre_hooks) }}
        {%- if model.language == 'python' -%}
            {%- do _slipway('expect_python', this, settings) -%}
            {%- call statement('main', language='python') -%} {{ iceberg_python(settings) }} {%- endcall -%}
            {%- do _slipway('python_written', this, settings) -%}
        {%- else -%}
            {%- do iceberg_write(settings, compiled_code) -%}
        {%- endif -%}
        {{ run_hooks(post_hooks) }}
    {%- endif -%}
    {%- do store_result('main', response=settings['response']) -%}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmaterialization %}
