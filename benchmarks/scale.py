"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Sizes of one run of the benchmarks.

    Args:
        repeats: rounds of each comparison.
        apart: each measurement in a process of its own.
        builds: shape and number of rows of the tables that are built as a whole.
        merge_rows: rows of the table that is merged into.
        days: few and many, of the tables that grow by a day.
        snapshots: few and many, likewise.
        models: models of the generated project.
        wide_rows: rows of the table whose build is bounded in memory.
        small_files: data files that are put together.
        tables: tables of one release.
        landed_rows: rows of one landed file.
        landed_files: small files that land at once.
        compared_rows: rows of two tables that are compared by key.
        catalog_files: data files of one table that the run's catalog serves.
        catalog_tables: tables that it serves.
    """

    repeats: int
    apart: bool
    builds: tuple[tuple[str, int], ...]
    merge_rows: int
    days: tuple[int, int]
    snapshots: tuple[int, int]
    models: int
    wide_rows: int
    small_files: int
    tables: int
    landed_rows: int
    landed_files: int
    compared_rows: int
    catalog_files: int
    catalog_tables: int


SCALES = {
    "tiny": Scale(
        1,
        False,
        (("narrow", 20_000), ("wide", 2_000)),
        20_000,
        (2, 6),
        (2, 5),
        3,
        2_000,
        10,
        4,
        2_000,
        20,
        10_000,
        20,
        4,
    ),
    "small": Scale(
        3,
        True,
        (("narrow", 1_000_000), ("wide", 200_000)),
        1_000_000,
        (10, 200),
        (10, 200),
        50,
        1_000_000,
        2_000,
        100,
        1_000_000,
        10_000,
        10_000_000,
        10_000,
        1_000,
    ),
    "full": Scale(
        3,
        True,
        (("narrow", 1_000_000), ("narrow", 10_000_000), ("wide", 1_000_000), ("narrow", 50_000_000)),
        10_000_000,
        (10, 1000),
        (10, 1000),
        200,
        50_000_000,
        2_000,
        100,
        1_000_000,
        10_000,
        10_000_000,
        10_000,
        1_000,
    ),
}
