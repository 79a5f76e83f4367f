{#
    The order of invoice lines in time as one comparable value: by instant, then by where the line stands
    (file, line), then by its key, so that no two lines are equal. "Before", "first" and "latest" mean this
    order everywhere.
#}
{% macro line_position() -%}
    row(invoiced_at, _source_file, _source_line, invoice_line_id)
{%- endmacro %}
