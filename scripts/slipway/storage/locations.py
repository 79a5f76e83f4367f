"""Locations of files, as metadata names them and as DuckDB takes them."""

from __future__ import annotations


def duckdb_path(location: str) -> str:
    """A location as DuckDB takes it: local files without their scheme; Java writes ``file:/x`` where others write ``file:///x``."""
    return f"/{location.removeprefix('file:').lstrip('/')}" if location.startswith("file:") else location


def uri(path: str) -> str:
    """A path as Iceberg metadata names it: local files with their scheme, in one form."""
    path = duckdb_path(path)
    return path if "://" in path else f"file://{path}"
