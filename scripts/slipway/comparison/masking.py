"""Values of rows in a report: masked where a contract classifies their column, or left out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from slipway.comparison.results import Example, Row, TableComparison
from slipway.contracts.contract_files import look_at_all
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
    found: dict[str, Any] = {}
    for reading in look_at_all(project):
        for table in reading.contract.tables if reading.contract else ():
            for column in table.columns:
                if column.classification:
                    found |= dict.fromkeys((column.name, column.header), column.classification)
    described = (dbt_manifest or {}).get("nodes") or {}
    for node in described.values():
        for name, column in (node.get("columns") or {}).items():
            meta = {**(column.get("meta") or {}), **((column.get("config") or {}).get("meta") or {})}
            if meta.get("classification"):
                found.setdefault(name, meta["classification"])
    return {name.casefold() for name, given in found.items() if str(given).casefold() != _PUBLIC}


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
