"""DuckDB: from a query to a staged Iceberg snapshot.

Start with ``writer.write``: ``target`` says what a table is to be, ``strategies`` and ``batches`` which rows and files are replaced,
``copying`` writes files, ``constraints`` and ``digest`` check their content.
"""
