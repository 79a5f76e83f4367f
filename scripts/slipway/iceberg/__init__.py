"""Iceberg tables: metadata, schemas, types, partitions, snapshots, and the catalogs that name them.

Nothing here runs a query; engines do. Imports ``records``, ``environments`` and ``storage``.
Start with ``tables.Tables``: what a catalog names, and metadata that it does not name yet. ``commit`` makes it name
them: all in one step where the catalog can.
"""
