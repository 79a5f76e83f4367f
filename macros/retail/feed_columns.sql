{#
    The eight columns of the online_retail feed, quoted, in the order of its contract. Two lines equal in
    all of them are one line.
#}
{% macro feed_columns() %}
    {{ return([
        '"InvoiceNo"', '"StockCode"', '"Description"', '"Quantity"', '"InvoiceDate"', '"UnitPrice"', '"CustomerID"', '"Country"',
    ]) }}
{% endmacro %}
