select
    id as order_id,
    customer as customer_id,
    cast(ordered_on as date) as ordered_on,
    status,
    {{ cents_to_currency('amount_cents') }} as amount
from {{ ref('raw_orders') }}
