"""``merge``, ``delete+insert`` and, where files are partitioned otherwise, ``insert_overwrite`` as one MERGE of Spark.

Keys, conditions and expressions of the first two are DuckDB's.

DuckDB binds all of it first, on tables without rows, so that a name or a clause that it refuses is refused in its words. Then every expression
is translated for itself, typed by the columns of the table and of the query, and cast to the column that it is assigned to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema

from slipway.engines.duckdb.merge_clauses import DEST, PREDICATES, SOURCE, Clause, MergeClauses
from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.rewrite import Scratch, explained
from slipway.engines.duckdb.strategies import MergeTerms, check_later, parts_of_key, spared_rows
from slipway.engines.spark.translation.scopes import quoted, text_literal
from slipway.engines.spark.translation.translate import translate_expression
from slipway.errors import ConfigError
from slipway.iceberg.schema import by_name, casts, find_column, own_casts
from slipway.iceberg.types import duckdb_type
from slipway.sql_text import quote

KEYED = ("merge", "delete+insert")
"""The strategies by which rows change because of their keys."""

_CONDITION = "BOOLEAN"
_IS_NEW = "__slipway_inserted"  # no column has such a name


@dataclass(frozen=True)
class KeyedChange:
    """How rows of a table change by the key of a request, as Spark's SQL.

    Args:
        keys: each part of the key of a row of the query.
        found_by: the same of a row of the table.
        shown: the same for messages, as DuckDB's writer shows it.
        distinct: a key may be there only once.
        selected: what is selected of the query's rows, each time all of them, instead of the rows themselves.
        on: the condition under which a row of the source meets one of the table.
        meets: the same for a row of the query.
        clauses: what becomes of rows; empty where nothing does.
        columns: of the query's rows, in their order.
        nulls: a part of the key may be NULL.
    """

    keys: Sequence[str]
    found_by: Sequence[str]
    shown: Sequence[str]
    distinct: bool
    on: str
    meets: str
    clauses: Sequence[str]
    columns: Sequence[str]
    selected: Sequence[str] = ()
    nulls: bool = False

    def statement(self, table: str, rows: str) -> str:
        """The MERGE.

        Args:
            table: in quotes.
            rows: a view of the query's rows.
        """
        using = rows
        if self.selected:
            each = (f"select {one} from {rows} as {quoted(SOURCE)}" for one in self.selected)
            using = f"({' union all '.join(each)})"
        return f"merge into {table} as {quoted(DEST)} using {using} as {quoted(SOURCE)} on {self.on} {' '.join(self.clauses)}"

    def replaced(
        self, table: str, rows: str, names: Sequence[str], *, distinct: bool, earlier: str = ""
    ) -> str:
        """A query of the number of rows of the table that the query meets, and did not give before.

        Args:
            table: in quotes.
            rows: a view of the query's rows.
            names: the columns that both have.
            distinct: no two rows of the query are alike; of a merge, a row that comes again as it is then does not count.
            earlier: a view of what the query gives on its inputs of before; empty if that is nothing.
        """
        listed = ", ".join(_of(DEST, name) for name in names)
        found = f"select {listed} from {table} as {quoted(DEST)} left semi join {rows} as {quoted(SOURCE)} on {self.meets}"
        if self.distinct and distinct:
            found = f"({found}) except all (select {', '.join(map(quoted, names))} from {rows})"
        if earlier:
            found = (
                f"(select {', '.join(self.found_by)} from ({found}) as {quoted(DEST)}) "
                f"except all (select {', '.join(self.keys)} from {earlier} as {quoted(SOURCE)})"
            )
        return f"select count(*) as replaced from ({found})"

    def gone(self, rows: str, earlier: str) -> str:
        """A query of the number of keys that the query gave before and does not give now.

        Args:
            rows: a view of the query's rows.
            earlier: a view of what the query gives on its inputs of before.
        """
        before, now = (
            f"select {', '.join(self.keys)} from {view} as {quoted(SOURCE)}" for view in (earlier, rows)
        )
        return f"select count(*) as gone from (({before}) except ({now}))"


def keyed_change(
    cursor: duckdb.DuckDBPyConnection,
    request: WriteRequest,
    kinds: Mapping[str, str],
    query: Schema,
    target: Schema,
) -> KeyedChange:
    """The change that a request of ``merge`` or ``delete+insert`` asks for.

    Args:
        cursor: DuckDB's, on which keys, predicates and clauses are bound.
        request: the query, and what is configured.
        kinds: DuckDB types of the query's columns.
        query: the schema of its result.
        target: the schema of the table.

    Raises:
        ConfigError: DuckDB cannot carry it out, or a part of it is not translated.
    """
    source = f"(\n{request.sql}\n)"
    check_later(cursor, replace(request, later=request.strategy), target, casts(query, target, source))
    if request.strategy == "delete+insert":
        return _delete_insert(request, target)
    nothing = f"{own_casts(query, target, source)} limit 0"
    with Scratch(cursor) as scratch, explained(request):
        terms = MergeTerms(scratch, target, query, nothing, request)
        terms.bind()
    known = by_name(target)
    of_source = {
        (known[name.lower()].name if name.lower() in known else name): (
            duckdb_type(known[name.lower()].field_type) if name.lower() in known else kind
        )
        for name, kind in kinds.items()
    }
    return _Merge(request, target, of_source).change(terms.clauses, [field.name for field in terms.keys])


class _Merge:
    """A merge whose expressions are translated.

    Args:
        request: what is configured.
        target: the schema of the table.
        source: DuckDB types by column of the query's rows, as they are called in the table.
    """

    def __init__(self, request: WriteRequest, target: Schema, source: Mapping[str, str]) -> None:
        self.request, self.target, self.source = request, target, source
        self.pair = {DEST: _kinds(target), SOURCE: source}

    def change(self, clauses: MergeClauses, keys: Sequence[str]) -> KeyedChange:
        equal = [f"{_of(SOURCE, key)} = {_of(DEST, key)}" for key in keys]
        predicates = _predicates(self.request, self.request.predicates, self.pair)
        on = " and ".join([*equal, *predicates])
        return KeyedChange(
            keys=[_of(SOURCE, key) for key in keys],
            found_by=[_of(DEST, key) for key in keys],
            shown=[quote(key) for key in keys],
            distinct=True,
            on=on,
            meets=on,
            clauses=[
                *self._clauses(clauses.matched, self.pair),
                *self._clauses(clauses.not_matched, {SOURCE: self.source}),
                *self._clauses(clauses.by_source, {DEST: self.pair[DEST]}),
            ],
            columns=list(self.source),
        )

    def _clauses(self, clauses: Sequence[Clause], sources: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
        """Clauses of one kind. The first that holds is applied, so those after DO NOTHING, which Spark does not have, hold only where it does not."""
        held_off: list[str] = []
        for clause in clauses:
            own = self._translated(clause.condition, _CONDITION, sources) if clause.condition else ""
            if clause.action == "do_nothing":
                held_off.append(f"not coalesce({own or 'true'}, false)")
                continue
            conditions = [*held_off, *([own] if own else [])]
            condition = "".join(f" and {one}" for one in conditions)
            yield f"when {clause.when.lower()}{condition} then {self._then(clause, sources)}"

    def _then(self, clause: Clause, sources: Mapping[str, Mapping[str, str]]) -> str:
        if clause.action == "delete":
            return "delete"
        if clause.action == "error":
            said = f"Merge error condition WHEN {clause.when}" + (
                f": {clause.message}" if clause.message else ""
            )
            first = self.target.fields[0]
            return self._set_or_insert(clause, {first.name: f"raise_error({text_literal(said)})"})
        return self._set_or_insert(clause, dict(self._assigned(clause, sources)))

    def _set_or_insert(self, clause: Clause, values: Mapping[str, str]) -> str:
        if clause.when != "NOT MATCHED BY TARGET":
            parts = (f"{_of(DEST, name)} = {value}" for name, value in values.items())
            return f"update set {', '.join(parts)}"
        names = [field.name for field in self.target.fields]
        given = (values.get(name, "null") for name in names)
        return f"insert ({', '.join(map(quoted, names))}) values ({', '.join(given)})"

    def _assigned(
        self, clause: Clause, sources: Mapping[str, Mapping[str, str]]
    ) -> Iterator[tuple[str, str]]:
        if clause.assigned is None:
            pairs = [
                (quote(field.name), f"{SOURCE}.{quote(name)}")
                for field, name in zip(self.target.fields, self.source, strict=True)
            ]
        else:
            pairs = list(clause.assigned)
        for column, expression in pairs:
            field = find_column(self.target, column)
            if field is None:
                raise ConfigError(
                    f"{self.request.model} cannot be computed by Spark",
                    f"a clause sets {column}, which is no column of the table",
                    "Set a column as a whole",
                )
            yield field.name, self._translated(expression, duckdb_type(field.field_type), sources)

    def _translated(self, text: str, kind: str, sources: Mapping[str, Mapping[str, str]]) -> str:
        return translate_expression(text, sources, kind, "the merge", self.request.model)


def replaced_partitions(target: Schema, spec: PartitionSpec, catalog: str) -> KeyedChange:
    """The change that replaces each partition of which the query has a row, in files of any partitioning.

    A row of the table goes if the partition that it would be in now is one of the query's; Iceberg's own functions say which one that is.

    Args:
        target: the schema of the table.
        spec: its present partition spec.
        catalog: by which Spark finds Iceberg's functions.
    """

    def parts(alias: str) -> Iterator[str]:
        for field in spec.fields:
            column = _of(alias, target.find_column_name(field.source_id) or "")
            yield partition_value_of(str(field.transform), column, catalog)

    return _replacement(target, list(parts(SOURCE)), list(parts(DEST)), nulls=True)


def partition_value_of(transform: str, column: str, catalog: str) -> str:
    """An expression of Spark for the partition of a row, by Iceberg's own functions.

    Args:
        transform: as Iceberg writes it, such as ``bucket[16]``.
        column: SQL of what it is made from.
        catalog: by which Spark finds the functions.
    """
    name, *number = re.split(r"[\[\]]", transform)
    if name == "identity":
        return column
    arguments = f"{number[0]}, {column}" if number else column
    return f"{quoted(catalog)}.system.{_FUNCTIONS.get(name, name)}({arguments})"


_FUNCTIONS = {"year": "years", "month": "months", "day": "days", "hour": "hours"}
"""Transforms that Iceberg's functions of Spark have under other names."""


