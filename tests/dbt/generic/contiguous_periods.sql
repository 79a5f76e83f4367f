{#
    The half-open periods [valid_from, valid_to) of each key follow each other without gap or overlap, none
    is empty, and the last one, and only that, has no end.
#}
{% test contiguous_periods(model, key, valid_from, valid_to) %}

    with

    neighbours as (

        select
            {{ key }},
            {{ valid_from }},
            {{ valid_to }},
            lead({{ valid_from }}) over (partition by {{ key }} order by {{ valid_from }}) as next_from
        from {{ model }}

    )

    select * from neighbours
    where
        {{ valid_to }} is distinct from next_from
        or {{ valid_to }} <= {{ valid_from }}

{% endtest %}
