with

invoice_lines as (

    select * from {{ ref('invoice_lines') }}

),

traded_lines as (

    select
        *,
        {{ as_of_date('invoice_lines') }} as as_of_date
    from invoice_lines
    where
        customer_id is not null
        and line_type in ('sale', 'cancellation')

),

customers as (

    select
        customer_id,
        as_of_date,
        max(revenue_date) filter (where is_sale) as last_purchase_date,
        count(distinct invoice_id) filter (where is_sale) as frequency,
        sum(amount) as monetary
    from traded_lines
    where revenue_date <= as_of_date
    group by customer_id, as_of_date
    having bool_or(is_sale)

),

measured as (

    select
        *,
        as_of_date - last_purchase_date as recency_days
    from customers

),

scored as (

    -- quintiles by rank, from 1 (worst) to 5 (best); equal values get equal scores
    select
        *,
        {{ quintile('recency_days desc') }} as recency_score,
        {{ quintile('frequency') }} as frequency_score,
        {{ quintile('monetary') }} as monetary_score
    from measured

),

segmented as (

    select
        customer_id,
        as_of_date,
        last_purchase_date,
        recency_days,
        frequency,
        monetary,
        recency_score,
        frequency_score,
        monetary_score,
        case
            when recency_score >= 4 and frequency_score >= 4 and monetary_score >= 4 then 'champion'
            when recency_score >= 3 and frequency_score >= 3 then 'loyal'
            when recency_score >= 4 then 'recent'
            when recency_score <= 2 and frequency_score >= 3 then 'at_risk'
            when recency_score <= 2 then 'lost'
            else 'occasional'
        end as segment
    from scored

)

select * from segmented
