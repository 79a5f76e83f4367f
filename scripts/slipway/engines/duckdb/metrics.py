"""COPY's RETURN_STATS as Iceberg data files: partition values and column metrics, with the NaN counts that COPY lacks.

A wrong bound silently loses rows, so whatever is not certain is left out: no upper bound for floats that may
be NaN (which sorts last in DuckDB), no bounds inside lists and maps, and long values are cut as the Iceberg
specification says, with the upper bound rounded up. Partition values that a reader would not find again are refused.

COPY's statistics describe only the last row group. But DuckDB leaves the bounds of a row group out of the
footer when it holds a NaN, so that only files with such a row group are read, and only their float columns.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Context, Decimal
from typing import Any

import duckdb
from pyiceberg import transforms
from pyiceberg import types as ice
from pyiceberg.conversions import to_bytes
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.typedef import Record

from slipway.errors import ContractError
from slipway.iceberg.partitioning import PartitionColumn
from slipway.iceberg.schema import parquet_schema
from slipway.iceberg.types import parts_of
from slipway.sql_text import exact, literal, quote

BOUND_LENGTH = 64
_STATS_CUT = 256  # DuckDB cuts the text of a statistic here, without saying so
_PART = re.compile(r'"((?:[^"]|"")*)"|([^".]+)')
_REPAIR = "Filter or repair these rows, or partition by another column"
_EPOCH = datetime(1970, 1, 1)
_WIDE = Context(prec=38)


@dataclass(frozen=True)
class WrittenFile:
    """One row of RETURN_STATS.

    Args:
        path: location of the file as COPY wrote it.
        records: number of rows.
        size: bytes.
        statistics: column path to DuckDB's statistics, values as text.
        partition: helper column to partition value as text.
    """

    path: str
    records: int
    size: int
    statistics: Mapping[str, Mapping[str, str]]
    partition: Mapping[str, str | None]

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> WrittenFile:
        """Read a row ``(filename, count, size, footer size, column statistics, partition keys)``."""
        return cls(row[0], int(row[1]), int(row[2]), row[4] or {}, row[5] or {})


def data_file(
    written: WrittenFile,
    location: str,
    schema: Schema,
    spec_id: int,
    partition: Record,
    nans: Mapping[int, int],
    sort_order_id: int | None = None,
) -> DataFile:
    """The Iceberg data file for what COPY wrote; a float whose field id has no number of NaN may hold any."""
    result = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=location,
        file_format=FileFormat.PARQUET,
        partition=partition,
        record_count=written.records,
        file_size_in_bytes=written.size,
        **_metrics(written, schema, nans),
        nan_value_counts=dict(nans),
        key_metadata=None,
        split_offsets=None,
        equality_ids=None,
        sort_order_id=sort_order_id,
    )
    result.spec_id = spec_id
    return result


def null_count(written: Sequence[WrittenFile], column: str) -> int | None:
    """NULLs in a top-level column over all files; None for a nested column, of which only the parts are counted."""
    key, total = quote(column).lower(), 0
    for file in written:
        found = [stats for path, stats in file.statistics.items() if path.lower() == key]
        if not found:
            return None
        total += int(found[0]["null_count"])
    return total


def _metrics(written: WrittenFile, schema: Schema, nans: Mapping[int, int]) -> dict[str, Any]:
    """Fields of the data file, by field id."""
    leaves = dict(_leaves(schema))
    found: dict[str, Any] = {
        name: {}
        for name in ("column_sizes", "value_counts", "null_value_counts", "lower_bounds", "upper_bounds")
    }
    for path, stats in written.statistics.items():
        leaf, bounded = leaves[_split(path)]
        number = leaf.field_id
        found["column_sizes"][number] = int(stats["column_size_bytes"])
        if not bounded:
            continue
        found["value_counts"][number] = int(stats["num_values"])
        found["null_value_counts"][number] = int(stats["null_count"])
        if (low := _bound(leaf.field_type, stats.get("min"), upper=False)) is not None:
            found["lower_bounds"][number] = low
        if isinstance(leaf.field_type, ice.FloatType | ice.DoubleType) and nans.get(number) != 0:
            continue
        if (high := _bound(leaf.field_type, stats.get("max"), upper=True)) is not None:
            found["upper_bounds"][number] = high
    return found


def _leaves(schema: Schema) -> Iterator[tuple[tuple[str, ...], tuple[ice.NestedField, bool]]]:
    def walk(
        item: ice.NestedField, path: tuple[str, ...], *, bounded: bool
    ) -> Iterator[tuple[tuple[str, ...], tuple[ice.NestedField, bool]]]:
        if item.field_type.is_primitive:
            yield path, (item, bounded)
        bounded = bounded and isinstance(item.field_type, ice.StructType)
        for child in parts_of(item.field_type):
            yield from walk(child, (*path, child.name), bounded=bounded)

    for top in schema.fields:
        yield from walk(top, (top.name,), bounded=True)


def _split(path: str) -> tuple[str, ...]:
    """``"a"."b""c"`` as its parts."""
    return tuple(quoted.replace('""', '"') or plain for quoted, plain in _PART.findall(path))


def _bound(kind: ice.IcebergType, text: str | None, *, upper: bool) -> bytes | None:
    if text is None:
        return None
    try:
        match kind:
            case ice.StringType():
                return _cut_text(text, upper=upper)
            case ice.BinaryType():
                return _cut_bytes(bytes.fromhex(text), stats_cut=len(text) >= _STATS_CUT, upper=upper)
            case ice.UUIDType():
                return uuid.UUID(text).bytes
            case ice.FloatType() | ice.DoubleType():
                return _float_bound(kind, float(text), upper=upper)
            case ice.DecimalType():
                value = Decimal(text).quantize(Decimal(1).scaleb(-kind.scale), context=_WIDE)
                return to_bytes(kind, value)
            case ice.FixedType():
                return None
        return to_bytes(kind, iceberg_value(kind, text))  # type: ignore[arg-type]
    except (ValueError, ArithmeticError, OverflowError):
        # Extremes that Python cannot hold ("infinity", years before Christ): no bound is always right.
        return None


def iceberg_value(kind: ice.IcebergType, text: str) -> Any:
    """What DuckDB writes as text as Iceberg keeps it: whole numbers, also for dates and times; else decimals and text.

    Raises:
        ValueError: a date or time outside of the years 1 to 9999.
    """
    match kind:
        case ice.BooleanType():
            return text.lower() in ("true", "1", "t")
        case ice.IntegerType() | ice.LongType():
            return int(text)
        case ice.DecimalType():
            return Decimal(text)
        case ice.DateType():
            return (date.fromisoformat(text) - _EPOCH.date()).days
        case ice.TimeType():
            moment = datetime.combine(_EPOCH, time.fromisoformat(text))
        case ice.TimestampType() | ice.TimestamptzType():
            moment = datetime.fromisoformat(text)
            if offset := moment.utcoffset():  # text of a session in another time zone
                moment -= offset
            moment = moment.replace(tzinfo=None)
        case _:
            return text
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _float_bound(kind: ice.IcebergType, value: float, *, upper: bool) -> bytes | None:
    if math.isnan(value):
        return None
    zero = 0.0 if upper else -0.0  # equal to DuckDB, not to every reader
    return to_bytes(kind, zero if value == 0 else value)  # type: ignore[arg-type]


def _cut_text(text: str, *, upper: bool) -> bytes | None:
    cut = len(text.encode()) >= _STATS_CUT or len(text) > BOUND_LENGTH
    kept = text[:BOUND_LENGTH] if cut else text
    if not (cut and upper):
        return kept.encode()
    for at in range(len(kept) - 1, -1, -1):
        point = ord(kept[at]) + 1
        if 0xD800 <= point <= 0xDFFF:
            point = 0xE000
        if point <= 0x10FFFF:
            return (kept[:at] + chr(point)).encode()
    return None


def _cut_bytes(value: bytes, *, stats_cut: bool, upper: bool) -> bytes | None:
    cut = stats_cut or len(value) > BOUND_LENGTH
    kept = value[:BOUND_LENGTH] if cut else value
    if not (cut and upper):
        return kept
    for at in range(len(kept) - 1, -1, -1):
        if kept[at] != 0xFF:
            return kept[:at] + bytes([kept[at] + 1])
    return None


NanCounts = Mapping[str, Mapping[int, int]]
"""Path of a file to field id to number of NaN."""


def nan_counts(
    cursor: duckdb.DuckDBPyConnection, written: Sequence[WrittenFile], schema: Schema
) -> NanCounts:
    """NaN of every float and double that has bounds: columns and fields of structs, not what is in lists and maps."""
    floats = dict(_floats(schema))
    if not written or not floats:
        return {}
    found = {file.path: dict.fromkeys(floats, 0) for file in written}
    suspects = cursor.execute(
        f"select distinct file_name from parquet_metadata([{_listed(list(found))}]) "
        "where type in ('FLOAT', 'DOUBLE') and stats_min is null and coalesce(stats_null_count, 0) < num_values"
    ).fetchall()
    if suspects:
        paths = [str(row[0]) for row in suspects]
        counted = ", ".join(f"count(*) filter (where isnan({expression}))" for expression in floats.values())
        relation = (
            f"read_parquet([{_listed(paths)}], hive_partitioning = false, schema = {parquet_schema(schema)}, "
            "filename = '__slipway_file')"
        )
        rows = cursor.execute(f"select __slipway_file, {counted} from {relation} group by all").fetchall()
        found |= {path: dict(zip(floats, counts, strict=True)) for path, *counts in rows}
    return found


def _listed(paths: Sequence[str]) -> str:
    return ", ".join(literal(exact(path)) for path in paths)


def _floats(schema: Schema) -> Iterator[tuple[int, str]]:
    """Field id and SQL of every float that is a column or only inside structs."""

    def walk(field: ice.NestedField, expression: str) -> Iterator[tuple[int, str]]:
        match field.field_type:
            case ice.FloatType() | ice.DoubleType():
                yield field.field_id, expression
            case ice.StructType(fields=children):
                for child in children:
                    yield from walk(child, f"struct_extract({expression}, {literal(child.name)})")

    for column in schema.fields:
        yield from walk(column, quote(column.name))


def partition_keys(values: Sequence[str | None]) -> dict[str, str | None]:
    """Partition values as ``partition_record`` expects them of a file."""
    return {f"__partition_{number}": value for number, value in enumerate(values)}


def partition_record(
    file: WrittenFile, partition: Sequence[PartitionColumn], spec: PartitionSpec, schema: Schema
) -> Record:
    """The partition of a file.

    Raises:
        ContractError: a value that cannot be named, or rows that a reader would lose.
    """
    values = [
        partition_value(file.partition[f"__partition_{number}"], column.result_type)
        for number, column in enumerate(partition)
    ]
    for column, value in zip(partition, values, strict=True):
        if value is None:
            _check_missing(column, file)
        else:
            _check_wrapped(column, value)
            _check_letters(column, value)
            _check_rounded(column, value, file)
    try:
        spec.partition_to_path(Record(*values), schema)  # the snapshot's summary is going to name it
    except (OverflowError, ValueError):
        raise _nameless(", ".join(map(str, file.partition.values()))) from None
    return Record(*values)


def partition_value(text: str | None, kind: ice.IcebergType) -> Any:
    """A value of COPY's ``partition_keys`` as pyiceberg keeps it in a partition record.

    Raises:
        ContractError: a date or time outside of the years 1 to 9999.
    """
    if text is None:
        return None
    try:
        return iceberg_value(kind, text)
    except ValueError:
        raise _nameless(text) from None


def _nameless(value: str) -> ContractError:
    return ContractError(
        f"Rows cannot be partitioned by {value}",
        "a partition's dates and times lie in the years 1 to 9999",
        _REPAIR,
    )


def _check_missing(column: PartitionColumn, file: WrittenFile) -> None:
    """Only NULL has the partition NULL; readers look for any other value elsewhere."""
    if int(file.statistics.get(quote(column.source), {}).get("null_count", file.records)) < file.records:
        raise _refused(column, "a value has none, such as infinity")


def _check_letters(column: PartitionColumn, value: Any) -> None:
    """DuckDB truncates text to so many letters as people see them, Iceberg to so many code points."""
    transform = column.transform
    if not isinstance(transform, transforms.TruncateTransform) or not isinstance(value, str):
        return
    if len(value) > transform.width:
        raise _refused(
            column,
            f"a letter of {value!r} is more than one code point, and readers would not agree on its partition",
            "Partition by bucket, or by another column",
        )


def _check_wrapped(column: PartitionColumn, value: Any) -> None:
    """Truncating a number next to the smallest of its type gives one next to the largest, or one digit more."""
    transform, kind = column.transform, column.source_type
    if not isinstance(transform, transforms.TruncateTransform):
        return
    wrapped = isinstance(value, int) and value % transform.width
    long = isinstance(kind, ice.DecimalType) and len(value.as_tuple().digits) > kind.precision
    if wrapped or long:
        raise _refused(column, "a value is so close to the smallest of its type that truncating it overflows")


def _check_rounded(column: PartitionColumn, value: Any, file: WrittenFile) -> None:
    """DuckDB's reader rounds times before 1970 up when it looks for a day or a month, and misses their rows."""
    transform = column.transform
    if not isinstance(transform, transforms.DayTransform | transforms.MonthTransform) or value >= 0:
        return
    if isinstance(column.source_type, ice.DateType):
        return
    if isinstance(transform, transforms.MonthTransform):
        start = f"{1970 + value // 12:04d}-{1 + value % 12:02d}-01 00:00:00"
    else:
        start = f"{date(1970, 1, 1) + timedelta(days=value)} 00:00:00"
    statistics = file.statistics.get(quote(column.source), {})
    if {str(statistics.get(end)).removesuffix("+00") for end in ("min", "max")} != {start}:
        raise _refused(
            column,
            f"DuckDB's reader does not find times before 1970 in it, such as {statistics.get('min')}",
            "Partition by year or hour, or by a date",
        )


def _refused(column: PartitionColumn, why: str, fix: str = _REPAIR) -> ContractError:
    return ContractError(f"Rows cannot be partitioned by {column.transform} of {column.source}", why, fix)