def _delete_insert(request: WriteRequest, target: Schema) -> KeyedChange:
    kinds = _kinds(target)
    ours, theirs = (
        [
            _of(alias, field.name)
            if (field := find_column(target, entry))
            else translate_expression(entry, {alias: kinds}, "", "unique_key", request.model)
            for entry in request.unique_key
        ]
        for alias in (SOURCE, DEST)
    )
    predicates, names_source = spared_rows(request.predicates)
    pair = {DEST: kinds, SOURCE: kinds} if names_source else {DEST: kinds}
    return _replacement(
        target,
        ours,
        theirs,
        shown=parts_of_key(target, request.unique_key)[1],
        predicates=_predicates(request, predicates, pair),
        names_source=names_source,
    )


def _replacement(
    target: Schema,
    ours: Sequence[str],
    theirs: Sequence[str],
    *,
    shown: Sequence[str] = (),
    predicates: Sequence[str] = (),
    names_source: bool = False,
    nulls: bool = False,
) -> KeyedChange:
    """Rows that go and rows that come are those of one source: in its first part every key stands to delete by, and in the second every row to be inserted.

    A MERGE with a single clause that deletes does not ask whether a row of the table is met by several of the source.

    Args:
        target: the schema of the table.
        ours: parts of the key of a row of the query.
        theirs: the same of a row of the table.
        shown: the same for messages.
        predicates: further conditions for a row of the table to go.
        names_source: whether these use columns of the query.
        nulls: whether NULL is a value of a key like any other, and otherwise it is refused.
    """
    columns = [field.name for field in target.fields]
    names = [f"__slipway_key_{at}" for at in range(len(ours))]
    every = [f"{_of(SOURCE, name)} as {quoted(name)}" for name in columns]
    without = [f"null as {quoted(name)}" for name in columns]
    deleting = [
        *(f"{key} as {quoted(name)}" for key, name in zip(ours, names, strict=True)),
        *(every if names_source else without),
        f"false as {quoted(_IS_NEW)}",
    ]
    inserting = [*(f"null as {quoted(name)}" for name in names), *every, f"true as {quoted(_IS_NEW)}"]
    same = "<=>" if nulls else "="
    equal = [f"{_of(SOURCE, name)} {same} {key}" for name, key in zip(names, theirs, strict=True)]
    meeting = [f"{our} {same} {their}" for our, their in zip(ours, theirs, strict=True)]
    flag = _of(SOURCE, _IS_NEW)
    values = ", ".join(_of(SOURCE, name) for name in columns)
    return KeyedChange(
        keys=ours,
        found_by=theirs,
        shown=shown,
        distinct=False,
        on=" and ".join([f"not {flag}", *equal, *predicates]),
        meets=" and ".join([*meeting, *predicates]),
        clauses=[
            "when matched then delete",
            f"when not matched and {flag} then insert ({', '.join(map(quoted, columns))}) values ({values})",
        ],
        columns=columns,
        selected=[
            ("" if names_source else "distinct ") + ", ".join(deleting),
            ", ".join(inserting),
        ],
        nulls=nulls,
    )


def _predicates(
    request: WriteRequest, predicates: Sequence[str], sources: Mapping[str, Mapping[str, str]]
) -> list[str]:
    return [
        translate_expression(text, sources, _CONDITION, PREDICATES[0], request.model) for text in predicates
    ]


def _kinds(schema: Schema) -> dict[str, str]:
    return {field.name: duckdb_type(field.field_type) for field in schema.fields}


def _of(alias: str, name: str) -> str:
    return f"{quoted(alias)}.{quoted(name)}"
