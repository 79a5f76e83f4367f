select
    id as customer_id,
    name as customer_name,
    town
from {{ ref('raw_customers') }}
