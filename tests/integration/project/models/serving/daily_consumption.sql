{{
    config(
        materialized='incremental',
        incremental_strategy='insert_overwrite',
        partitioned_by=['read_on'],
        on_schema_change='append_new_columns',
    )
}}

select
    read_on,
    cast(count(*) as bigint) as meters,
    sum(kwh) * {{ var('kwh_factor') }} as wh
from {{ ref('consumption') }}
{%- if is_incremental() %}
where {{ partitions_changed(ref('consumption'), 'read_on') }}
{%- endif %}
group by read_on
