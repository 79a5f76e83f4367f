{#
    A table is replaced as a whole by one Iceberg snapshot that nobody sees before it is published.
#}
{% materialization table, adapter='slipway', supported_languages=['sql', 'python'] %}
    {%- set settings = _slipway_settings('replace') -%}
    {%- call _slipway_materialize(settings) -%} {%- do _slipway_build(settings) -%} {%- endcall -%}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmaterialization %}
