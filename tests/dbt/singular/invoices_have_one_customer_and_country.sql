-- All lines of an invoice are of one customer, or of none, and of one country. Where not, invoices shows
-- those of its first line.
{{ config(severity='warn') }}

select
    invoice_id,
    count(distinct customer_id) as customers,
    count(distinct country) as countries
from {{ ref('invoice_lines') }}
group by invoice_id
having
    count(distinct customer_id) > 1
    or count(customer_id) not in (0, count(*))
    or count(distinct country) > 1
