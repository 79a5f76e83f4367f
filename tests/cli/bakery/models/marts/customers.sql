select
    customer_id,
    customer_name,
    count(orders.order_id) as number_of_orders,
    coalesce(sum(orders.amount), 0) as lifetime_value,
    {{ engine() }} as built_with
from {{ ref('stg_customers') }}
left join {{ ref('orders') }} as orders using (customer_id)
group by customer_id, customer_name
