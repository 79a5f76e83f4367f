{#
    The first build, and one with --full-refresh, replaces the table; every other applies incremental_strategy.
    Default: merge with a unique_key, append without.
#}
{% materialization incremental, adapter='slipway', supported_languages=['sql', 'python'] %}
    {%- set settings = _slipway_settings(_slipway_strategy()) -%}
    {%- call _slipway_materialize(settings) -%}
        {%- do _slipway_build(settings) -%}
        {%- if settings.get('rebuild') -%} {%- do _slipway_rebuild(settings) -%} {%- endif -%}
    {%- endcall -%}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmaterialization %}


{% macro _slipway_strategy() %}
    {%- set strategy = config.get('incremental_strategy') or ('merge' if config.get('unique_key') or config.get('merge_on_using_columns') else 'append') -%}
    {%- if should_full_refresh() or not _slipway_has_table(this) -%} {{ return('replace') }} {%- endif -%}
    {{ return(strategy) }}
{% endmacro %}


{#
    The strategy cannot bring the table to where a full build would: nothing was written, and the model is compiled once
    more as for its first build.
#}
{% macro _slipway_rebuild(settings) %}
    {%- do _slipway('rebuild', this, settings) -%}
    {%- do settings.update({'strategy': 'replace', 'sql': render(model.raw_code)}) -%}
    {%- do _slipway('with_ctes', this, settings) -%}
    {%- do _slipway_write(settings, settings.sql) -%}
{% endmacro %}
