{#
    Nothing is lost, nothing is invented, nothing is in two places: each value of `key` in the model stands
    exactly once in all `parts` together, and the parts hold no other. A failing row names the key, where it
    is and how often.
#}
{% test conservation(model, key, parts) %}

    with

    whole as (

        select distinct {{ key }} from {{ model }}

    ),

    parts as (

        {%- for part in parts %}
        select {{ key }} from {{ part }}
        {{- ' union all' if not loop.last }}
        {%- endfor %}

    ),

    counted as (

        select
            {{ key }},
            count(*) as copies
        from parts
        group by {{ key }}

    )

    select
        coalesce(whole.{{ key }}, counted.{{ key }}) as {{ key }},
        whole.{{ key }} is not null as is_in_whole,
        coalesce(counted.copies, 0) as copies
    from whole
    full outer join counted on whole.{{ key }} = counted.{{ key }}
    where
        whole.{{ key }} is null
        or counted.copies is distinct from 1

{% endtest %}
