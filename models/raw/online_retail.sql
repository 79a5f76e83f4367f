{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        full_refresh=false,
        on_code_change={'keep': 'rows are text as it landed, and producers remove their files'},
        partitioned_by=['day(_landed_at)'],
        sorted_by=['_source_file', '_source_line'],
    )
}}

select
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
    _source_file,
    _source_line,
    _file_sha256,
    _landed_at,
    _run_id
from {{ source('landing', 'online_retail') }}
