-- Nothing flows backwards.
select * from {{ ref('consumption') }} where kwh < 0
