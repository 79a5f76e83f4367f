with

invoice_lines as (

    select * from {{ ref('invoice_lines') }}

),

sale_lines as (

    select
        *,
        {{ month_of('revenue_date') }} as revenue_month
    from invoice_lines
    where
        customer_id is not null
        and is_sale
        and revenue_date <= {{ as_of_date('invoice_lines') }}

),

first_months as (

    select
        customer_id,
        min(revenue_month) as cohort_month
    from sale_lines
    group by customer_id

),

cohorts as (

    select
        cohort_month,
        count(*) as cohort_customers
    from first_months
    group by cohort_month

),

activity as (

    select
        first_months.cohort_month,
        sale_lines.revenue_month,
        count(distinct sale_lines.customer_id) as active_customers,
        count(distinct sale_lines.invoice_id) as orders,
        sum(sale_lines.amount) as gross_revenue
    from sale_lines
    inner join first_months on sale_lines.customer_id = first_months.customer_id
    group by first_months.cohort_month, sale_lines.revenue_month

),

months as (

    -- every cohort in every month up to the last one, also where nobody bought
    select
        cohort_month,
        cohort_customers,
        cast(unnest(generate_series(
            cohort_month, {{ month_of(as_of_date('invoice_lines')) }}, interval 1 month
        )) as date) as revenue_month
    from cohorts

),

customer_cohorts as (

    select
        months.cohort_month,
        cast(date_diff('month', months.cohort_month, months.revenue_month) as integer) as months_since_first,
        months.cohort_customers,
        coalesce(activity.active_customers, 0) as active_customers,
        cast(
            {{ rounded_quotient('coalesce(activity.active_customers, 0)', 'months.cohort_customers', 6) }}
            as decimal(7, 6)
        ) as retention_rate,
        coalesce(activity.orders, 0) as orders,
        coalesce(activity.gross_revenue, 0) as gross_revenue
    from months
    left join activity
        on
            months.cohort_month = activity.cohort_month
            and months.revenue_month = activity.revenue_month

)

select * from customer_cohorts
