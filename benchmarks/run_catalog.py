"""The run's own catalog with tables of many files and with many tables: requests, bytes and memory. There are metadata files only, and no rows."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.conversions import to_bytes
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import SnapshotLogEntry
from pyiceberg.table.sorting import SortOrder
from pyiceberg.typedef import Record
from pyiceberg.types import LongType, NestedField, StringType, TimestampType
from requests import Response

from benchmarks.lake import SCHEMA, Lake
from benchmarks.report import Figure
from benchmarks.scale import Scale
from slipway.iceberg.metadata_files import data_files, write_metadata
from slipway.iceberg.snapshots import Staging, add_snapshot, confirm_snapshot
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.run_catalog.catalog import RunCatalog
from slipway.run_catalog.rest_server import LONGEST_BODY, Served, serving

NAME = "run_catalog"
RUN = "20260101T000000Z-00000000"
FILE_BYTES = 100_000_000
"""Of a data file as the manifests name it: 10,000 of them are 1 TB."""

_FEW_FILES = 10  # of each of many tables
_SNAPSHOTS = 100  # of each table
_KINDS = (LongType(), TimestampType(), StringType(), LongType())
_COLUMNS = Schema(*(NestedField(at, f"column_{at}", _KINDS[at % 4], required=False) for at in range(1, 21)))
_BOUNDS = {
    one.field_id: to_bytes(kind, "a word of a column" if kind == StringType() else 1)
    for one, kind in zip(_COLUMNS.fields, itertools.cycle(_KINDS), strict=False)
}


@dataclass
class Asked:
    """What a client has asked for: how often, bytes of all bodies, bytes of the largest request and answer, and seconds of waiting."""

    requests: int = 0
    bytes: int = 0
    largest_request: int = 0
    largest_answer: int = 0
    seconds: float = 0.0
    longest: float = 0.0

    def count(self, response: Response, *_: object, **__: object) -> None:
        """Add one, as a hook of requests."""
        assert response.ok, response.text
        sent, got = int(response.request.headers.get("Content-Length", 0)), len(response.content)
        took = response.elapsed.total_seconds()
        self.requests, self.bytes, self.seconds = (
            self.requests + 1,
            self.bytes + sent + got,
            self.seconds + took,
        )
        self.largest_request, self.largest_answer = (
            max(self.largest_request, sent),
            max(self.largest_answer, got),
        )
        self.longest = max(self.longest, took)

    def line(self, what: str) -> str:
        """As a line of the report."""
        return (
            f"- {what}: {self.requests:,} requests, {self.seconds:.2f} s, the longest {self.longest:.2f} s; {self.bytes / 1e6:.2f} MB,"
            f" the largest request {self.largest_request / 1e3:.1f} KB and answer {self.largest_answer / 1e3:.1f} KB"
        )


def run(folder: Path, scale: Scale) -> tuple[list[Figure], list[str]]:
    """One table of many files, and many tables of few files."""
    figures: list[Figure] = []
    details: list[str] = []
    many, tables = scale.catalog_files, scale.catalog_tables
    for names, files, what in (
        (["events"], many, f"one table of {many:,} files, {many * FILE_BYTES / 1e12:g} TB"),
        ([f"table_{at}" for at in range(tables)], _FEW_FILES, f"{tables:,} tables of {_FEW_FILES} files"),
    ):
        (place := folder / f"{len(names)}-{files}").mkdir()
        made = _make(place, names, files)
        steps, memory = _use(place, made, files)
        figures.append(Figure(NAME, f"{what}: memory of the catalog", memory / 2**20, "MiB", 1024))
        largest = max(one.largest_request for one in steps.values())
        figures.append(
            Figure(
                NAME, f"{what}: largest request to the most that is taken", largest / LONGEST_BODY, goal=0.5
            )
        )
        written = sum(path.stat().st_size for path in (place / "warehouse").rglob("*") if path.is_file())
        details.append(
            "\n".join(
                [
                    f"{NAME}, {what}, {_SNAPSHOTS} snapshots each, {written / 1e6:,.0f} MB of metadata in the warehouse:",
                    "",
                    *(one.line(step) for step, one in steps.items()),
                    "",
                ]
            )
        )
    return figures, details


def _make(folder: Path, names: list[str], files: int) -> dict[TableName, str]:
    """Tables whose metadata says that they have so many files and a history, by their metadata files."""
    tables, made = Lake(folder).tables, {}
    for name in names:
        identifier = TableName(SCHEMA, name)
        table = tables.new(identifier, _COLUMNS, PartitionSpec(), SortOrder(), {"format-version": "2"})
        transaction = Staging(table)
        add_snapshot(transaction, [_file(table, at) for at in range(files)], (), {}, full=True)
        confirm_snapshot(transaction, "release-1", lambda _: {})
        metadata = _with_history(transaction.table_metadata)
        wanted = f"{table.location()}/metadata/00000-{{}}.metadata.json"
        made[identifier] = write_metadata(table.io, wanted, metadata)
    return made


def _with_history(metadata: TableMetadata) -> TableMetadata:
    """The same table, as if a hundred releases had written it: with snapshots and tags, which name the files of the first."""
    (first,) = metadata.snapshots
    snapshots, refs, log = [first], dict(metadata.refs), list(metadata.snapshot_log)
    for at in range(1, _SNAPSHOTS):
        parent, number = snapshots[-1].snapshot_id, first.snapshot_id % 2**62 + at
        changed = {"snapshot_id": number, "parent_snapshot_id": parent, "sequence_number": at + 1}
        snapshots.append(first.model_copy(update=changed))
        refs[f"release-{at + 1}"] = refs["release-1"].model_copy(update={"snapshot_id": number})
        log.append(SnapshotLogEntry(snapshot_id=number, timestamp_ms=first.timestamp_ms))
    last = snapshots[-1].snapshot_id
    refs[MAIN_BRANCH] = refs[MAIN_BRANCH].model_copy(update={"snapshot_id": last})
    return metadata.model_copy(
        update={
            "snapshots": snapshots,
            "refs": refs,
            "snapshot_log": log,
            "current_snapshot_id": last,
            "last_sequence_number": _SNAPSHOTS,
        }
    )


def _file(table: Table, number: int, folder: str = "before") -> DataFile:
    """A data file as a manifest names it."""
    ids = [one.field_id for one in _COLUMNS.fields]
    made = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=f"{table.location()}/data/{folder}/{number:05d}-0123456789abcdef0123456789abcdef.parquet",
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=1_000_000,
        file_size_in_bytes=FILE_BYTES,
        column_sizes=dict.fromkeys(ids, 4_000_000),
        value_counts=dict.fromkeys(ids, 1_000_000),
        null_value_counts=dict.fromkeys(ids, 0),
        nan_value_counts={},
        lower_bounds=_BOUNDS,
        upper_bounds=_BOUNDS,
        key_metadata=None,
        split_offsets=[4],
        equality_ids=None,
        sort_order_id=None,
    )
    made.spec_id = 0
    return made


def _use(folder: Path, made: dict[TableName, str], files: int) -> tuple[dict[str, Asked], int]:
    """What a client asks for in each step, and the bytes of memory that the catalog's process takes more than at its start."""
    steps: dict[str, Asked] = {}

    @contextmanager
    def step(what: str) -> Iterator[None]:
        steps[what] = now = Asked()
        session.hooks["response"] = [now.count]
        yield

    with _served(folder, made) as (served, ended):
        catalog = RestCatalog("run", uri=served.uri, token=served.token)
        session = catalog._session  # noqa: SLF001 - pyiceberg counts nothing itself
        with step("list all tables"):
            assert len(catalog.list_tables(SCHEMA)) == len(made)
        with step("load each table"):
            tables = [catalog.load_table(tuple(name)) for name in made]
        with step("append one file to each"):
            for table in tables:
                with table.transaction() as change, change.update_snapshot().fast_append() as append:
                    append.append_data_file(_file(table, 0, "more"))
        with step(f"replace all files of each by {files:,} others"):
            for table in tables:
                with table.transaction() as change, change.update_snapshot().overwrite() as replace:
                    for file in data_files(table):
                        replace.delete_data_file(file)
                    for at in range(files):
                        replace.append_data_file(_file(table, at, "after"))
        with step("load each table again"):
            for name in made:
                catalog.load_table(tuple(name))
        catalog.close()
        memory = ended()
    return steps, memory


@contextmanager
def _served(folder: Path, made: dict[TableName, str]) -> Iterator[tuple[Served, _Ended]]:
    """The catalog, served by a process of its own, as a run does it."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(folder, made, there))
    process.start()
    there.close()  # so that the end of the process is noticed
    try:
        yield here.recv(), _Ended(here)
        process.join(60)
    finally:
        process.kill()
        process.join()


@dataclass
class _Ended:
    """Ends the process, and gives the memory that it took."""

    connection: Connection

    def __call__(self) -> int:
        self.connection.send("end")
        return int(self.connection.recv())


def _serve(folder: Path, made: dict[TableName, str], connection: Connection) -> None:
    lake = Lake(folder)
    lake.warm()  # loads what each run loads
    tables = Tables(lake.tables.environment)
    catalog = RunCatalog(tables, RUN, made)
    for name in made:
        catalog.allow(name)
    before = _most_memory()
    with serving(catalog) as served:
        connection.send(Served(served.uri, served.token))
        connection.recv()
        connection.send(_most_memory() - before)


def _most_memory() -> int:
    """Bytes of resident memory that the process has had at most; those of its parent, which ``getrusage`` may count, are none of it."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (one for one in status.splitlines() if one.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
