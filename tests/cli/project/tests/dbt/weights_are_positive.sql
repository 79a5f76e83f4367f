-- Nothing weighs less than nothing.
select * from {{ ref('weights') }} where kg <= 0
