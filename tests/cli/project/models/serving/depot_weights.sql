select
    depot,
    city,
    count(*) as parcels,
    sum(kg) as kg
from {{ ref('weights') }}
left join {{ ref('depots') }} using (depot)
group by depot, city
