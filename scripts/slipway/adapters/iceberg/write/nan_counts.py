"""How many NaN each written file holds.

COPY's statistics tell of the last row group alone. But DuckDB leaves the bounds of a row group out of the
footer when it holds a NaN, so that only files with such a row group are read, and only their float columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import duckdb
from pyiceberg import types as ice
from pyiceberg.schema import Schema

from slipway.adapters.iceberg.schema import parquet_schema
from slipway.adapters.iceberg.types import exact, literal, quote
from slipway.adapters.iceberg.write.metrics import WrittenFile

NanCounts = Mapping[str, Mapping[int, int]]
"""Path of a file to field id to number of NaN."""


def nan_counts(
    cursor: duckdb.DuckDBPyConnection, written: Sequence[WrittenFile], schema: Schema
) -> NanCounts:
    """NaN of every float and double that has bounds: columns and fields of structs, not what is in lists and maps.

    Args:
        cursor: where the files can be read.
        written: files of ``schema``.
        schema: their columns and field ids.
    """
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
    """Field id and SQL of every float that is a column or inside structs alone."""

    def walk(field: ice.NestedField, expression: str) -> Iterator[tuple[int, str]]:
        match field.field_type:
            case ice.FloatType() | ice.DoubleType():
                yield field.field_id, expression
            case ice.StructType(fields=children):
                for child in children:
                    yield from walk(child, f"struct_extract({expression}, {literal(child.name)})")

    for column in schema.fields:
        yield from walk(column, quote(column.name))
