{# a sample takes orders without an account by their invoices, where it would otherwise take all of them #}
{{ config(materialized='ephemeral', sample_key='coalesce(cast(customer_id as varchar), invoice_id)') }}

with

typed as (

    {{ typed('online_retail') }}

),

renamed as (

    select
        _row_key as invoice_line_id,
        invoice_id,
        upper(stock_code) as stock_code,
        description,
        quantity,
        invoice_date as invoiced_at,
        cast(timezone('{{ var("shop_time_zone") }}', invoice_date) as date) as revenue_date,
        unit_price,
        customer_id,
        -- the feed's own word for a country it does not know
        coalesce(country, 'Unspecified') as country,
        rule_id,
        reason,
        _original,
        {{ lineage_columns() | join(',\n        ') }}
    from typed

),

sliced as (

    -- the boundary between raw and curated: nothing after it reads what a slice leaves out
    select * from renamed
    where {{ slice_predicate() }}

)

select * from sliced
