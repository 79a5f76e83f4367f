{{
    config(
        materialized='incremental',
        incremental_strategy='insert_overwrite',
        unique_key=['revenue_date', 'country'],
        partitioned_by=['revenue_date'],
        sorted_by=['country'],
    )
}}

with

invoice_lines as (

    select * from {{ ref('invoice_lines') }}
    where
        line_type in ('sale', 'cancellation')
        {%- if is_incremental() %}
            and {{ partitions_changed(ref('invoice_lines'), 'revenue_date') }}
        {%- endif %}

),

revenue as (

    select
        revenue_date,
        country,
        coalesce(sum(amount) filter (where is_sale), 0) as gross_revenue,
        coalesce(sum(amount) filter (where not is_sale), 0) as cancelled_revenue,
        sum(amount) as net_revenue,
        count(distinct invoice_id) filter (where is_sale) as orders,
        count(distinct customer_id) filter (where is_sale) as customers,
        cast(coalesce(sum(quantity) filter (where is_sale), 0) as bigint) as units
    from invoice_lines
    group by all

)

select * from revenue
