"""Reading files of tables: one changed byte is noticed, or leaves the rows as they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import clear_manifest_cache
from pyiceberg.table import Table
from tests.unit.iceberg.files import local, manifest, manifest_list

from slipway.engines.duckdb.scan import damages, find_damaged
from slipway.errors import DamagedTableError, UnavailableError
from slipway.iceberg.metadata_files import check_container, data_files, reading, rows_of


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Two files of two rows."""
    catalog = SqlCatalog("c", uri=f"sqlite:///{tmp_path}/c.db", warehouse=f"file://{tmp_path}")
    catalog.create_namespace("a")
    made = catalog.create_table("a.t", schema=pa.schema([("k", pa.int64()), ("v", pa.string())]))
    for _ in range(2):
        made.append(pa.table({"k": [1, 2], "v": ["x", "y"]}))
    return made


@pytest.mark.parametrize("file", [manifest_list, manifest])
def test_one_changed_byte(table: Table, file: Callable[[Table], Path]) -> None:
    path = file(table)
    content = path.read_bytes()
    found = 0
    for at in range(0, len(content), 9):
        changed = bytearray(content)
        changed[at] ^= 0xFF if at % 2 else 0x80
        path.write_bytes(changed)
        clear_manifest_cache()
        try:
            files = data_files(table)
        except DamagedTableError:
            found += 1
        else:
            assert [one.record_count for one in files] == [2, 2]
    assert found > len(content) / 10


@pytest.mark.parametrize("file", [manifest_list, manifest])
def test_a_file_that_ends_too_early(table: Table, file: Callable[[Table], Path]) -> None:
    """pyiceberg takes what is left for the whole: none of the rows, and no word."""
    path = file(table)
    content = path.read_bytes()
    for size in range(0, len(content), 31):
        path.write_bytes(content[:size])
        clear_manifest_cache()
        with pytest.raises(DamagedTableError, match=path.name):
            data_files(table)


def test_a_container_is_checked_to_its_end(table: Table) -> None:
    content = manifest(table).read_bytes()
    check_container(content)
    for broken in (content[:-1], content + b"x", content[:-16] + bytes(16)):
        with pytest.raises(ValueError, match="block"):
            check_container(broken)


def test_data_files_that_cannot_be_read(table: Table) -> None:
    cursor = duckdb.connect()
    files = data_files(table)
    assert find_damaged(cursor, table) is None
    path = local(files[1].file_path)
    path.write_bytes(b"PAR1" + bytes(100))
    (found,) = damages(cursor, table, files)
    assert path.name in found.why
    with pytest.raises(DamagedTableError, match=path.name):
        rows_of(table)
    path.unlink()
    with pytest.raises(DamagedTableError, match="it is missing"):
        rows_of(table)


def test_what_is_damage_and_what_is_no_access() -> None:
    for error in (EOFError(), FileNotFoundError(), KeyError("x"), OSError("odd"), SystemError("negative")):
        with pytest.raises(DamagedTableError) as message, reading("manifest of a.t", "s3://b/m.avro"):
            raise error
        assert message.value.exit_code == 6
        assert "s3://b/m.avro" in message.value.line()
    with pytest.raises(UnavailableError) as refused, reading("manifest of a.t", "/m.avro"):
        raise PermissionError(13, "no")
    assert refused.value.exit_code == 5
    with pytest.raises(KeyboardInterrupt), reading("manifest of a.t", "/m.avro"):
        raise KeyboardInterrupt
