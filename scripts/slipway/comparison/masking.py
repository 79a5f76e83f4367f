"""Values of rows in a report: masked where a contract classifies their column, or left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from slipway.comparison.results import ColumnComparison, Example, Row, TableComparison
from slipway.contracts.contract_files import look_at_all
from slipway.contracts.model import Contract
from slipway.secrets import MASK

_PUBLIC = "public"
_FEW = 10
"""Of fewer rows that differ, a sum tells what single rows have."""
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
    """The comparison with values of these columns, given in small letters, replaced by a mask; NULL stays.

    Nested values are masked as a whole if one of their fields has such a name. What single values can be worked out from is left out: the largest change of
    such a column, and its sums where few rows differ.
    """
    counts = table.rows
    are_few = counts.added + counts.removed + counts.changed + counts.within_tolerance < _FEW
    columns = tuple(_column(column, names) for column in table.columns)
    effects = tuple(one for one in table.effects if not (are_few and one.column.casefold() in names))
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
            "effects": effects,
            "added_examples": tuple(_row(row, names) for row in table.added_examples),
            "removed_examples": tuple(_row(row, names) for row in table.removed_examples),
        }
    )


def has_masked(table: TableComparison) -> bool:
    """Whether values of rows are masked."""
    rows = [*table.added_examples, *table.removed_examples]
    rows += [{"value": segment.value} for segment in table.segments]
    examples = [one for column in table.columns for one in column.examples]
    rows += [one.key for one in examples] + [{"base": one.base, "head": one.head} for one in examples]
    return any(MASK in row.values() for row in rows)


def without_rows(table: TableComparison) -> TableComparison:
    """The comparison without examples of rows, and without the values in which rows that differ agree."""
    columns = tuple(column.model_copy(update={"examples": ()}) for column in table.columns)
    return table.model_copy(
        update={"columns": columns, "added_examples": (), "removed_examples": (), "segments": ()}
    )


def _column(column: ColumnComparison, names: Collection[str]) -> ColumnComparison:
    examples = tuple(_example(one, column.name, names) for one in column.examples)
    hidden: dict[str, object] = {"largest_absolute_change": None, "largest_relative_change": None}
    return column.model_copy(
        update={"examples": examples, **(hidden if column.name.casefold() in names else {})}
    )


def _example(example: Example, column: str, names: Collection[str]) -> Example:
    return Example(
        key=_row(example.key, names),
        base=_value(column, example.base, names),
        head=_value(column, example.head, names),
    )


def _row(row: Row, names: Collection[str]) -> Row:
    return {name: _value(name, value, names) for name, value in row.items()}


def _value(column: str, value: str | None, names: Collection[str]) -> str | None:
    if value is None or not (column.casefold() in names or _has_field(value, names)):
        return value
    return MASK


def _has_field(value: str, names: Collection[str]) -> bool:
    """Whether the text of a struct, of a list of them, or of JSON has a field with one of some names."""
    if not value.startswith(("{", "[")):
        return False
    text = value.casefold()
    return any(f"{sign}{name}{sign}:" in text for name in names for sign in "'\"")
