with

typed as (

    select
        ride_id,
        station,
        try_cast(started_at as timestamp) as started_at,
        try_cast(minutes as decimal(9, 2)) as minutes,
        _source_file,
        _source_line
    from {{ ref('rides') }}

)

select
    ride_id,
    station,
    started_at,
    minutes
from typed
where started_at is not null and minutes is not null
qualify row_number() over (partition by ride_id order by _source_file, _source_line) = 1
