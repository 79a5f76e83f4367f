-- A customer's country is that of the current period of its history.
with

customers as (

    select * from {{ ref('customers') }}

),

current_periods as (

    select * from {{ ref('customer_history') }}
    where is_current

)

select
    customers.customer_id,
    customers.country,
    current_periods.country as current_country
from customers
left join current_periods on customers.customer_id = current_periods.customer_id
where customers.country is distinct from current_periods.country
