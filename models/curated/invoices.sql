{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='invoice_id',
        partitioned_by=['month(revenue_date)'],
        sorted_by=['revenue_date', 'invoice_id']
    )
}}

with

{% if is_incremental() %}
    changed_lines as (

        select * from {{ ref('invoice_lines') }}
        where {{ partitions_changed(ref('invoice_lines'), 'revenue_date') }}

    ),

    days_to_read as (

        -- an invoice is added up whole: the days that changed, and those on which it had lines before
        select revenue_date from changed_lines

        union distinct

        select
            cast(unnest(generate_series(
                revenue_date, last_revenue_date, interval 1 day
            )) as date) as revenue_date
        from {{ this }}
        where invoice_id in (select changed_lines.invoice_id from changed_lines)

    ),

{% endif %}
invoice_lines as (

    select * from {{ ref('invoice_lines') }}
    {%- if is_incremental() %}
        where
            revenue_date in (select days_to_read.revenue_date from days_to_read)
            and invoice_id in (select changed_lines.invoice_id from changed_lines)
    {%- endif %}

),

invoices as (

    select
        invoice_id,
        case
            when starts_with(invoice_id, 'C') then 'cancellation'
            when bool_or(is_sale) then 'sale'
            else 'adjustment'
        end as invoice_type,
        min(invoiced_at) as invoiced_at,
        min(revenue_date) as revenue_date,
        max(revenue_date) as last_revenue_date,
        -- one customer and one country an invoice is the rule; a test warns where it is broken
        arg_min(customer_id, {{ line_position() }}) as customer_id,
        arg_min(country, {{ line_position() }}) as country,
        count(*) as lines,
        count(distinct stock_code) filter (where is_product) as products,
        cast(coalesce(sum(quantity) filter (where is_sale), 0) as bigint) as units,
        coalesce(sum(amount) filter (where is_sale), 0) as gross_revenue,
        coalesce(sum(amount) filter (where line_type = 'cancellation'), 0) as cancelled_revenue,
        coalesce(sum(amount) filter (where line_type in ('sale', 'cancellation')), 0) as net_revenue
    from invoice_lines
    group by invoice_id

)

select * from invoices
