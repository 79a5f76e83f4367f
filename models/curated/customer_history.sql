with

invoice_lines as (

    select * from {{ ref('invoice_lines') }}
    where customer_id is not null

),

observations as (

    -- one country per instant: of several, the last one
    select
        customer_id,
        invoiced_at,
        arg_max(country, {{ line_position() }}) as country
    from invoice_lines
    group by customer_id, invoiced_at

),

changes as (

    select
        customer_id,
        country,
        invoiced_at as valid_from
    from observations
    qualify
        country is distinct from
        lag(country) over (partition by customer_id order by invoiced_at)

),

periods as (

    select
        customer_id,
        country,
        valid_from,
        lead(valid_from) over (partition by customer_id order by valid_from) as valid_to
    from changes

),

customer_history as (

    select
        *,
        valid_to is null as is_current
    from periods

)

select * from customer_history
