"""Values of rows in a report: masked where a contract classifies their column, or left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from slipway.comparison.results import Example, Row, TableComparison
from slipway.contracts.contract_files import look_at_all
from slipway.contracts.model import Contract
from slipway.secrets import MASK

_PUBLIC = "public"
MASKED = f"Values that a contract classifies are shown as {MASK}; --show-classified shows them"
"""A remark on a report."""


def classified_names(project: Path, dbt_manifest: Mapping[str, Any] | None) -> set[str]:
    """Names of columns, in small letters, that a contract of the project, or ``meta`` of a model, classifies other than as public.

    They count in every table, because models pass columns on under their names. A column that a model renames is found only if its new name is
    classified, too. Contracts with mistakes are passed over.

    Args:
        project: folder of dbt_project.yml.
        dbt_manifest: dbt's manifest, None where it is not known.
    """
    contracts = [reading.contract for reading in look_at_all(project) if reading.contract]
    found = classifications(contracts, dbt_manifest)
    return {name for name, given in found.items() if given != {_PUBLIC}}


def classifications(
    contracts: Iterable[Contract], dbt_manifest: Mapping[str, Any] | None
) -> dict[str, set[str]]:
    """How contracts, and ``meta`` of models, classify columns: names of columns to all classifications that are given to one of this name, in small letters."""
    found: dict[str, set[str]] = defaultdict(set)
    for contract in contracts:
        for column in (column for table in contract.tables for column in table.columns):
            if column.classification:
                for name in (column.name, column.header):
                    found[name.casefold()].add(column.classification.casefold())
    for node in ((dbt_manifest or {}).get("nodes") or {}).values():
        for name, column in (node.get("columns") or {}).items():
            if given := classification_of(column):
                found[name.casefold()].add(given)
    return found


def classification_of(described: Mapping[str, Any]) -> str:
    """How ``meta`` of a model or a column in dbt's manifest classifies it, in small letters; empty where it does not."""
    meta = {**(described.get("meta") or {}), **((described.get("config") or {}).get("meta") or {})}
    return str(meta.get("classification") or "").casefold()


def masked(table: TableComparison, names: Collection[str]) -> TableComparison:
    """The comparison with values of these columns, given in small letters, replaced by a mask; NULL stays."""
    columns = tuple(
        column.model_copy(
            update={"examples": tuple(_example(one, column.name, names) for one in column.examples)}
        )
        for column in table.columns
    )
    segments = tuple(
        segment.model_copy(update={"value": MASK, "until": segment.until and MASK})
        if segment.column.casefold() in names
        else segment
        for segment in table.segments
    )
    return table.model_copy(
        update={
            "columns": columns,
            "segments": segments,
            "added_examples": tuple(_row(row, names) for row in table.added_examples),
            "removed_examples": tuple(_row(row, names) for row in table.removed_examples),
        }
    )


def has_masked(table: TableComparison) -> bool:
    """Whether values of rows are masked."""
    rows = [*table.added_examples, *table.removed_examples]
    examples = [one for column in table.columns for one in column.examples]
    rows += [one.key for one in examples] + [{"base": one.base, "head": one.head} for one in examples]
    return any(MASK in row.values() for row in rows)


def without_rows(table: TableComparison) -> TableComparison:
    """The comparison without examples of rows."""
    columns = tuple(column.model_copy(update={"examples": ()}) for column in table.columns)
    return table.model_copy(update={"columns": columns, "added_examples": (), "removed_examples": ()})


def _example(example: Example, column: str, names: Collection[str]) -> Example:
    hidden = column.casefold() in names
    return Example(
        key=_row(example.key, names),
        base=MASK if hidden and example.base is not None else example.base,
        head=MASK if hidden and example.head is not None else example.head,
    )


def _row(row: Row, names: Collection[str]) -> Row:
    return {
        name: MASK if value is not None and name.casefold() in names else value for name, value in row.items()
    }
