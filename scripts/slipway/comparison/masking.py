"""Values of rows and sums in a report: hidden where a contract classifies their column, or left out."""

from __future__ import annotations

import re
from collections.abc import Collection

from slipway.comparison.results import ColumnComparison, Example, Row, TableComparison
from slipway.contracts.classification import Classifications
from slipway.secrets import MASK
from slipway.sql_text import literal, quote


def masked(table: TableComparison, classified: Classifications) -> TableComparison:
    """The comparison with what must not be shown of its table replaced by a mask or left out, as ``contracts.classification`` says; NULL stays.

    Nested values are masked as a whole if one of their fields is classified. Columns of which something is hidden are named in the result.
    """
    classified = classified.of_table(table.name)
    names = classified.hidden
    counts = table.rows
    differing = counts.added + counts.removed + counts.changed + counts.within_tolerance
    columns = tuple(_column(column, names) for column in table.columns)
    effects = tuple(one for one in table.effects if not classified.hides_sum(one.column, differing))
    segments = tuple(
        segment.model_copy(update={"value": MASK, "until": segment.until and MASK})
        if segment.column.casefold() in names
        else segment
        for segment in table.segments
    )
    hidden = {one.column for one in table.effects if one not in effects}
    hidden |= {one.name for one, shown in zip(table.columns, columns, strict=True) if one != shown}
    hidden |= {one.column for one, shown in zip(table.segments, segments, strict=True) if one != shown}
    added, removed = (
        tuple(_row(row, names) for row in rows) for rows in (table.added_examples, table.removed_examples)
    )
    for before, after in zip(
        (*table.added_examples, *table.removed_examples), (*added, *removed), strict=True
    ):
        hidden |= {name for name, value in before.items() if value != after[name]}
    return table.model_copy(
        update={
            "columns": columns,
            "segments": segments,
            "effects": effects,
            "added_examples": added,
            "removed_examples": removed,
            "hidden": tuple(sorted(hidden)),
        }
    )


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
    """Whether the text of a struct, of a map, of a list of them, or of JSON has a field with one of some names."""
    return bool(names) and bool(re.search(_field_pattern(names), value.lower()))


def with_field(column: str, names: Collection[str]) -> str:
    """SQL of whether a column holds a struct, a map, a list of them, or JSON, with a field that has one of some names, given in small letters."""
    return f"regexp_matches(lower({quote(column)}::varchar), {literal(_field_pattern(names))})"


def _field_pattern(names: Collection[str]) -> str:
    """What the text of a nested value with one of these fields matches: ``{'a': 1}`` of a struct, ``{a=1}`` of a map, ``{"a":1}`` of JSON."""
    listed = "|".join(re.escape(name) for name in sorted(names))
    return rf"""(?s)^[\[{{](.*[\[{{, '"])?({listed})['"]?[:=]"""
