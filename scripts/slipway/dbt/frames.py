"""What a Python model returns, as something DuckDB reads: batches one after the other, never all at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import duckdb

from slipway.errors import ContractError

if TYPE_CHECKING:
    import pyarrow as pa


def register(cursor: duckdb.DuckDBPyConnection, name: str, frame: Any, model: str) -> list[ContractError]:
    """Make a data frame, Arrow table, reader or relation, or an iterator of such batches, readable by name.

    Returns:
        Where a refusal of a batch is put: Arrow and DuckDB, which read batches later, make an error of their own of it.

    Raises:
        ContractError: it is nothing that has columns.
    """
    refused: list[ContractError] = []
    if isinstance(frame, Iterator) and not hasattr(frame, "__arrow_c_stream__"):
        frame = _reader(frame, model, refused)
    _check_names(frame, model)
    try:
        cursor.register(name, frame)
    except duckdb.Error as error:
        raise ContractError(
            f"{model}: what the model returned cannot be read",
            str(error).split("\n", 1)[0],
            "Return a relation, a data frame, an Arrow table or reader, or yield batches of them",
        ) from None
    return refused


def _check_names(frame: Any, model: str) -> None:
    """Refuse two columns of one name, of which DuckDB would rename the second."""
    import pyarrow as pa

    schema = getattr(frame, "schema", None)
    names = schema.names if isinstance(schema, pa.Schema) else getattr(frame, "columns", ())
    used: set[str] = set()
    for name in map(str, names):
        if name.casefold() in used:
            raise ContractError(
                f"{model}: column {name} occurs twice", fix="Give each column a name of its own"
            )
        used.add(name.casefold())


def _reader(parts: Iterator[Any], model: str, refused: list[ContractError]) -> pa.RecordBatchReader:
    import pyarrow as pa

    batches = (batch for part in parts for batch in _batches(part, model))
    first = next(batches, None)
    if first is None:
        raise ContractError(
            f"{model}: the model yielded no batch", "its columns are not known", "Yield one without rows"
        )

    def same() -> Iterator[pa.RecordBatch]:
        try:
            for batch in batches:
                yield _checked(batch, first.schema, model)
        except ContractError as error:
            refused.append(error)
            raise

    return pa.RecordBatchReader.from_batches(first.schema, chain([first], same()))


def _batches(part: Any, model: str) -> list[pa.RecordBatch]:
    import pyarrow as pa

    if isinstance(part, pa.RecordBatch):
        return [part]
    if isinstance(part, pa.Table):
        return part.to_batches() or [pa.RecordBatch.from_pylist([], schema=part.schema)]
    if hasattr(part, "to_dict") and hasattr(part, "columns"):
        try:
            batch = pa.RecordBatch.from_pandas(part, preserve_index=False)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise ContractError(
                f"{model}: the model yielded a data frame that Arrow cannot hold",
                " ".join(str(error).split()),
                "Give each column one type and a name of its own",
            ) from None
        _check_times(part, model)
        return [batch]
    raise ContractError(
        f"{model}: the model yielded a {type(part).__name__}",
        "it is no batch of rows",
        "Yield Arrow batches or tables, or pandas data frames",
    )


def _check_times(frame: Any, model: str) -> None:
    """Refuse dates mixed with times, and times with a zone mixed with times without: Arrow would take the first for all."""
    for name in frame.columns:
        if frame[name].dtype != object:
            continue
        kinds = {
            (isinstance(value, dt.datetime), getattr(value, "tzinfo", None) is not None)
            for value in frame[name]
            if isinstance(value, dt.date)
        }
        if len(kinds) > 1:
            raise ContractError(
                f"{model}: column {name} has dates and times, or times with and without a zone, in one column",
                "they are of different types",
                "Give the column one",
            )


def _checked(batch: pa.RecordBatch, schema: pa.Schema, model: str) -> pa.RecordBatch:
    import pyarrow as pa

    if batch.schema.equals(schema):
        return batch
    if batch.schema.names == schema.names and all(
        pa.types.is_null(field.type) or field.type == schema.field(at).type
        for at, field in enumerate(batch.schema)
    ):
        return batch.cast(schema)  # a column of which pandas has no value has no type
    raise ContractError(
        f"{model}: the model yielded batches of different columns",
        f"first {_types(schema)}, then {_types(batch.schema)}",
        "Give each batch the same names and types",
    )


def _types(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
