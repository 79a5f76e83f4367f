-- Every stored line says of its code what non_product_codes says today. If not, the table of codes changed
-- after the line was stored: build invoice_lines and what depends on it with --full-refresh.
with

stock_codes as (

    select distinct
        stock_code,
        is_product
    from {{ ref('invoice_lines') }}

),

non_product_codes as (

    select * from {{ ref('non_product_codes') }}

),

compared as (

    select
        stock_codes.stock_code,
        stock_codes.is_product,
        not exists (
            select 1 from non_product_codes
            where {{ is_code_of('stock_codes.stock_code', 'non_product_codes') }}
        ) as is_product_today
    from stock_codes

)

select * from compared
where is_product != is_product_today
