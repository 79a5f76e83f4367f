"""How many rows a table has or got by day, only from Iceberg metadata: no data file is opened."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Literal

from pyiceberg.manifest import DataFile, DataFileContent
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.transforms import DayTransform, IdentityTransform
from pyiceberg.types import DateType

from slipway.iceberg.earlier_states import ancestors
from slipway.iceberg.metadata_files import files_of, summary_of
from slipway.iceberg.snapshots import changes

_FIRST_DAY = date(1970, 1, 1)


@dataclass(frozen=True)
class DayOfRows:
    """What metadata says of one day.

    Args:
        rows: in its files.
        content: changes when the files do.
    """

    rows: int
    content: str


def days_of_partitions(table: Table, column: str) -> dict[date, DayOfRows] | None:
    """Rows by day of a column; None where the metadata does not have them.

    Rows without a day, and with one before the year 1 or after 9999, are left out. It tells them where every file is in a partition by the column, a date, or by its ``day()``, and no rows are deleted by delete files, as other programs write them.

    Args:
        table: as a run sees it.
        column: a date or a timestamp.

    Raises:
        DamagedTableError: a file of its metadata is missing or damaged.
        UnavailableError: one cannot be read.
    """
    places = {spec_id: _position(table, spec_id, column) for spec_id in table.specs()}
    found: dict[date, list[DataFile]] = {}
    for file in files_of(table):
        at = places[file.spec_id]
        if at is None or file.content != DataFileContent.DATA:
            return None
        if (day := _day(file.partition[at])) is not None:
            found.setdefault(day, []).append(file)
    if not found and places[table.spec().spec_id] is None:
        return None
    return {
        day: DayOfRows(sum(file.record_count for file in files), _content(files))
        for day, files in found.items()
    }


def _day(value: date | int | None) -> date | None:
    """A value of a partition; None where it is NULL, or a day that Python's calendar does not have."""
    if value is None or isinstance(value, date):
        return value
    number = _FIRST_DAY.toordinal() + int(value)
    return date.fromordinal(number) if 1 <= number <= date.max.toordinal() else None


def _content(files: list[DataFile]) -> str:
    paths = " ".join(sorted(file.file_path for file in files))
    return hashlib.sha256(paths.encode()).hexdigest()[:16]


def _position(table: Table, spec_id: int, column: str) -> int | None:
    """Where the day of a column stands in the partitions of a spec."""
    columns = {field.field_id: field for field in table.schema().fields}
    for at, field in enumerate(table.specs()[spec_id].fields):
        source = columns.get(field.source_id)
        if source is None or source.name.lower() != column.lower():
            continue
        is_day = isinstance(field.transform, DayTransform)
        if is_day or (
            isinstance(field.transform, IdentityTransform) and isinstance(source.field_type, DateType)
        ):
            return at
    return None


def days_of_snapshots(
    table: Table, which: Literal["added", "total"] = "added", zone: tzinfo = UTC
) -> dict[date, int]:
    """Rows that a table got on each day on which it was written, or had at its end, as far back as its snapshots are kept.

    Snapshots that were rolled back do not count, and compactions neither. What a snapshot added is ``added-records`` of an append; of any other it is by how much
    the table grew.

    Args:
        table: as a run sees it.
        which: rows that were added, or all rows.
        zone: of the days.
    """
    found: dict[date, int] = {}
    for snapshot, parent in _line(table):
        day = datetime.fromtimestamp(snapshot.timestamp_ms / 1000, zone).date()
        summary = summary_of(snapshot)
        total = int(summary.get("total-records", 0))
        if which == "total":
            found.setdefault(day, total)  # the newest come first
            continue
        if snapshot.summary is not None and snapshot.summary.operation is Operation.APPEND:
            added = int(summary.get("added-records", 0))
        elif parent is None and snapshot.parent_snapshot_id is not None:
            continue  # its parent has expired
        else:
            added = total - int(summary_of(parent).get("total-records", 0))
        found[day] = found.get(day, 0) + added
    return {day: max(0, rows) for day, rows in found.items()}


def _line(table: Table) -> Iterator[tuple[Snapshot, Snapshot | None]]:
    """The current snapshot and those that it came from, newest first, each with its parent, without compactions."""
    current = table.current_snapshot()
    yield from changes(ancestors(table, current.snapshot_id if current else None))
