{#
    Fails for each day on which the values of a column are distributed otherwise than on the days before: numbers and times of the day by quantiles, texts by their shares, compared by
    the population stability index; and for unusually many rows with texts that are new among the frequent ones.
#}
{% test distribution_drift(
    model, column_name, date_column, max_index=0.25, new_share=0.03, window=56, min_history=14, deviations=4, except_dates=none
) %}
    {{ config(severity='warn') }}
    {{ _slipway_monitor('drift', model, {
        'column': column_name, 'date_column': date_column, 'max_index': max_index, 'new_share': new_share, 'window': window,
        'min_history': min_history, 'deviations': deviations, 'except_dates': except_dates,
    }) }}
{% endtest %}
