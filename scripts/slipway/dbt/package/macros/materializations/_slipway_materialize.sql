{# What is around the body of a materialization: nothing is done for a node whose key is that of the published table. #}
{% macro _slipway_materialize(settings) %}
    {%- do _slipway('unchanged', this, settings) -%}
    {%- if settings.get('response') is none -%}
        {{ run_hooks(pre_hooks) }}
        {{ caller() }}
        {{ run_hooks(post_hooks) }}
    {%- endif -%}
    {%- do store_result('main', response=settings['response']) -%}
{% endmacro %}


{# Stage the model's result: of its query, or of what its Python function returns. #}
{% macro _slipway_build(settings) %}
    {%- if model.language == 'python' -%}
        {%- set code = _slipway_python(settings) -%}
        {%- do _slipway('expect_python', this, settings) -%}
        {%- do write(code) -%}
        {%- do adapter.run_python(model, code) -%}
        {%- do _slipway('python_written', this, settings) -%}
    {%- else -%}
        {%- do _slipway_write(settings, compiled_code) -%}
    {%- endif -%}
{% endmacro %}


{# Stage the result of a query. #}
{% macro _slipway_write(settings, sql) %}
    {%- do settings.update({'sql': sql}) -%}
    {%- do _slipway('write', this, settings) -%}
{% endmacro %}


{# The compiled Python model; what it returns is written by the plugin, in the same process. #}
{% macro _slipway_python(settings) %}
{{ compiled_code }}
{%- if engine() == 'spark' %}


_slipway_model = model


def model(dbt, session):
    from slipway.dbt import invocation

    return invocation.current.run_on_spark('{{ settings.python_call }}', _slipway_model, dbtObj)
{%- endif %}


def materialize(df, con):
    from slipway.dbt import invocation

    invocation.current.write_python('{{ settings.python_call }}', df, con)
{% endmacro %}
