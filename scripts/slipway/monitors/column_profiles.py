"""Profiles of columns by business day: how they are made, which of them count, and where they are kept, ``ops.column_profiles``.

The table lies outside of releases, like the ledger. Each row says which content it describes: the files of its day where the table is partitioned by it, and the
snapshot. So a profile of a release that was rolled back, or of a run that was never published, does not count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from enum import StrEnum

import duckdb
import pyarrow as pa
from pyiceberg import types as ice
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.schema import Schema
from pyiceberg.table import Table

from slipway.engines.duckdb.database import open_database
from slipway.errors import ConfigError, SlipwayError, UnavailableError
from slipway.iceberg.commit import create_namespace, writing
from slipway.iceberg.metadata_files import rows_of, summary_of
from slipway.iceberg.schema import listed, top_level
from slipway.iceberg.tables import Tables
from slipway.monitors.verdicts import DayOfValues
from slipway.names import TableName
from slipway.sql_text import literal, quote

PROFILES = TableName("ops", "column_profiles")
QUANTILES = 100
"""Evenly spaced: at 0.5 %, 1.5 % and so on. 100 points give shares of a bin to 1 %."""
MOST_VALUES = 50
_LONGEST = 256  # characters of a value that are kept
_EXACT_ROWS = 5_000_000  # exact quantiles hold all values of a column in memory
_COMPACT_AFTER = 50  # files; then the table is written as one again, without what is too old
_VERSIONS = 3  # profiles of one column and day that are kept, of which a rollback may need an earlier one
_ATTEMPTS = 5

_SCHEMA = pa.schema(
    [
        pa.field("table_name", pa.string()),
        pa.field("column_name", pa.string()),
        pa.field("business_date", pa.date32()),
        pa.field("row_count", pa.int64()),
        pa.field("null_count", pa.int64()),
        pa.field("distinct_count", pa.int64()),
        pa.field("minimum", pa.string()),
        pa.field("maximum", pa.string()),
        pa.field("mean", pa.float64()),
        pa.field("quantiles", pa.list_(pa.float64())),
        pa.field("top_values", pa.list_(pa.string())),
        pa.field("top_rows", pa.list_(pa.int64())),
        pa.field("content", pa.string()),
        pa.field("snapshot_id", pa.string()),
        pa.field("run_id", pa.string()),
        pa.field("profiled_at", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True)
class ColumnProfile:
    """What a column was like on one day.

    Args:
        table_name: ``layer.table``.
        column_name: of the table.
        business_date: the day.
        row_count: of the day.
        null_count: of the column.
        distinct_count: values, approximately.
        minimum: as text; None of a classified column.
        maximum: likewise.
        mean: of numbers; None of a classified column.
        quantiles: of numbers, and of the seconds between the beginning of the day and a time.
        top_values: the most frequent texts, the first first.
        top_rows: rows that have them.
        content: changes when the day's files do, or the table where it is not partitioned by the day.
        snapshot_id: the content of the table.
        run_id: which made the profile.
        profiled_at: when, UTC.
    """

    table_name: str
    column_name: str
    business_date: date
    row_count: int
    null_count: int
    distinct_count: int
    minimum: str | None
    maximum: str | None
    mean: float | None
    quantiles: Sequence[float] | None
    top_values: Sequence[str] | None
    top_rows: Sequence[int] | None
    content: str
    snapshot_id: str
    run_id: str
    profiled_at: datetime

    @property
    def values(self) -> DayOfValues:
        """How the values are distributed."""
        rows = self.row_count - self.null_count
        if self.top_values is None:
            return DayOfValues(rows, quantiles=self.quantiles or [])
        return DayOfValues(rows, shares=dict(zip(self.top_values, self.top_rows or (), strict=True)))

    @property
    def measured(self) -> tuple[object, ...]:
        """What identifies a profile, whoever made it."""
        quantiles, values, rows = (
            tuple(one or ()) for one in (self.quantiles, self.top_values, self.top_rows)
        )
        return self.row_count, self.null_count, self.minimum, self.maximum, quantiles, values, rows


class Kind(StrEnum):
    """What is measured of a column."""

    NUMBER = "number"
    TEXT = "text"
    TIME = "time"
    OTHER = "other"


def kind_of(column: ice.NestedField) -> Kind:
    """What is measured of a column of a table."""
    match column.field_type:
        case ice.IntegerType() | ice.LongType() | ice.FloatType() | ice.DoubleType() | ice.DecimalType():
            return Kind.NUMBER
        case ice.StringType() | ice.BooleanType() | ice.UUIDType():
            return Kind.TEXT
        case ice.DateType() | ice.TimestampType() | ice.TimestamptzType():
            return Kind.TIME
    return Kind.OTHER


@dataclass(frozen=True)
class DayColumn:
    """The column that says of which business day a row is.

    Args:
        name: of the table.
        day: SQL for the day.
        bound: SQL type of bounds on the column itself, by which files are left out.
    """

    name: str
    day: str
    bound: str

    @classmethod
    def of(cls, schema: Schema, name: str, table: str) -> DayColumn:
        """The column of that name.

        Raises:
            ConfigError: there is none, or it holds no days.
        """
        field = top_level(schema, name)
        if field is None:
            raise ConfigError(f"{table} has no column {name}", fix=f"Use one of {listed(schema)}")
        column = quote(field.name)
        match field.field_type:
            case ice.DateType():
                return cls(field.name, column, "date")
            case ice.TimestampType():
                return cls(field.name, f"{column}::date", "timestamp")
            case ice.TimestamptzType():
                return cls(field.name, f"timezone('UTC', {column})::date", "timestamptz")
        raise ConfigError(
            f"{name} of {table} holds no days",
            f"its type is {field.field_type}",
            "Name a column of dates or timestamps",
        )

    def between(self, first: date, last: date) -> str:
        """A condition for rows of some days."""
        zone = "+00" if self.bound == "timestamptz" else ""
        time = "" if self.bound == "date" else f" 00:00:00{zone}"
        begins, ends = (f"{literal(f'{day}{time}')}::{self.bound}" for day in (first, last))
        return f"{quote(self.name)} >= {begins} and {quote(self.name)} < {ends} + interval 1 day"


def profile_columns(
    cursor: duckdb.DuckDBPyConnection,
    relation: str,
    schema: Schema,
    days: DayColumn,
    condition: str,
    *,
    rows: int,
    classified: Collection[str],
) -> list[dict[str, object]]:
    """Measure the columns of a table by day: fields of ``ColumnProfile`` from ``column_name`` to ``top_rows``.

    One scan measures all columns, and one for each column of texts finds its most frequent values. Of a classified column nothing but counts is measured.

    Args:
        cursor: of the thread.
        relation: an item of FROM.
        schema: of the table.
        days: which column says the day.
        condition: which rows are measured.
        rows: how many there are, about; with many of them quantiles are approximate.
        classified: names of columns of which no value may be kept, in small letters.

    Raises:
        duckdb.Error: the table cannot be read.
    """
    columns = list(schema.fields)
    hidden = [column.name.casefold() in classified for column in columns]
    parts = [
        part
        for column, hide in zip(columns, hidden, strict=True)
        for part in _measures(column, days, rows, hide=hide)
    ]
    found = cursor.execute(
        f"select {days.day} as __day, count(*), {', '.join(parts)} from {relation} "
        f"where {condition} and {days.day} is not null group by __day order by __day"
    ).fetchall()
    tops = {
        column.name: _top_values(cursor, relation, quote(column.name), days, condition)
        for column, hide in zip(columns, hidden, strict=True)
        if kind_of(column) is Kind.TEXT and not hide
    }
    profiles: list[dict[str, object]] = []
    for day, count, *measured in found:
        for at, column in enumerate(columns):
            known, distinct, minimum, maximum, mean, quantiles = measured[6 * at : 6 * at + 6]
            top = tops[column.name].get(day, []) if column.name in tops else None
            profiles.append(
                {
                    "column_name": column.name,
                    "business_date": day,
                    "row_count": count,
                    "null_count": count - known,
                    "distinct_count": distinct,
                    "minimum": minimum,
                    "maximum": maximum,
                    "mean": mean,
                    "quantiles": quantiles,
                    "top_values": None if top is None else [value for value, _ in top],
                    "top_rows": None if top is None else [number for _, number in top],
                }
            )
    return profiles


def _measures(column: ice.NestedField, days: DayColumn, rows: int, *, hide: bool) -> list[str]:
    """SQL of six measures: values, distinct values, minimum, maximum, mean and quantiles."""
    name, kind = quote(column.name), kind_of(column)
    counts = [f"count({name})", f"approx_count_distinct({name})" if kind is not Kind.OTHER else "null"]
    if hide or kind is Kind.OTHER:
        return [*counts, "null", "null", "null", "null"]
    bounds = [f"left({one}({name})::varchar, {_LONGEST})" for one in ("min", "max")]
    if kind is Kind.TEXT:
        return [*counts, *bounds, "null", "null"]
    number = f"{name}::double"
    if kind is Kind.TIME:
        number = f"(epoch({name}) - epoch({days.day}::timestamp))::double"
    finite = f"filter (where isfinite({name if kind is Kind.TIME else number}))"
    mean = f"avg({number}) {finite}" if kind is Kind.NUMBER else "null"
    points = ", ".join(str((at + 0.5) / QUANTILES) for at in range(QUANTILES))
    function = "quantile_disc" if rows <= _EXACT_ROWS else "approx_quantile"
    return [*counts, *bounds, mean, f"{function}({number}, [{points}]) {finite}"]


def _top_values(
    cursor: duckdb.DuckDBPyConnection, relation: str, name: str, days: DayColumn, condition: str
) -> dict[date, list[tuple[str, int]]]:
    rows = cursor.execute(
        f"""
        select {days.day} as __day, left({name}::varchar, {_LONGEST}) as __value, count(*) as __rows
        from {relation} where {condition} and {days.day} is not null and {name} is not null group by __day, __value
        qualify row_number() over (partition by __day order by __rows desc, __value) <= {MOST_VALUES}
        order by __day, __rows desc, __value
        """
    ).fetchall()
    found: dict[date, list[tuple[str, int]]] = {}
    for day, value, count in rows:
        found.setdefault(day, []).append((value, count))
    return found


def counted(
    profiles: Iterable[ColumnProfile], contents: Mapping[date, str], line: Collection[str]
) -> list[ColumnProfile]:
    """Profiles of what is or was published, the last one of each column and day.

    Args:
        profiles: of one table.
        contents: of its days as they are published.
        line: contents of the current snapshot and of those that it came from.
    """
    found: dict[tuple[str, date], ColumnProfile] = {}
    for one in sorted(profiles, key=lambda one: one.profiled_at):
        if contents.get(one.business_date) == one.content or one.snapshot_id in line:
            found[one.column_name, one.business_date] = one
    return list(found.values())


def stored_profiles(stored: Table | None, table: TableName, first: date | None = None) -> list[ColumnProfile]:
    """Profiles that were kept of a table.

    Args:
        stored: ``ops.column_profiles``; None where there is none yet.
        table: whose profiles.
        first: from this day on.

    Raises:
        DamagedTableError: a file of it is missing or damaged.
        UnavailableError: one cannot be read.
    """
    if stored is None:
        return []
    wanted = f"table_name == '{table}'" + (f" and business_date >= '{first}'" if first else "")
    try:
        rows = stored.scan(row_filter=wanted).to_arrow()
    except SlipwayError:
        raise
    except Exception:
        rows_of(stored)  # its error says which file it is
        raise
    return [ColumnProfile(**row) for row in rows.to_pylist()]


def keep_profiles(tables: Tables, profiles: Sequence[ColumnProfile], days: int) -> None:
    """Add profiles to ``ops.column_profiles``; the table is made when it is not there.

    Args:
        tables: of the environment.
        profiles: to be added.
        days: how many days before the newest of a table profiles are kept, when the table is compacted.

    Raises:
        UnavailableError: it cannot be written.
    """
    rows = pa.Table.from_pylist([asdict(one) for one in profiles], schema=_SCHEMA)
    with writing(tables):
        create_namespace(tables, PROFILES.namespace)
        location = f"{tables.environment.warehouse}/{'/'.join(PROFILES)}"
        tables.catalog.create_table_if_not_exists(PROFILES, schema=_SCHEMA, location=location)
        for _ in range(_ATTEMPTS):
            table = tables.catalog.load_table(PROFILES)
            try:
                if int(summary_of(table.current_snapshot()).get("total-data-files", "0")) < _COMPACT_AFTER:
                    table.append(rows)
                else:
                    all_rows = pa.concat_tables([rows_of(table).cast(_SCHEMA), rows])
                    table.overwrite(retained(all_rows, days))
            except CommitFailedException:
                continue  # another run was quicker
            return
    raise UnavailableError(f"{PROFILES} cannot be written", "others write it all the time", "Run again")


def retained(rows: pa.Table, days: int) -> pa.Table:
    """The rows of ``ops.column_profiles`` that are kept: of the last days of each table, and few versions of each column and day."""
    with open_database() as connection:
        connection.register("profiles", rows)
        return (
            connection.execute(
                f"""
            from profiles
            qualify business_date > max(business_date) over (partition by table_name) - {int(days)}
                and row_number() over (
                    partition by table_name, column_name, business_date order by profiled_at desc
                ) <= {_VERSIONS}
            order by table_name, column_name, business_date, profiled_at
            """
            )
            .to_arrow_table()
            .cast(_SCHEMA)
        )
