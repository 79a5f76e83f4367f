with

typed as (

    select parcel, depot, cast(weighed_on as date) as weighed_on, try_cast(kg as decimal(9, 3)) as kg
    from {{ ref('parcels_raw') }}

)

select * from typed
where kg is not null and {{ slice_predicate() }}
