with

invoice_lines as (

    select * from {{ ref('invoice_lines') }}

),

traded_lines as (

    -- adjustments carry remarks about the stock in place of a description: 'damaged', '?'
    select * from invoice_lines
    where
        line_type in ('sale', 'cancellation')
        and description is not null

),

last_traded as (

    select
        stock_code,
        max(revenue_date) as last_date
    from traded_lines
    group by stock_code

),

described as (

    -- the text used most often lately; of equals the one used last, then the first by alphabet
    select
        traded_lines.stock_code,
        traded_lines.description
    from traded_lines
    inner join last_traded on traded_lines.stock_code = last_traded.stock_code
    where traded_lines.revenue_date > last_traded.last_date - {{ var('product_description_days') }}
    group by traded_lines.stock_code, traded_lines.description
    qualify row_number() over (
        partition by traded_lines.stock_code
        order by count(*) desc, max(traded_lines.invoiced_at) desc, traded_lines.description asc
    ) = 1

),

summarised as (

    select
        stock_code,
        bool_and(is_product) as is_product,
        min(revenue_date) as first_seen_date,
        max(revenue_date) as last_seen_date,
        min(revenue_date) filter (where is_sale) as first_sale_date,
        max(revenue_date) filter (where is_sale) as last_sale_date,
        arg_max(unit_price, {{ line_position() }}) filter (where is_sale) as last_unit_price,
        count(*) filter (where is_sale) as sale_lines
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
