{{ config(materialized='incremental', unique_key='order_id') }}

select
    orders.*,
    customers.town,
    '{{ var("currency") }}' as currency
from {{ ref('stg_orders') }} as orders
left join {{ ref('stg_customers') }} as customers using (customer_id)
{% if is_incremental() %}
where orders.ordered_on >= (select max(ordered_on) from {{ this }})
{% endif %}
