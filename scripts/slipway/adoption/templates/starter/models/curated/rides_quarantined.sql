{{
    config(
        schema='quarantine',
        alias='rides',
        conserves={'raw': 'raw.rides', 'curated': 'curated.rides_checked', 'deduplicated_by': 'ride_id'},
    )
}}

with

checked as (

    select
        *,
        case
            when try_cast(started_at as timestamp) is null then 'started_at_is_a_time'
            when try_cast(minutes as decimal(9, 2)) is null then 'minutes_is_a_number'
        end as rule_id
    from {{ ref('rides') }}

)

select * from checked
where rule_id is not null
