{{ config(materialized='ephemeral') }}

with

online_retail as (

    select * from {{ ref('online_retail') }}

),

renamed as (

    -- because Quantity and quantity would be one name
    select
        {{ row_key(feed_columns()) }} as invoice_line_id,
        "InvoiceNo" as source_invoice_no,
        "StockCode" as source_stock_code,
        "Description" as source_description,
        "Quantity" as source_quantity,
        "InvoiceDate" as source_invoice_date,
        "UnitPrice" as source_unit_price,
        "CustomerID" as source_customer_id,
        "Country" as source_country,
        {{ lineage_columns() | join(',\n        ') }}
    from online_retail

),

trimmed as (

    select
        *,
        {{ trim_text('source_invoice_no') }} as invoice_id,
        upper({{ trim_text('source_stock_code') }}) as stock_code,
        {{ trim_text('source_description') }} as description,
        {{ trim_text('source_quantity') }} as quantity_text,
        {{ trim_text('source_invoice_date') }} as invoice_date_text,
        {{ trim_text('source_unit_price') }} as unit_price_text,
        {{ trim_text('source_customer_id') }} as customer_id_text,
        -- the feed's own word for a country it does not know
        coalesce({{ trim_text('source_country') }}, 'Unspecified') as country
    from renamed

),

typed as (

    select
        *,
        {{ parse_integer('quantity_text', 'integer') }} as quantity,
        {{ parse_local_timestamp('invoice_date_text') }} as invoiced_at_local,
        {{ parse_decimal('unit_price_text', 18, 4) }} as unit_price,
        {{ parse_integer('customer_id_text', 'bigint') }} as customer_id
    from trimmed

),

dated as (

    select
        *,
        {{ local_to_utc('invoiced_at_local') }} as invoiced_at,
        cast(invoiced_at_local as date) as revenue_date
    from typed

),

ruled as (

    select
        *,
        case
            {%- for rule in invoice_line_rules() %}
                when {{ rule.when }} then '{{ rule.id }}'
            {%- endfor %}
        end as rule_id
    from dated

),

sliced as (

    -- the boundary between raw and curated: nothing after it reads what a slice leaves out
    select * from ruled
    where {{ slice_predicate() }}

)

select * from sliced
