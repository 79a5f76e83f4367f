{{ config(alias='parcels', materialized='incremental', incremental_strategy='append') }}

select * from {{ source('landing', 'parcels') }}
