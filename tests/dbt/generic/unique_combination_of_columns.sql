{#
    No two rows have the same values in all of `combination_of_columns`, NULLs counting as equal: a key without
    a value is no key. Name and arguments are those of the test in dbt_utils; `quote_columns` keeps the spelling
    of names that are not lower case.
#}
{% test unique_combination_of_columns(model, combination_of_columns, quote_columns=false) %}

    {%- set columns = [] -%}
    {%- for column in combination_of_columns -%}
        {%- do columns.append(adapter.quote(column) if quote_columns else column) -%}
    {%- endfor %}

    select
        {{ columns | join(', ') }},
        count(*) as copies
    from {{ model }}
    group by {{ columns | join(', ') }}
    having count(*) > 1

{% endtest %}
