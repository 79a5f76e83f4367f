{#
    The first build, and one with --full-refresh, replaces the table; every other applies incremental_strategy.
    Default: merge with a unique_key, append without.
#}
{% materialization incremental, adapter='slipway', supported_languages=['sql', 'python'] %}
    {%- set strategy = iceberg_strategy() -%}
    {%- set settings = iceberg_settings(strategy) -%}
    {%- if not iceberg_unchanged(settings) -%}
        {{ run_hooks(pre_hooks) }}
        {%- if model.language == 'python' -%}
            {%- do _slipway('expect_python', this, settings) -%}
            {%- call statement('main', language='python') -%} {{ iceberg_python(settings) }} {%- endcall -%}
            {%- do _slipway('python_written', this, settings) -%}
        {%- else -%}
            {%- do iceberg_write(settings, compiled_code) -%}
            {%- if settings.get('rebuild') -%} {%- do iceberg_rebuild(settings) -%} {%- endif -%}
        {%- endif -%}
        {{ run_hooks(post_hooks) }}
    {%- endif -%}
    {%- do store_result('main', response=settings['response']) -%}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmaterialization %}


{% macro iceberg_strategy() %}
    {%- set strategy = config.get('incremental_strategy') or ('merge' if config.get('unique_key') or config.get('merge_on_using_columns') else 'append') -%}
    {%- if should_full_refresh() or not has_table(this) -%} {{ return('replace') }} {%- endif -%}
    {{ return(strategy) }}
{% endmacro %}


{#
    The strategy cannot bring the table to where a full build would: nothing was written, and the model is compiled once
    more as for its first build.
#}
{% macro iceberg_rebuild(settings) %}
    {%- do _slipway('rebuild', this, settings) -%}
    {%- do settings.update({'strategy': 'replace', 'sql': render(model.raw_code)}) -%}
    {%- do _slipway('with_ctes', this, settings) -%}
    {%- do iceberg_write(settings, settings.sql) -%}
{% endmacro %}
