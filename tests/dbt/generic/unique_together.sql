{# No two rows share their values in `columns`. NULLs count as equal: a key without a value is no key. #}
{% test unique_together(model, columns) %}

    select
        {{ columns | join(', ') }},
        count(*) as copies
    from {{ model }}
    group by {{ columns | join(', ') }}
    having count(*) > 1

{% endtest %}
