"""Copy-on-write by data file: what an incremental write replaces, and whether that carries what changed in inputs that are read in part."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import duckdb
from pyiceberg.manifest import DataFile, DataFileContent
from pyiceberg.schema import Schema
from pyiceberg.table import Table

from slipway.counts import plural
from slipway.engines.duckdb import engine
from slipway.engines.duckdb.request import EVERYTHING, Increment, WriteRequest
from slipway.engines.duckdb.scan import (
    files_relation,
    whole_scan,
)
from slipway.errors import ConfigError, first_line
from slipway.iceberg import schema
from slipway.iceberg.metadata_files import files_of, summary_of
from slipway.sql_text import quote


@dataclass(frozen=True)
class Rewrite:
    """Live files that go, and the rows that take their place.

    Args:
        removed: data files of the base snapshot.
        select: what is written instead.
        carries: rows of files that go may be among it.
    """

    removed: Sequence[DataFile]
    select: str
    carries: bool = True


class Scratch:
    """Temporary tables of one write, dropped when it ends.

    Args:
        cursor: the connection that they are visible on.
    """

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self.cursor = cursor
        self._names: list[str] = []

    def table(self, definition: str) -> str:
        """Create a table ``as select …`` or ``(column type, …)`` and return its name."""
        name = f"slipway_{uuid.uuid4().hex}"
        engine.execute(self.cursor, f"create temp table {name} {definition}")
        self._names.append(name)
        return f"temp.{name}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in self._names:
            with suppress(duckdb.Error) if error else nullcontext():  # the first failure is the one to tell
                self.cursor.execute(f"drop table if exists temp.{name}")


@contextmanager
def explained(request: WriteRequest) -> Iterator[None]:
    """Tell in one line that DuckDB does not understand a key, predicate or clause.

    Raises:
        ConfigError: in place of DuckDB's error, which shows SQL that nobody wrote.
    """
    try:
        yield
    except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException) as error:
        raise ConfigError(
            f"{request.model}: {request.strategy} cannot be carried out",
            first_line(error),
            "Check unique_key, predicates and merge keys",
        ) from error


def replaces_all(base: Table | None, removed: Sized, *, carries: bool) -> bool:
    """Whether no row is left of those that were there before."""
    current = base.current_snapshot() if base else None
    files = summary_of(current).get("total-data-files")
    return current is None or (not carries and files == str(len(removed)))


class NotCarriedError(Exception):
    """The strategy cannot bring the table to where a full build would; the reason is the message."""


@dataclass(frozen=True)
class Part:
    """A query that reads only a part of some of its inputs.

    Args:
        sql: the query, in which the inputs stand by their names.
        query: the schema of its result.
        target: the schema of the table.
        increments: the inputs that it was given a part of, or nothing of.
        direct: it gives the rows that it reads of them, and no groups.
        distinct: no two rows of its result are alike.
        compute_earlier: what another engine than DuckDB computes on the inputs of before, as a temporary table; None where DuckDB does.
    """

    sql: str
    query: Schema
    target: Schema
    increments: Sequence[Increment]
    direct: bool = False
    distinct: bool = False
    compute_earlier: Callable[[Scratch], str] | None = None

    @property
    def added(self) -> Increment | None:
        """An input of which the query reads only the rows that were added."""
        return next((one for one in self.increments if one.column is None and one.is_part), None)

    def asked(self, column: str) -> Increment | None:
        """The input whose partitions were asked for by a column of this name; None when there is none, or several."""
        parts = _partitions(self.increments)
        if len(parts) != 1 or parts[0].column is None or parts[0].column.lower() != column.lower():
            return None
        return parts[0]

    @property
    def several(self) -> bool:
        """Whether parts of several inputs meet in the query."""
        return len({one.name for one in self.increments if one.is_part}) > 1

    @property
    def is_nothing(self) -> bool:
        """Whether nothing changed in any of these inputs."""
        return not any(one.is_part for one in self.increments)

    def check_append(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Refuse to append the rows of partitions of which rows were appended before.

        Raises:
            NotCarriedError: there are such partitions.
        """
        for one in _partitions(self.increments):
            if not one.appended or _had_rows(cursor, one):
                raise NotCarriedError(f"partitions of {one.name} changed of which rows are in the table")

    def check_keys(self, scratch: Scratch, source: str, keys: Sequence[str]) -> None:
        """Refuse to keep rows that the query does not give any more.

        Raises:
            NotCarriedError: keys that changed partitions gave before are not there any more.
        """
        if (earlier := self.earlier_result(scratch)) is None:
            return
        listed = ", ".join(keys)
        gone = f"(select distinct {listed} from {earlier} except select {listed} from {source})"
        count, *_ = scratch.cursor.execute(f"select count(*) from {gone}").fetchone() or (0,)
        self.check_gone(count)

    def check_gone(self, count: int) -> None:
        """Refuse to keep rows with a number of keys that the query does not give any more.

        Raises:
            NotCarriedError: there are such keys.
        """
        if count:
            raise NotCarriedError(
                f"{plural(count, 'key', 'are', 'is')} not in the changed partitions of {self.partitions[0].name} any more"
            )

    def check_matched(self, scratch: Scratch, matched: str, keys: Sequence[str], source: str = "") -> None:
        """Refuse to replace rows that the query did not give before: a full build would have them, and the new ones.

        Args:
            scratch: where temporary tables go.
            matched: a query of the rows of the table that go because of their keys.
            keys: SQL of the columns or expressions that identify a row.
            source: one of the query's result, in the same columns, for a strategy with one row for each key: if a full build has rows that are alike
                only once, too, one that comes again is no other one.

        Raises:
            NotCarriedError: there are such rows.
        """
        if not self.direct or self.is_nothing:
            return
        listed = ", ".join(keys)
        replaced = scratch.table(
            f"as ({matched}) except all ({source})" if source and self.distinct else f"as {matched}"
        )
        if scratch.cursor.execute(f"select 1 from {replaced} limit 1").fetchone() is None:
            return
        if earlier := self.earlier_result(scratch):
            lost = f"(select {listed} from {replaced}) except all (select {listed} from {earlier})"
        else:
            lost = f"select {listed} from {replaced}"
        count, *_ = scratch.cursor.execute(f"select count(*) from ({lost})").fetchone() or (0,)
        self.check_replaced(count)

    def check_replaced(self, count: int) -> None:
        """Refuse to replace a number of rows that the query did not give before.

        Raises:
            NotCarriedError: there are such rows.
        """
        if count:
            raise NotCarriedError(
                f"{plural(count, 'row')} would be replaced that come of rows of {self._name} which the query does not read"
            )

    @property
    def _name(self) -> str:
        return next(one.name for one in self.increments if one.is_part)

    def earlier_result(self, scratch: Scratch) -> str | None:
        """What the query gives on the inputs of before, as a temporary table in the columns of ``target``.

        With the same conditions it holds what changed partitions contributed to the table; None when that is nothing: no
        partition that changed was there before.

        Raises:
            NotCarriedError: the query does not name the input itself, or does not run on what it was.
        """
        parts, sql = self.partitions, self.sql
        if not self.has_earlier(scratch.cursor):
            return None
        if self.compute_earlier:
            return self.compute_earlier(scratch)
        with _earlier(scratch.cursor, parts) as catalog:
            for one in parts:
                name = ".".join(map(quote, one.relation))
                if name not in sql:
                    raise NotCarriedError(through_another_relation(one))
                sql = sql.replace(name, ".".join(map(quote, (catalog, *one.relation[1:]))))
            select = schema.casts(self.query, self.target, f"(\n{sql}\n)")
            try:
                return scratch.table(f"as {select}")
            except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.InterruptException):
                raise
            except duckdb.Error as error:
                raise NotCarriedError(self.does_not_run(first_line(error))) from error

    @property
    def partitions(self) -> Sequence[Increment]:
        """The inputs of which it reads changed partitions."""
        return _partitions(self.increments)

    def has_earlier(self, cursor: duckdb.DuckDBPyConnection) -> bool:
        """Whether partitions that changed may have had rows before."""
        return any(not one.appended or _had_rows(cursor, one) for one in self.partitions)

    def does_not_run(self, why: str) -> str:
        """The reason for a query that an engine does not take on the inputs of before."""
        return f"the query does not run on what {self.partitions[0].name} was before ({why})"


