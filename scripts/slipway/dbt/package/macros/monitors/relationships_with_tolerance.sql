{#
    dbt's `relationships` with room for some rows: fails with the keys that are not in the other table when more than a share of the rows has one (`max_rate`,
    0.01 is one percent), or more than a number of rows (`max_rows`). Rows without a key do not count.
#}
{% test relationships_with_tolerance(model, column_name, to, field, max_rate=none, max_rows=none) %}
    {{ config(severity='warn') }}
    {%- if (max_rate is none) == (max_rows is none) -%}
        {%- do exceptions.raise_compiler_error("relationships_with_tolerance of " ~ column_name ~ " needs one limit. Write max_rate, a share of the rows, or max_rows.") -%}
    {%- endif %}

with

keys as (

    select {{ column_name }} as key_value, count(*) as row_count
    from {{ model }}
    where {{ column_name }} is not null
    group by {{ column_name }}

),

unknown_keys as (

    select keys.key_value, keys.row_count
    from keys
    where not exists (select 1 from {{ to }} as other where other.{{ field }} = keys.key_value)

)

select key_value, row_count
from unknown_keys
where
    (select cast(sum(row_count) as bigint) as row_count from unknown_keys) >
    {%- if max_rows is none %} {{ max_rate }} * (select cast(sum(row_count) as bigint) as row_count from keys)
    {%- else %} {{ max_rows }}
    {%- endif %}
{% endtest %}
