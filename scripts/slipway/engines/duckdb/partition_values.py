"""Partition values of what COPY wrote, and the refusal of those that a reader would not find again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from pyiceberg import transforms
from pyiceberg import types as ice
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.typedef import Record

from slipway.engines.duckdb.metrics import WrittenFile, iceberg_value
from slipway.errors import ContractError
from slipway.iceberg.partitioning import PartitionColumn
from slipway.iceberg.types import quote


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
        "Filter or repair these rows, or partition by another column",
    )


def _check_missing(column: PartitionColumn, file: WrittenFile) -> None:
    """Only NULL has the partition NULL; readers look for any other value elsewhere."""
    if int(file.statistics.get(quote(column.source), {}).get("null_count", file.records)) < file.records:
        raise ContractError(
            f"Rows cannot be partitioned by {column.transform} of {column.source}",
            "a value has none, such as infinity",
            "Filter or repair these rows, or partition by another column",
        )


def _check_letters(column: PartitionColumn, value: Any) -> None:
    """DuckDB truncates text to so many letters as people see them, Iceberg to so many code points."""
    transform = column.transform
    if not isinstance(transform, transforms.TruncateTransform) or not isinstance(value, str):
        return
    if len(value) > transform.width:
        raise ContractError(
            f"Rows cannot be partitioned by {transform} of {column.source}",
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
        raise ContractError(
            f"Rows cannot be partitioned by {transform} of {column.source}",
            "a value is so close to the smallest of its type that truncating it overflows",
            "Filter or repair these rows, or partition by another column",
        )


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
        raise ContractError(
            f"Rows cannot be partitioned by {transform} of {column.source}",
            f"DuckDB's reader does not find times before 1970 in it, such as {statistics.get('min')}",
            "Partition by year or hour, or by a date",
        )