def through_another_relation(one: Increment) -> str:
    """The reason for a query in which an input does not stand by its name."""
    return f"the query reads {one.name} through another relation"


def part_of(request: WriteRequest, query: Schema, target: Schema) -> Part | None:
    """The part that a request's query is, None when it reads its inputs whole.

    An input that was read whole because it could not be said what changed in it may have lost rows, or holds those that the table
    has. What is no Iceberg table has no history at all: there the query is what the model says it is, but must not be appended.

    Raises:
        NotCarriedError: there is such an input.
    """
    for one in request.increments:
        if one.predicate == EVERYTHING and (one.table is not None or request.strategy == "append"):
            raise NotCarriedError(f"it is not known what changed in {one.name}")
    parts = [one for one in request.increments if one.predicate != EVERYTHING]
    return Part(request.sql, query, target, parts, request.direct, request.distinct) if parts else None


def _partitions(increments: Sequence[Increment]) -> list[Increment]:
    return [one for one in increments if one.column is not None and one.is_part]


def _had_rows(cursor: duckdb.DuckDBPyConnection, one: Increment) -> bool:
    found = cursor.execute(f"select 1 from {_scan(one)} where {one.predicate} limit 1").fetchone()
    return found is not None


@contextmanager
def _earlier(cursor: duckdb.DuckDBPyConnection, parts: Sequence[Increment]) -> Iterator[str]:
    """A database in which the inputs have their names, and the rows that they had.

    A database of its own, because a query may qualify columns by the name of their table.
    """
    name = f"slipway_{uuid.uuid4().hex}"
    cursor.execute(f"attach ':memory:' as {name}")
    try:
        for one in parts:
            _, namespace, identifier = one.relation
            cursor.execute(f"create schema if not exists {name}.{quote(namespace)}")
            view = ".".join((name, quote(namespace), quote(identifier)))
            cursor.execute(f"create or replace view {view} as from {_scan(one)}")
        yield name
    finally:
        cursor.execute(f"detach {name}")


def _scan(one: Increment) -> str:
    """The input's rows of before, in the columns of today."""
    table, before = one.table, one.before
    assert table is not None
    assert before is not None
    snapshot = table.snapshot_by_id(before)
    assert snapshot is not None
    scan = whole_scan(table, snapshot)
    if snapshot.schema_id == table.metadata.current_schema_id:
        return scan
    files = files_of(table, snapshot)
    if any(file.content != DataFileContent.DATA for file in files):
        raise NotCarriedError(f"{one.name} has delete files and another schema than before")
    return files_relation(files, table.schema())
