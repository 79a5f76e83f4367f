{#
    Fails for each day on which a larger share of a column is NULL than `max_rate`, or an unusual one: what is usual is learnt from earlier days. Profiles of
    columns are made once for each day that changed, and kept in ops.column_profiles.
#}
{% test null_rate(
    model, column_name, date_column, max_rate=none, anomaly=true, window=56, min_history=14, deviations=4, except_dates=none
) %}
    {{ config(severity='warn') }}
    {{ _slipway_monitor('nulls', model, {
        'column': column_name, 'date_column': date_column, 'max_rate': max_rate, 'anomaly': anomaly, 'window': window,
        'min_history': min_history, 'deviations': deviations, 'except_dates': except_dates,
    }) }}
{% endtest %}
