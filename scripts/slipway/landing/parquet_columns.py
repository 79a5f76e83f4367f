"""The columns of a Parquet file, and whether DuckDB gives all of their values back.

DuckDB 1.5.5 gives a second column of a name another name, reads decimals of more than 38 digits as wrong numbers, and cuts nanoseconds from moments in UTC, from the
moments of older writers (INT96) and from times of day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slipway.counts import plural
from slipway.names import shown
from slipway.sql_text import exact, literal

_DIGITS = 38  # of a decimal in DuckDB
_ROWS = 65_536  # that are looked at together


class ParquetColumn(NamedTuple):
    """A column as the file's footer names it.

    Args:
        name: its name.
        digits: the most that a decimal in it has; 0 where there is none.
        is_cut: whether it may have nanoseconds that DuckDB cuts.
    """

    name: str
    digits: int
    is_cut: bool


def columns_of_footer(connection: duckdb.DuckDBPyConnection, path: str) -> list[ParquetColumn]:
    """The columns of a Parquet file at the top of its schema.

    Args:
        connection: reads the file.
        path: as DuckDB names it.
    """
    rows = connection.execute(
        f"select name, num_children, type, logical_type, precision from parquet_schema({literal(exact(path))})"
    ).fetchall()
    nodes = iter(rows)
    _, count, *_ = next(nodes)
    return [_column(nodes) for _ in range(count or 0)]


def _column(nodes: Iterator[tuple[Any, ...]]) -> ParquetColumn:
    name, children, kind, logical, precision = next(nodes)
    inner = [_column(nodes) for _ in range(children or 0)]
    is_nano = "NANOS=NanoSeconds()" in (logical or "")
    is_cut = kind == "INT96" or (is_nano and ("TimeType(" in logical or "isAdjustedToUTC=1" in logical))
    return ParquetColumn(
        name,
        max([precision or 0, *(one.digits for one in inner)]),
        is_cut or any(one.is_cut for one in inner),
    )


def problem_of(columns: Sequence[ParquetColumn]) -> str:
    """Why a file with such columns is set aside, whatever their values are; empty for no reason."""
    seen: set[str] = set()
    for column in columns:
        if column.name.lower() in seen:
            return f"has the column {shown(column.name)} twice, also where upper and lower case are not distinguished: the producer has to name each column once"
        seen.add(column.name.lower())
        if column.digits > _DIGITS:
            return (
                f"has decimals of {plural(column.digits, 'digit')} in the column {shown(column.name)}, and decimals of at most {_DIGITS} are read: the producer has to "
                "declare fewer, or to send text"
            )
    return ""


def cut_nanoseconds(stream: IO[bytes], columns: Sequence[str]) -> str:
    """The first of some columns with a value that has nanoseconds besides its microseconds; empty where none has.

    Args:
        stream: a Parquet file, which is read in any order.
        columns: names of columns at the top of its schema, with moments or times in them.

    Raises:
        OSError: the file cannot be read.
    """
    from pyarrow.parquet import ParquetFile

    for name in columns:
        exact_, cut = (
            ParquetFile(stream, coerce_int96_timestamp_unit=unit).iter_batches(_ROWS, columns=[name])
            for unit in ("ns", "us")
        )
        for one, other in zip(exact_, cut, strict=True):
            for fine, coarse in zip(_leaves(one.column(0)), _leaves(other.column(0)), strict=True):
                # INT96 before 1678 or after 2261 does not fit, and neither does the product: the difference does
                whole = _integers(coarse) if coarse.type.unit == "us" else _integers(coarse) // 1000
                if fine.type.unit == "ns" and np.any(_integers(fine) - whole * 1000):
                    return name
    return ""


def _leaves(values: pa.Array) -> Iterator[pa.Array]:
    """Moments and times of nanoseconds in a column, within lists, maps and structures, too."""
    kind = values.type
    if pa.types.is_struct(kind):
        for inner in values.flatten():
            yield from _leaves(inner)
    elif pa.types.is_map(kind):
        yield from _leaves(values.keys)
        yield from _leaves(values.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _leaves(values.flatten())
    elif pa.types.is_timestamp(kind) or pa.types.is_time64(kind):
        yield values


def _integers(values: pa.Array) -> NDArray[np.int64]:
    found: NDArray[np.int64] = values.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return found
