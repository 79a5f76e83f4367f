{#
    The rules an invoice line must keep, in the order in which they are tried: a line that breaks several is
    reported under the first. `when` is a boolean SQL expression over the columns of the `parsed` step of
    `invoice_lines_checked` (`*_text` is the trimmed source value, the plain name the parsed one). Ids are
    stable: people filter quarantine by them.
#}
{% macro invoice_line_rules() %}
    {{ return([
        {'id': 'invoice_id_missing', 'when': 'invoice_id is null', 'reason': 'InvoiceNo is empty'},
        {'id': 'stock_code_missing', 'when': 'stock_code is null', 'reason': 'StockCode is empty'},
        {'id': 'quantity_missing', 'when': 'quantity_text is null', 'reason': 'Quantity is empty'},
        {'id': 'invoice_date_missing', 'when': 'invoice_date_text is null', 'reason': 'InvoiceDate is empty'},
        {'id': 'unit_price_missing', 'when': 'unit_price_text is null', 'reason': 'UnitPrice is empty'},
        {'id': 'quantity_not_integer', 'when': 'quantity is null', 'reason': 'Quantity is not a whole number of 32 bits'},
        {'id': 'invoice_date_not_timestamp', 'when': 'invoiced_at_local is null', 'reason': 'InvoiceDate is not a date and time like 2011-08-31 17:45:00'},
        {'id': 'invoice_date_skipped_by_clock', 'when': 'invoiced_at is null', 'reason': 'InvoiceDate lies in the hour that the local clock skips in spring'},
        {'id': 'invoice_date_after_landing', 'when': 'invoiced_at > _landed_at + interval 1 day', 'reason': 'InvoiceDate is more than a day after the file landed'},
        {'id': 'unit_price_not_decimal', 'when': 'unit_price is null', 'reason': 'UnitPrice is not a number with at most 14 digits before the point and 4 after it'},
        {'id': 'customer_id_not_integer', 'when': 'customer_id_text is not null and customer_id is null', 'reason': 'CustomerID is not a whole number'},
        {'id': 'unit_price_negative', 'when': 'unit_price < 0', 'reason': 'UnitPrice is negative'},
        {'id': 'quantity_zero', 'when': 'quantity = 0', 'reason': 'Quantity is zero'},
    ]) }}
{% endmacro %}
