{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key=['revenue_date', 'invoice_line_id'],
        partitioned_by=['revenue_date'],
        sorted_by=['invoiced_at', 'invoice_id', 'stock_code'],
    )
}}

{%- set online_retail = ref('online_retail') %}

with

checked as (

    select * from {{ ref('invoice_lines_checked') }}
    where
        rule_id is null
        {%- if is_incremental() %}
            and {{ rows_added(online_retail) }}
        {%- endif %}

),

first_landed as (

    {{ first_landed('checked', keep=['revenue_date', 'invoice_line_id']) }}

),

non_product_codes as (

    select * from {{ ref('non_product_codes') }}

),

classified as (

    select
        *,
        case
            when starts_with(invoice_id, 'C') then 'cancellation'
            when quantity > 0 and unit_price > 0 then 'sale'
            else 'adjustment'
        end as line_type,
        not exists (
            select 1 from non_product_codes
            where {{ is_code_of('first_landed.stock_code', 'non_product_codes') }}
        ) as is_product
    from first_landed

),

measured as (

    select
        invoice_line_id,
        invoice_id,
        stock_code,
        description,
        quantity,
        invoiced_at,
        revenue_date,
        unit_price,
        -- widened first: an integer times DECIMAL(18, 4) stays DECIMAL(18, 4) and overflows
        quantity * cast(unit_price as decimal(38, 4)) as amount,
        customer_id,
        country,
        line_type,
        line_type = 'sale' as is_sale,
        is_product,
        {{ lineage_columns() | join(',\n        ') }}
    from classified

)

select * from measured
