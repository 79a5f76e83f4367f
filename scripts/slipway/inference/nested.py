"""What objects, arrays and maps of a feed hold, which raw keeps as JSON: every value inside is looked at as that of a column is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import duckdb

from slipway.contracts.classification import strictest
from slipway.contracts.nested_values import at_key, exact_numbers
from slipway.counts import plural
from slipway.inference.column_facts import facts_of
from slipway.inference.column_types import judged
from slipway.inference.findings import InferredColumn
from slipway.inference.form import JSON_NUMBERS, model_names
from slipway.inference.raw_rows import RAW
from slipway.inference.value_types import Conventions
from slipway.sql_text import quote

_MOST_KEYS = 100
_FEW_KEYS = 20  # up to which the keys of an object are taken for names, however few of them an object has
_DEEPEST = 8
_INSIDE = "nested_values"


class _UndescribedError(Exception):
    """A value that the contract does not describe further; the message is what a person should know."""


@dataclass(frozen=True)
class Nested:
    """A column of objects, arrays or maps.

    Args:
        column: with what is inside, or as text where that cannot be said.
        doubts: sentences for a person.
    """

    column: InferredColumn
    doubts: Sequence[str]


def nested_kind(kinds: frozenset[str]) -> str:
    """The logical type of values that files state to be nested: ``object``, ``array`` or ``map``; empty where they are not all of one such type.

    Args:
        kinds: as DuckDB calls the types of JSON or Parquet.
    """
    found = {_logical(kind) for kind in kinds - {"NULL"}}
    return found.pop() if len(found) == 1 else ""


def nested(
    connection: duckdb.DuckDBPyConnection, column: InferredColumn, kind: str, feed: Conventions
) -> Nested:
    """A column with its properties, items or values.

    Args:
        connection: has the table ``RAW``.
        column: as it would be as text.
        kind: what ``nested_kind`` says.
        feed: what holds for all columns.
    """
    text = quote(column.header)
    connection.execute(
        f"create or replace temp table {_INSIDE}_0 as select {text}::json as json, ({exact_numbers(text)})::json as exact "
        f"from {RAW} where json_valid({text})"
    )
    doubts: list[str] = []
    try:
        found = _Inside(connection, feed, doubts).of(kind, column, 0, "")
    except _UndescribedError as error:
        return Nested(column, [f"it stays text, because {error}"])
    inside = strictest(_classifications(found))
    return Nested(replace(found, classification=inside), doubts)


def _logical(kind: str) -> str:
    if kind.endswith("]") or kind == "ARRAY":
        return "array"
    if kind.startswith("MAP("):
        return "map"
    return "object" if kind == "OBJECT" or kind.startswith("STRUCT(") else ""


def _classifications(column: InferredColumn) -> Iterator[str]:
    if column.classification:
        yield column.classification
    for inner in column.inside:
        yield from _classifications(inner)


def _items(json: str) -> str:
    return f"unnest(json_extract({json}, '$[*]'))"


def _values(json: str) -> str:
    return f"unnest(json_extract({json}, '$.*'))"


class _Inside:
    """Properties, items and values, level by level; each level has a table of its own with the values as JSON, with their kinds and with all of their digits."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, feed: Conventions, doubts: list[str]) -> None:
        self._connection, self._feed, self._doubts = connection, feed, doubts

    def of(self, kind: str, column: InferredColumn, level: int, path: str) -> InferredColumn:
        """A column of a nested type whose values are in the table of a level."""
        if level >= _DEEPEST:
            raise _UndescribedError(f"values are nested in more than {_DEEPEST} others")
        if kind == "object":
            keys = self._keys(level, path)
            names = model_names(keys)
            inside = [
                self._one(
                    key, names[key], level, partial(at_key, key=key), f"{path}.{names[key]}".lstrip(".")
                )
                for key in keys
            ]
        elif kind == "array":
            inside = [self._one("", "", level, _items, f"{path} items".strip())]
        else:
            inside = [self._one("", "", level, _values, f"{path} values".strip())]
        return replace(column, logical_type=kind, physical_type="", options={}, inside=inside)

    def _one(
        self, header: str, name: str, level: int, value: Callable[[str], str], path: str
    ) -> InferredColumn:
        """What is under a key, or in all items or values."""
        table = f"{_INSIDE}_{level + 1}"
        self._connection.execute(
            f"create or replace temp table {table} as select {value('json')} as json, {value('exact')} as exact from {_INSIDE}_{level}"
        )
        rows = self._connection.execute(
            f"select distinct json_type(json) from {table} where json is not null"
        ).fetchall()
        kinds = frozenset(JSON_NUMBERS.get(row[0], row[0]) for row in rows)
        column = InferredColumn(name, header)
        if kind := nested_kind(kinds):
            return self.of(kind, column, level + 1, path)
        if kinds & {"OBJECT", "ARRAY"}:
            raise _UndescribedError(
                f"{path} is nested in some rows, and in others not"
                if path
                else "items are nested in some rows, and in others not"
            )
        facts = facts_of(self._connection, "json_extract_string(exact, '$')", table, kinds)
        # there are no settings of files inside: no value stands for NULL, and blanks count
        found = judged(name, facts, self._feed, is_inside=True)
        self._doubts += [f"{path}: {doubt}" for doubt in found.doubts]
        decision = found.decision
        return replace(
            column,
            logical_type=decision.logical_type,
            physical_type=decision.physical_type,
            options=dict(decision.options),
            classification=found.personal.classification if found.personal else "",
        )

    def _keys(self, level: int, path: str) -> list[str]:
        """Keys of objects, in the order in which they occur first."""
        rows = self._connection.execute(
            f"select key, count(*), any_value(objects) from (select unnest(json_keys(json)) as key, generate_subscripts(json_keys(json), 1) as place, "
            f"row_number() over () as line, count(*) over () as objects from {_INSIDE}_{level} where json_type(json) = 'OBJECT') "
            "group by key order by min(line), min(place)"
        ).fetchall()
        where = f" of {path}" if path else ""
        if not rows:
            raise _UndescribedError(f"no object{where} has a key")
        found = [str(row[0]) for row in rows]
        filled = self._connection.execute(
            f"select count(*) from {_INSIDE}_{level} where json_type(json) = 'OBJECT'"
        ).fetchall()[0][0]
        average = sum(row[1] for row in rows) / max(filled, 1)
        if len(found) > _MOST_KEYS or (len(found) > _FEW_KEYS and average * 4 < len(found)):
            raise _UndescribedError(
                f"objects{where} have {plural(len(found), 'different key')}, as a map has: describe them with logicalType map, and the new data_type in the model's YAML"
            )
        return found
