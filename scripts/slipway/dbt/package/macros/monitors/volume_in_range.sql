{#
    Fails for each day with fewer rows than `min_rows`, more than `max_rows`, or an unusual number of them: what is usual is learnt from earlier days of the same weekday.

    With `date_column`, by which the table is partitioned, a day is one of business; without it, one on which the table was written, and its rows are those that were
    added (`count: total`: all rows of the table). Read from Iceberg metadata; no data is scanned.
#}
{% test volume_in_range(
    model, date_column=none, min_rows=none, max_rows=none, count='added', anomaly=true, window=84, min_history=14,
    deviations=3.5, except_dates=none, time_zone='UTC'
) %}
    {{ config(severity='warn') }}
    {{ _slipway_monitor('volume', model, {
        'date_column': date_column, 'min_rows': min_rows, 'max_rows': max_rows, 'count': count, 'anomaly': anomaly, 'window': window,
        'min_history': min_history, 'deviations': deviations, 'except_dates': except_dates, 'time_zone': time_zone,
    }) }}
{% endtest %}
