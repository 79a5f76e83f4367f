with

invoice_lines as (

    select * from {{ ref('invoice_lines') }}
    where customer_id is not null

),

customers as (

    select
        customer_id,
        arg_max(country, {{ line_position() }}) as country,
        min(invoiced_at) as first_invoiced_at,
        max(invoiced_at) as last_invoiced_at,
        min(revenue_date) filter (where is_sale) as first_purchase_date,
        max(revenue_date) filter (where is_sale) as last_purchase_date,
        count(distinct invoice_id) filter (where is_sale) as orders,
        coalesce(sum(amount) filter (where is_sale), 0) as gross_revenue,
        coalesce(sum(amount) filter (where line_type = 'cancellation'), 0) as cancelled_revenue,
        coalesce(sum(amount) filter (where line_type in ('sale', 'cancellation')), 0) as net_revenue
    from invoice_lines
    group by customer_id

)

select * from customers
