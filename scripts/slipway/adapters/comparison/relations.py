"""Compare two versions of a table inside DuckDB."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import duckdb

from slipway.adapters.comparison.keyed import compare_by_key
from slipway.adapters.comparison.multiset import compare_as_multiset
from slipway.adapters.comparison.pair import Pair, count_rows
from slipway.adapters.comparison.sql import Column, common_type
from slipway.domain.comparison.records import SchemaChanges, Side, TableComparison, TypeChange, not_compared
from slipway.domain.comparison.verdict import judge

if TYPE_CHECKING:
    from slipway.domain.comparison.policy import Tolerance

Types = dict[str, str]


def compare_relations(
    con: duckdb.DuckDBPyConnection,
    name: str,
    base: str | None,
    head: str | None,
    key: Sequence[str],
    *,
    ignore_columns: Collection[str] = (),
    tolerances: Mapping[str, Tolerance] | None = None,
    examples: int = 5,
) -> TableComparison:
    """Compare two relations and judge the result without any expected change.

    Both are read for their counts, for the uniqueness of the key, and in one join; only rows that differ
    are kept, in a temporary table of this connection. Names from the configuration match in any case.

    Args:
        con: a connection on which both relations can be read.
        name: the table's name in the result.
        base: SQL of the relation before the change, as it stands after ``from``; None when there is no table.
        head: the same after the change.
        key: columns that identify a row; empty compares whole rows as a multiset.
        ignore_columns: columns to leave out, unless they are part of the key.
        tolerances: by column name; they need a key.
        examples: how many examples to keep per column and per kind of row difference.

    Whatever keeps the tables from being compared, a query that DuckDB refuses included, becomes the verdict
    ``not_compared`` with the reason, so that one table never hides the results of the others.
    """
    try:
        if base is None or head is None:
            facts = _one_sided(con, name, base, head)
        else:
            facts = _two_sided(con, name, (base, head), key, ignore_columns, tolerances or {}, examples)
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        facts = not_compared(name, str(error).strip().splitlines()[0])
    return judge(facts)


def _one_sided(
    con: duckdb.DuckDBPyConnection, name: str, base: str | None, head: str | None
) -> TableComparison:
    sides = [
        Side(exists=relation is not None, rows=None if relation is None else count_rows(con, relation))
        for relation in (base, head)
    ]
    there = [side for side, relation in (("base", base), ("head", head)) if relation is not None]
    reason = f"only {there[0]} has the table" if there else "neither side has the table"
    return not_compared(name, reason).model_copy(update={"base": sides[0], "head": sides[1]})


def _two_sided(
    con: duckdb.DuckDBPyConnection,
    name: str,
    relations: tuple[str, str],
    key: Sequence[str],
    ignore_columns: Collection[str],
    tolerances: Mapping[str, Tolerance],
    examples: int,
) -> TableComparison:
    base_types, head_types = (_describe(con, relation) for relation in relations)
    unknown = _unknown_columns(key, tolerances, base_types | head_types)
    if unknown:
        return not_compared(name, unknown)
    ignored = {column.casefold() for column in ignore_columns} - {column.casefold() for column in key}
    schema, columns, left_out = _match_columns(base_types, head_types, ignored, tolerances)
    refusals = [refusal for column in columns if (refusal := column.refusal())]
    if refusals:
        return not_compared(name, "; ".join(refusals))
    pair = Pair(con, *relations, columns, examples)
    keys, note = _usable_key(pair, key)
    facts = compare_by_key(name, pair, keys) if keys else compare_as_multiset(name, pair)
    coverage = facts.coverage.model_copy(
        update={"not_compared": left_out, "notes": (*note, *facts.coverage.notes)}
    )
    return facts.model_copy(update={"schema_changes": schema, "coverage": coverage})


def _usable_key(pair: Pair, key: Sequence[str]) -> tuple[list[Column], tuple[str, ...]]:
    """The key's columns, or none and a note that says why rows cannot be matched by it."""
    columns = {column.name.casefold(): column for column in pair.columns}
    missing = [name for name in key if name.casefold() not in columns]
    if missing:
        return [], (f"key column {', '.join(missing)} cannot be matched on both sides: compared whole rows",)
    keys = [columns[name.casefold()] for name in key]
    repeated = pair.repeated_keys(keys) if keys else ""
    if repeated:
        return [], (f"the key ({', '.join(key)}) is not unique, {repeated}: compared whole rows",)
    return keys, ()


def _describe(con: duckdb.DuckDBPyConnection, relation: str) -> Types:
    """Column types by name, without reading data."""
    return {row[0]: row[1] for row in con.execute(f"describe select * from {relation}").fetchall()}


def _unknown_columns(key: Sequence[str], tolerances: Mapping[str, Tolerance], types: Types) -> str | None:
    known = {column.casefold() for column in types}
    unknown = sorted(column for column in {*key, *tolerances} if column.casefold() not in known)
    return f"neither side has the configured column {', '.join(unknown)}" if unknown else None


def _match_columns(
    base: Types, head: Types, ignored: Collection[str], tolerances: Mapping[str, Tolerance]
) -> tuple[SchemaChanges, list[Column], dict[str, str]]:
    """What happened to the schema, the columns to compare, and the others with the reason why not."""
    by_name = {column.casefold(): tolerance for column, tolerance in tolerances.items()}
    changes: list[TypeChange] = []
    columns: list[Column] = []
    left_out: dict[str, str] = {}
    for name in {**base, **head}:
        if name.casefold() in ignored:
            left_out[name] = "ignored"
        elif name not in base or name not in head:
            left_out[name] = f"only in {'head' if name in head else 'base'}"
        else:
            if base[name] != head[name]:
                changes.append(TypeChange(column=name, base=base[name], head=head[name]))
            type_ = common_type(base[name], head[name])
            if type_ is None:
                left_out[name] = f"{base[name]} and {head[name]} have no common type"
            else:
                tolerance = by_name.get(name.casefold())
                columns.append(Column(len(columns), name, base[name], head[name], type_, tolerance))
    schema = SchemaChanges(
        added={name: head[name] for name in left_out if name not in base and left_out[name] != "ignored"},
        removed={name: base[name] for name in left_out if name not in head and left_out[name] != "ignored"},
        type_changed=tuple(changes),
    )
    return schema, columns, left_out
