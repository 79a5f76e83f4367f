{{
    config(
        materialized='incremental',
        unique_key=['meter', 'read_on'],
        partitioned_by=['read_on'],
        sorted_by=['meter'],
    )
}}

select
    meter,
    cast(read_on as date) as read_on,
    cast(kwh as decimal(18, 3)) as kwh
from {{ ref('readings') }}
{%- if is_incremental() %}
where {{ rows_added(ref('readings')) }}
{%- endif %}
qualify row_number() over (partition by meter, read_on order by _landed_at desc, _source_file desc, _source_line desc) = 1
