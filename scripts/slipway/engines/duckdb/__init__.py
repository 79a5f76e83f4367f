"""DuckDB: from a query to a staged Iceberg snapshot.

Start with ``writer.write``: ``target`` says what a table is to be, a strategy (``merge``, ``delete_insert``, ``overwrite``,
``batches``) which files it replaces, ``copying`` writes files, ``constraints`` and ``digest`` check their content.
"""
