with

invoice_lines as (

    select * from {{ ref('invoice_lines') }}
    where line_type in ('sale', 'cancellation')

),

trading_days as (

    select
        revenue_date,
        coalesce(sum(amount) filter (where is_sale), 0) as gross_revenue,
        coalesce(sum(amount) filter (where line_type = 'cancellation'), 0) as cancelled_revenue,
        sum(amount) as net_revenue,
        count(distinct invoice_id) filter (where is_sale) as orders,
        count(distinct customer_id) filter (where is_sale) as customers,
        cast(coalesce(sum(quantity) filter (where is_sale), 0) as bigint) as units
    from invoice_lines
    group by revenue_date
    -- a day on which only cancellations were keyed is no trading day
    having bool_or(is_sale)

)

select * from trading_days
