select
    cast(started_at as date) as ridden_on,
    station,
    count(*) as rides,
    sum(minutes) as minutes
from {{ ref('rides_checked') }}
group by all
