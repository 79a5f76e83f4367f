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
        and {{ within_retention('online_retail', online_retail) }}
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
        _original['InvoiceNo'] as "InvoiceNo",
        _original['StockCode'] as "StockCode",
        _original['Description'] as "Description",
        _original['Quantity'] as "Quantity",
        _original['InvoiceDate'] as "InvoiceDate",
        _original['UnitPrice'] as "UnitPrice",
        _original['CustomerID'] as "CustomerID",
        _original['Country'] as "Country",
        revenue_date,
        rule_id,
        reason,
        {{ lineage_columns() | join(',\n        ') }}
    from first_landed

)

select * from explained
