"""Iceberg tables written by DuckDB and committed by pyiceberg."""
