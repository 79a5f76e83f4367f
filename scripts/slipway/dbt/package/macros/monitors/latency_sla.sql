{#
    Fails for each day of which a row took longer to arrive than `max_latency`, without the days on which nobody works; by itself the limit is `latency` in
    `slaProperties` of the table's contract. Rows are looked at that arrived in the last `days` before the newest.
#}
{% test latency_sla(
    model, column_name, happened_at, max_latency=none, days=7, time_zone='UTC', weekdays=none, holidays=none, contract=none
) %}
    {{ config(severity='warn') }}
    {{ _slipway_monitor('latency', model, {
        'column': column_name, 'happened_at': happened_at, 'max_latency': max_latency, 'days': days, 'time_zone': time_zone,
        'weekdays': weekdays, 'holidays': holidays, 'contract': contract,
    }) }}
{% endtest %}
