{{
    config(
        materialized='incremental',
        incremental_strategy='insert_overwrite',
        unique_key=['revenue_month', 'stock_code'],
        partitioned_by=['revenue_month'],
        sorted_by=['stock_code']
    )
}}

with

{% if is_incremental() %}
    changed_lines as (

        select * from {{ ref('invoice_lines') }}
        where {{ partitions_changed(ref('invoice_lines'), 'revenue_date') }}

    ),

    changed_months as (

        select distinct {{ month_of('revenue_date') }} as revenue_month
        from changed_lines

    ),

    changed_days as (

    -- as days, so that only the files of these months are read
        select
            cast(unnest(generate_series(
                revenue_month, last_day(revenue_month), interval 1 day
            )) as date) as revenue_date
        from changed_months

    ),

{% endif %}
invoice_lines as (

    select * from {{ ref('invoice_lines') }}
    where
        line_type in ('sale', 'cancellation')
        {%- if is_incremental() %}
            and revenue_date in (select changed_days.revenue_date from changed_days)
        {%- endif %}

),

product_performance as (

    select
        {{ month_of('revenue_date') }} as revenue_month,
        stock_code,
        bool_and(is_product) as is_product,
        coalesce(sum(amount) filter (where is_sale), 0) as gross_revenue,
        coalesce(sum(amount) filter (where not is_sale), 0) as cancelled_revenue,
        sum(amount) as net_revenue,
        cast(coalesce(sum(quantity) filter (where is_sale), 0) as bigint) as units,
        cast(coalesce(-sum(quantity) filter (where not is_sale), 0) as bigint) as units_cancelled,
        count(distinct invoice_id) filter (where is_sale) as orders,
        count(distinct customer_id) filter (where is_sale) as customers
    from invoice_lines
    group by revenue_month, stock_code

)

select * from product_performance
