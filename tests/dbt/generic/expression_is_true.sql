{#
    Every row keeps a boolean SQL expression; a row for which it is NULL does not. Stands at a model or at a
    column.
#}
{% test expression_is_true(model, expression, column_name=none) %}

    select * from {{ model }}
    where ({{ expression }}) is distinct from true

{% endtest %}
