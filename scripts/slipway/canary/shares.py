"""How much of each table a canary compared, where it built both sides from a part of the input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from slipway.comparison.results import Method, TableComparison
from slipway.environments.environment import Environment
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.records.promotion_records import ComparedRows
from slipway.records.store import Records
from slipway.releases.publication import figures
from slipway.releases.published import visible_tables


def with_whole_rows(tables: Sequence[TableComparison], environment: Environment) -> list[TableComparison]:
    """Comparisons with the rows that their tables have where they are published.

    Args:
        tables: as they were compared.
        environment: where the inputs are published.
    """
    reading = Tables(environment)
    shown = visible_tables(reading, Records(environment)).locations
    found = []
    for table in tables:
        name = TableName.parse(table.name)
        rows = figures(reading.load(name, shown[name]))["rows"] if name in shown else None
        coverage = table.coverage.model_copy(update={"whole_rows": rows})
        found.append(table.model_copy(update={"coverage": coverage}))
    return found


def compared_rows(tables: Sequence[TableComparison], *, is_whole: bool) -> dict[str, ComparedRows]:
    """Rows that were compared of the tables that base has, of those that each has in all.

    Args:
        tables: as they were compared.
        is_whole: both sides were built from the whole input.
    """
    return {
        table.name: ComparedRows(
            rows=0 if table.coverage.method is Method.NONE else table.base.rows,
            of=table.base.rows if is_whole else table.coverage.whole_rows,
        )
        for table in tables
        if table.base.exists
    }


def least_compared(tables: Sequence[TableComparison]) -> Iterator[str]:
    """A sentence about the table of which the smallest share was compared, where that is less than all."""
    shares = {
        name: rows for name, rows in compared_rows(tables, is_whole=False).items() if rows.percent is not None
    }
    if not shares:
        return
    name = min(shares, key=lambda one: (shares[one].percent or 0.0, one))
    least = shares[name]
    if least.rows is not None and least.of is not None and least.rows < least.of:
        yield (
            f"A part of the input was compared: of {name}, which is covered least, {least.rows:,} of {least.of:,} rows"
            f" ({least.percent:.3g} %)"
        )
