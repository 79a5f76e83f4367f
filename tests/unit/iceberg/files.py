"""The files that a table's metadata names."""

from __future__ import annotations

from pathlib import Path

from pyiceberg.table import Table


def local(location: str) -> Path:
    return Path(location.removeprefix("file://"))


def manifest_list(table: Table) -> Path:
    current = table.current_snapshot()
    assert current is not None
    return local(current.manifest_list)


def manifest(table: Table) -> Path:
    current = table.current_snapshot()
    assert current is not None
    return local(current.manifests(table.io)[0].manifest_path)
