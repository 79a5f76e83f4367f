{#
    Of the rows of a CTE that share a key, the first one by file and line; in an incremental run
    only those that the table does not hold yet, or holds from a later file or line. So each key ends with
    the same row whatever the order and the batches in which files land, and a row sent again writes
    nothing.

    Arguments: name of the CTE; `keep`, the columns of the key (with the partition column first, so that
    only the partitions of the batch are looked at). Columns that can be NULL do not belong in `keep`.
#}
{% macro first_landed(checked, keep) -%}
    select {{ checked }}.*
    from {{ checked }}
    {%- if is_incremental() %}
    left join {{ this }} as stored
        on
            {%- for column in keep %}
            {{ 'and ' if not loop.first }}{{ checked }}.{{ column }} = stored.{{ column }}
            {%- endfor %}
    where
        stored.{{ keep[-1] }} is null
        or ({{ _position(checked) }}) < ({{ _position('stored') }})
    {%- endif %}
    qualify row_number() over (
        partition by {{ checked }}.{{ keep | join(', ' ~ checked ~ '.') }}
        order by {{ _position(checked) }}
    ) = 1
{%- endmacro %}

{# Two files can share a name, hence the checksum. #}
{% macro _position(relation) -%}
    {{ relation }}._source_file, {{ relation }}._source_line, {{ relation }}._file_sha256
{%- endmacro %}
