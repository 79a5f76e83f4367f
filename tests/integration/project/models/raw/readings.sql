{{ config(materialized='incremental', incremental_strategy='append', full_refresh=false) }}

select * from {{ source('landing', 'readings') }}
