{#
    Fails when the newest data of a table is older than `max_age`, or when data of a day is not there by `due`, without the days on which nobody works. Limits that
    are not given are those of `slaProperties` in the table's contract: `freshness` and `timeOfAvailability`.
#}
{% test freshness_sla(
    model, column_name, max_age=none, due=none, due_days=1, time_zone='UTC', weekdays=none, holidays=none, contract=none
) %}
    {{ config(severity='warn') }}
    {{ _slipway_monitor('freshness', model, {
        'column': column_name, 'max_age': max_age, 'due': due, 'due_days': due_days, 'time_zone': time_zone,
        'weekdays': weekdays, 'holidays': holidays, 'contract': contract,
    }) }}
{% endtest %}
