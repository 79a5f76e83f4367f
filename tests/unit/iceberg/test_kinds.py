"""What a SQL catalog names is the same whether its file is asked, or the database through SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from slipway.iceberg.catalogs.opening import SqlKind, kind_of
from slipway.names import TableName


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    """One of two catalogs in a file whose name needs care; a table of it has no metadata."""
    opened = SqlCatalog("dev", uri=f"sqlite:///{tmp_path}/a%20 b#c.db", warehouse=str(tmp_path))
    rows = [
        ("dev", "raw", "events", "file:///1"),
        ("dev", "raw", "empty", None),
        ("ci", "raw", "events", "x"),
    ]
    with Session(opened.engine) as session:
        for name, namespace, table, location in rows:
            session.add(
                IcebergTables(
                    catalog_name=name,
                    table_namespace=namespace,
                    table_name=table,
                    metadata_location=location,
                    previous_metadata_location=None,
                )
            )
        session.commit()
    yield opened
    opened.engine.dispose()


def test_the_file_of_a_catalog_is_asked_without_opening_it(catalog: SqlCatalog) -> None:
    def unopened() -> SqlCatalog:
        raise AssertionError

    properties = {"type": "sql", "uri": str(catalog.properties["uri"])}
    expected = {TableName("raw", "events"): "file:///1"}
    assert kind_of("dev", properties, unopened).locations(None) == expected
    assert kind_of("dev", {"type": "sql"}, lambda: catalog).locations(None) == expected  # by SQLAlchemy


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough for a header of one" * 4])
def test_what_is_wrong_with_the_file_is_for_sqlalchemy_to_say(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "catalog.db"
    file.write_bytes(content)
    uri = f"sqlite:///{file}"
    kind = SqlKind("dev", {"uri": uri}, lambda: SqlCatalog("dev", uri=uri, init_catalog_tables="false"))
    with pytest.raises(DatabaseError):
        kind.locations(None)
    assert file.read_bytes() == content
