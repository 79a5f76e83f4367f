-- Over all origins the forecast is no worse than repeating last week. It warns when it is, and when the
-- history was too short to tell.
{{ config(severity='warn') }}

with

scores as (

    select * from {{ ref('forecast_backtest') }}

),

overall as (

    select
        count(*) as origins,
        count(mae) as scored_origins,
        avg(mae) as mae,
        avg(naive_mae) as naive_mae,
        any_value(reason) filter (where status = 'not_run') as not_run_reason
    from scores

)

select * from overall
where
    origins > 0
    and (mae <= naive_mae) is distinct from true
