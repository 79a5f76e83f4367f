-- A matched pair is a sale and a later cancellation of one customer, article and price, with opposite
-- quantities.
with

pairs as (

    select * from {{ ref('cancellations_matched') }}

),

invoice_lines as (

    select * from {{ ref('invoice_lines') }}

)

select
    pairs.cancellation_line_id,
    pairs.sale_line_id
from pairs
left join invoice_lines as cancelled on pairs.cancellation_line_id = cancelled.invoice_line_id
left join invoice_lines as sold on pairs.sale_line_id = sold.invoice_line_id
where
    (
        cancelled.line_type = 'cancellation'
        and sold.line_type = 'sale'
        and cancelled.customer_id = sold.customer_id
        and cancelled.stock_code = sold.stock_code
        and cancelled.unit_price = sold.unit_price
        and cancelled.quantity = -sold.quantity
        and cancelled.invoiced_at >= sold.invoiced_at
    ) is distinct from true
