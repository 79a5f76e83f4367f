-- Month by month, days and countries, stock codes, and quantities times prices of invoice lines add up to the
-- same revenue.
with

by_line as (

    select
        {{ month_of('revenue_date') }} as revenue_month,
        sum(quantity * cast(unit_price as decimal(38, 4))) filter (where line_type = 'sale') as gross_revenue,
        sum(quantity * cast(unit_price as decimal(38, 4))) as net_revenue
    from {{ ref('invoice_lines') }}
    where line_type in ('sale', 'cancellation')
    group by all

),

by_day as (

    select
        {{ month_of('revenue_date') }} as revenue_month,
        sum(gross_revenue) as gross_revenue,
        sum(net_revenue) as net_revenue
    from {{ ref('daily_revenue') }}
    group by all

),

by_product as (

    select
        revenue_month,
        sum(gross_revenue) as gross_revenue,
        sum(net_revenue) as net_revenue
    from {{ ref('product_performance') }}
    group by revenue_month

)

select
    revenue_month,
    by_line.gross_revenue as gross_by_line,
    by_day.gross_revenue as gross_by_day,
    by_product.gross_revenue as gross_by_product,
    by_line.net_revenue as net_by_line,
    by_day.net_revenue as net_by_day,
    by_product.net_revenue as net_by_product
from by_line
full outer join by_day using (revenue_month)
full outer join by_product using (revenue_month)
where
    coalesce(by_line.gross_revenue, 0) is distinct from by_day.gross_revenue
    or coalesce(by_line.gross_revenue, 0) is distinct from by_product.gross_revenue
    or by_line.net_revenue is distinct from by_day.net_revenue
    or by_line.net_revenue is distinct from by_product.net_revenue
