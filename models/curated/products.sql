with

invoice_lines as (

    select * from {{ ref('invoice_lines') }}

),

sale_lines as (

    -- what other lines say in place of a description is a remark about the stock: 'damaged', '?'
    select * from invoice_lines
    where line_type = 'sale'

),

last_sales as (

    select
        stock_code,
        max(revenue_date) as last_sale_date
    from sale_lines
    group by stock_code

),

described as (

    -- the text used most often lately; of equals the one used last, then the first by alphabet
    select
        sale_lines.stock_code,
        sale_lines.description
    from sale_lines
    inner join last_sales on sale_lines.stock_code = last_sales.stock_code
    where
        sale_lines.description is not null
        and sale_lines.revenue_date > last_sales.last_sale_date - {{ var('product_description_days') }}
    group by sale_lines.stock_code, sale_lines.description
    qualify row_number() over (
        partition by sale_lines.stock_code
        order by count(*) desc, max(sale_lines.invoiced_at) desc, sale_lines.description asc
    ) = 1

),

summarised as (

    select
        stock_code,
        bool_and(is_product) as is_product,
        min(revenue_date) as first_seen_date,
        max(revenue_date) as last_seen_date,
        min(revenue_date) filter (where line_type = 'sale') as first_sale_date,
        max(revenue_date) filter (where line_type = 'sale') as last_sale_date,
        arg_max(unit_price, {{ line_position() }}) filter (where line_type = 'sale') as last_unit_price,
        count(*) filter (where line_type = 'sale') as sale_lines
    from invoice_lines
    group by stock_code

),

products as (

    select
        summarised.stock_code,
        described.description,
        summarised.is_product,
        summarised.first_seen_date,
        summarised.last_seen_date,
        summarised.first_sale_date,
        summarised.last_sale_date,
        summarised.last_unit_price,
        summarised.sale_lines
    from summarised
    left join described on summarised.stock_code = described.stock_code

)

select * from products
