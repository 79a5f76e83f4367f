-- A cancellation takes back the latest earlier sale that no cancellation before it took: sales of one
-- customer, article, price and quantity lie on a stack, and a cancellation takes the top. A sale and the
-- cancellation that takes it are on one level of the stack, with nothing between them on that level; so
-- a running count and a look at the line before are enough.
with

invoice_lines as (

    select * from {{ ref('invoice_lines') }}
    where
        -- whose sale an unknown customer cancelled cannot be known
        customer_id is not null
        and (is_sale or (line_type = 'cancellation' and quantity < 0))

),

positioned as (

    select
        invoice_line_id,
        invoice_id,
        customer_id,
        stock_code,
        unit_price,
        abs(quantity) as quantity,
        invoiced_at,
        is_sale,
        {{ line_position() }} as position
    from invoice_lines

),

counted as (

    select
        *,
        sum(case when is_sale then 1 else -1 end) over (
            partition by customer_id, stock_code, unit_price, quantity
            order by position
            rows between unbounded preceding and current row
        ) as open_sales
    from positioned

),

levelled as (

    select
        *,
        case when is_sale then open_sales else open_sales + 1 end as level
    from counted

),

paired as (

    select
        *,
        lag(is_sale) over same_level as follows_sale,
        lag(invoice_line_id) over same_level as sale_line_id,
        lag(invoice_id) over same_level as sale_invoice_id,
        lag(invoiced_at) over same_level as sold_at
    from levelled
    window same_level as (
        partition by customer_id, stock_code, unit_price, quantity, level
        order by position
    )

),

cancellations_matched as (

    select
        invoice_line_id as cancellation_line_id,
        sale_line_id,
        invoice_id as cancellation_invoice_id,
        sale_invoice_id,
        customer_id,
        stock_code,
        quantity,
        unit_price,
        invoiced_at as cancelled_at,
        sold_at
    from paired
    where
        not is_sale
        and follows_sale

)

select * from cancellations_matched
