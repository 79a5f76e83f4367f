{#
    When a feed last brought a file that was accepted, for a source's `loaded_at_query`: the ledger knows it also
    for files that no run has ingested yet.
#}
{% macro last_landed_at(feed) %}
    {%- set ledger = api.Relation.create(database=target.database, schema='ops', identifier='landed_files') -%}
    {%- do _slipway('pin', ledger, {}) if execute -%}
    select max(landed_at) from {{ ledger }} where feed = '{{ feed }}' and verdict = 'accepted'
{% endmacro %}
