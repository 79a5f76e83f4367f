"""What ``slipway advise`` says: nothing comforts where nothing is known."""

from __future__ import annotations

import pytest

from slipway.cli.advise import advice
from slipway.engines.writers import DUCKDB, SPARK
from slipway.runs.sizing import Fit, Sizing, Sizings

COMFORT = "one machine is enough"


def table(name: str, fit: Fit, engine: str = DUCKDB) -> Sizing:
    return Sizing(f"serving.{name}", engine, fit, 1, int(fit is not Fit.UNKNOWN), 1.0, None, None, None, None)


def said(*tables: Sizing) -> list[str]:
    return advice(Sizings(list(tables), 3))


def test_all_tables_fit_only_where_each_was_measured() -> None:
    assert said(table("a", Fit.FITS), table("b", Fit.FITS)) == [
        "All tables that were built in 3 runs fit into memory: one machine is enough."
    ]


@pytest.mark.parametrize("others", [[], [table("b", Fit.FITS)]])
def test_tables_of_spark_are_said_to_be_unknown(others: list[Sizing]) -> None:
    (line,) = said(*others, table("a", Fit.UNKNOWN, SPARK), table("c", Fit.UNKNOWN, SPARK))
    assert line == (
        "The memory of serving.a, serving.c is not known, because Spark computes them in a process of its own."
    )


def test_tables_that_were_not_measured_and_how_to_measure_them() -> None:
    (line,) = said(table("a", Fit.FITS), table("b", Fit.UNKNOWN))
    assert line == (
        "The memory of 1 table is not known, because no slipway run built it while it built no other table. "
        "slipway run --force --threads 1 measures every table that DuckDB computes."
    )
    both = said(table("b", Fit.UNKNOWN), table("c", Fit.UNKNOWN), table("a", Fit.UNKNOWN, SPARK))
    assert [line[:45] for line in both] == [
        "The memory of 2 tables is not known, because ",
        "The memory of serving.a is not known, because",
    ]


@pytest.mark.parametrize("fit", [Fit.SPILLS, Fit.CLOSE, Fit.UNKNOWN])
def test_nothing_comforts_where_one_table_does_not_fit(fit: Fit) -> None:
    assert not any(COMFORT in line for line in said(table("a", Fit.FITS), table("b", fit)))
