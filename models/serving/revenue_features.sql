with

trading_days as (

    select * from {{ ref('trading_days') }}

),

featured as (

    select
        revenue_date,
        gross_revenue,
        -- calendar
        cast(isodow(revenue_date) as integer) as day_of_week,
        cast(day(revenue_date) as integer) as day_of_month,
        cast(week(revenue_date) as integer) as week_of_year,
        cast(month(revenue_date) as integer) as month_of_year,
        cast(quarter(revenue_date) as integer) as quarter_of_year,
        row_number() over earlier as trading_day_number,
        row_number() over earlier_in_month as trading_day_of_month,
        revenue_date - lag(revenue_date) over earlier as days_since_previous,
        -- lags count trading days, not days of the calendar
        lag(gross_revenue, 1) over earlier as gross_revenue_lag_1,
        lag(gross_revenue, 6) over earlier as gross_revenue_lag_6,
        lag(gross_revenue, 12) over earlier as gross_revenue_lag_12,
        lag(gross_revenue, 24) over earlier as gross_revenue_lag_24,
        lag(gross_revenue, 1) over earlier_same_weekday as gross_revenue_same_weekday,
        lag(orders, 1) over earlier as orders_lag_1,
        lag(customers, 1) over earlier as customers_lag_1,
        -- means over whole windows only, ending the day before
        {{ trailing_mean('gross_revenue', 6) }} as gross_revenue_mean_6,
        {{ trailing_mean('gross_revenue', 24) }} as gross_revenue_mean_24
    from trading_days
    window
        earlier as (order by revenue_date),
        earlier_in_month as (partition by {{ month_of('revenue_date') }} order by revenue_date),
        earlier_same_weekday as (partition by isodow(revenue_date) order by revenue_date)

)

select * from featured
