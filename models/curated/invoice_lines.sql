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
        invoice_line_id,
        invoice_id,
        stock_code,
        description,
        quantity,
        invoiced_at,
        revenue_date,
        unit_price,
        customer_id,
        country,
        case
            when starts_with(invoice_id, 'C') then 'cancellation'
            when quantity > 0 and unit_price > 0 then 'sale'
            else 'adjustment'
        end as line_type,
        not exists (
            select 1 from non_product_codes
            where {{ is_code_of('first_landed.stock_code', 'non_product_codes') }}
        ) as is_product,
        {{ lineage_columns() | join(',\n        ') }}
    from first_landed

)

select * from classified
