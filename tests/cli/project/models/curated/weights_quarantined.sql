{{
    config(
        schema='quarantine',
        alias='weights',
        conserves={'raw': 'raw.parcels', 'curated': 'curated.weights'},
    )
}}

select parcel, kg, 'kg_is_a_number' as rule_id
from {{ ref('parcels_raw') }}
where try_cast(kg as decimal(9, 3)) is null
