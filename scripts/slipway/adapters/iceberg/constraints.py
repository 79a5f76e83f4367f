"""Contracts: what a query must look like before, and hold after, it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import duckdb
from duckdb.sqltypes import DuckDBPyType

from slipway.adapters.iceberg.metrics import WrittenFile, null_count
from slipway.adapters.iceberg.types import quote
from slipway.domain.errors import ContractError


@dataclass(frozen=True)
class Contract:
    """An enforced dbt contract.

    Args:
        columns: name to declared data type, None where a column has no type.
        not_null: columns without NULL.
        unique: sets of columns without duplicates (NULLs do not count, as in SQL).
        checks: SQL conditions that no row may break.
    """

    columns: dict[str, str | None]
    not_null: Sequence[str] = ()
    unique: Sequence[Sequence[str]] = ()
    checks: Sequence[str] = ()


@dataclass
class Violations:
    """Everything that was found, reported at once."""

    model: str
    found: list[str] = field(default_factory=list)

    def raise_any(self) -> None:
        """Raise one ContractError that names them all, if there are any."""
        if self.found:
            raise ContractError(
                f"{self.model} breaks its contract",
                "; ".join(self.found),
                "fix the model or change the contract",
            )


def check_shape(
    cursor: duckdb.DuckDBPyConnection,
    model: str,
    contract: Contract,
    columns: Sequence[tuple[str, DuckDBPyType]],
) -> None:
    """Compare names and exact types of a query with the contract.

    Raises:
        ContractError: one message with every difference.
    """
    violations = Violations(model)
    declared = {name.lower(): (name, kind) for name, kind in contract.columns.items()}
    have = {name.lower(): kind for name, kind in columns}
    for lowered, (name, wanted) in declared.items():
        if lowered not in have:
            violations.found.append(f"column {name} is declared and not in the query")
        elif wanted and (expected := _normal(cursor, wanted, model, name)) != str(have[lowered]):
            violations.found.append(f"{name} is {have[lowered]}, declared {expected}")
    violations.found += [
        f"column {name} is in the query and not declared"
        for name, _ in columns
        if name.lower() not in declared
    ]
    violations.raise_any()


def check_written(
    cursor: duckdb.DuckDBPyConnection,
    model: str,
    contract: Contract,
    written: Sequence[WrittenFile],
    candidate: str,
) -> None:
    """Check constraints on what was written.

    Args:
        cursor: where to run the scan.
        model: for messages.
        contract: the constraints.
        written: the new files; their NULL counts are free.
        candidate: a relation over the whole candidate table, for uniqueness and conditions.

    Raises:
        ContractError: one message with every violation.
    """
    violations = Violations(model)
    labels, expressions = [], []
    for column in contract.not_null:
        count = null_count(written, column)
        if count is None:
            labels.append(f"not_null {column}")
            expressions.append(f"count(*) filter (where {quote(column)} is null)")
        elif count:
            violations.found.append(f"not_null {column}: {count} rows")
    for columns in contract.unique:
        listed = ", ".join(quote(column) for column in columns)
        complete = " and ".join(f"{quote(column)} is not null" for column in columns)
        labels.append(f"unique {', '.join(columns)}")
        expressions.append(
            f"count(*) filter (where {complete}) - count(distinct ({listed})) filter (where {complete})"
        )
    for condition in contract.checks:
        labels.append(f"check {condition}")
        expressions.append(f"count(*) filter (where not ({condition}))")
    if expressions and written:
        counts = cursor.execute(f"select {', '.join(expressions)} from {candidate}").fetchone()
        assert counts is not None
        violations.found += [
            f"{label}: {count} rows" for label, count in zip(labels, counts, strict=True) if count
        ]
    violations.raise_any()


def _normal(cursor: duckdb.DuckDBPyConnection, kind: str, model: str, column: str) -> str:
    try:
        row = cursor.execute(f"select typeof(null::{kind})").fetchone()
    except duckdb.Error:
        raise ContractError(
            f"{model}: column {column} declares data_type {kind}",
            "DuckDB has no such type",
            "use a DuckDB type name",
        ) from None
    assert row is not None
    return str(row[0])
