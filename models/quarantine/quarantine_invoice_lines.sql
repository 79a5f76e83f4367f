{{
    config(
        alias='invoice_lines',
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='invoice_line_id',
        conserves={'raw': 'raw.online_retail', 'curated': 'curated.invoice_lines'},
        sorted_by=['_source_file', '_source_line'],
    )
}}

{%- set online_retail = ref('online_retail') %}

with

checked as (

    select * from {{ ref('invoice_lines_checked') }}
    where
        rule_id is not null
        {%- if is_incremental() %}
            and {{ rows_added(online_retail) }}
        {%- endif %}

),

first_landed as (

    {{ first_landed('checked', keep=['invoice_line_id']) }}

),

explained as (

    select
        invoice_line_id,
        source_invoice_no as "InvoiceNo",
        source_stock_code as "StockCode",
        source_description as "Description",
        source_quantity as "Quantity",
        source_invoice_date as "InvoiceDate",
        source_unit_price as "UnitPrice",
        source_customer_id as "CustomerID",
        source_country as "Country",
        revenue_date,
        rule_id,
        case rule_id
            {%- for rule in invoice_line_rules() %}
                when '{{ rule.id }}' then '{{ rule.reason }}'
            {%- endfor %}
        end as reason,
        {{ lineage_columns() | join(',\n        ') }}
    from first_landed

)

select * from explained
