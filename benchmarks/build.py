"""A whole table, day-partitioned and compressed with zstd, from one Parquet file: only the write, without dbt."""

from __future__ import annotations

import time
from pathlib import Path

import duckdb

from benchmarks import data
from benchmarks.lake import COMPRESSION, SCHEMA, Lake
from benchmarks.measure import Contender, interleaved, ratio
from benchmarks.report import Figure, seconds
from benchmarks.scale import Scale

NAME = "build"
_FEW_ROWS = 10_000_000  # above, pyiceberg would need more memory than most machines have


def run(folder: Path, scale: Scale) -> tuple[list[Figure], list[str]]:
    """Build tables of every size of the scale."""
    figures, details = [], []
    largest = max(rows for _, rows in scale.builds if rows <= _FEW_ROWS)
    cases = [(shape, rows, False) for shape, rows in scale.builds] + [("narrow", largest, True)]
    for shape, rows, shuffled in cases:
        source = folder / "source.parquet"
        data.write_source(source, rows, shape, shuffled=shuffled)
        contenders = [
            Contender("slipway", slipway, (source,)),
            Contender("native table", native, (source,)),
            Contender("partitioned Parquet", parquet, (source,)),
        ]
        if rows <= _FEW_ROWS:
            contenders.append(Contender("pyiceberg append", pyiceberg_append, (source,)))
        measured = interleaved(
            contenders, scale.repeats if rows <= _FEW_ROWS else 3, folder, apart=scale.apart
        )
        source.unlink()
        what = f"{rows / 1e6:g} M {shape} rows{', shuffled' if shuffled else ''}"
        # rows that come in another order are sorted, which no goal speaks of
        goals = (None, None) if shuffled else (1.5, 0.5)
        figures.append(Figure(NAME, f"{what}: slipway to native table", ratio(*measured[:2]), goal=goals[0]))
        figures.append(
            Figure(NAME, f"{what}: slipway to partitioned Parquet", ratio(measured[0], measured[2]))
        )
        if len(measured) > 3:
            figures.append(
                Figure(
                    NAME,
                    f"{what}: slipway to pyiceberg append",
                    ratio(measured[0], measured[3]),
                    goal=goals[1],
                )
            )
        details.append(seconds(f"{NAME}, {what}", measured))
    return figures, details


def slipway(folder: Path, source: Path) -> float:
    """Stage and publish one Iceberg table."""
    lake = Lake(folder)
    lake.warm()
    began = time.perf_counter()
    lake.write("events", f"select * from '{source}'", partitioned_by=["day"])
    return time.perf_counter() - began


def native(folder: Path, source: Path) -> float:
    """What dbt-duckdb's ``table`` does: a table in a DuckDB file, and a checkpoint when the file is closed."""
    connection = duckdb.connect(folder / "native.duckdb")
    connection.execute("set enable_progress_bar = false")
    began = time.perf_counter()
    connection.execute(f"create table events as select * from '{source}'")
    connection.close()
    return time.perf_counter() - began


def parquet(folder: Path, source: Path) -> float:
    """What dbt-duckdb's ``external`` does: Parquet files, here by day."""
    connection = duckdb.connect()
    connection.execute("set enable_progress_bar = false")
    began = time.perf_counter()
    connection.execute(
        f"copy (select * from '{source}') to '{folder}/events' "
        "(format parquet, compression zstd, partition_by (day), write_partition_columns true)"
    )
    return time.perf_counter() - began


def pyiceberg_append(folder: Path, source: Path) -> float:
    """An Iceberg table written by pyiceberg from Arrow, compressed as DuckDB does."""
    from pyiceberg.transforms import IdentityTransform

    lake = Lake(folder)
    catalog = lake.tables.catalog
    lake.warm()
    began = time.perf_counter()
    rows = lake.connection.sql(f"select * from '{source}'").to_arrow_table()
    table = catalog.create_table((SCHEMA, "events"), rows.schema, properties=COMPRESSION)
    with table.update_spec() as update:
        update.add_field("day", IdentityTransform(), "day")
    table.append(rows)
    return time.perf_counter() - began
