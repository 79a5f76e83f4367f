select
    site,
    count(*) as meters,
    sum(kwh) as kwh
from {{ ref('consumption') }}
inner join {{ ref('meters') }} using (meter)
group by site
