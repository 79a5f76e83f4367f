"""Contracts: what a query must look like before, and hold after, it is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import duckdb
from duckdb.sqltypes import DuckDBPyType
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from slipway.counts import plural
from slipway.engines.duckdb.metrics import WrittenFile, null_count
from slipway.errors import ConfigError, ContractError, first_line
from slipway.iceberg.metadata_files import summary_of
from slipway.sql_text import quote

HELD = "slipway.constraints"


@dataclass(frozen=True)
class Question:
    """How many rows break a constraint.

    Args:
        label: what the constraint is called.
        breaks: a condition of the rows that break it; empty for columns without duplicates.
        unique: these columns.
    """

    label: str
    breaks: str = ""
    unique: Sequence[str] = ()

    @property
    def counted(self) -> str:
        """An aggregate of DuckDB that counts them."""
        if self.breaks:
            return f"count(*) filter (where {self.breaks})"
        complete = self._complete
        return (
            f"count(*) filter (where {complete}) - count(distinct ({self._listed})) filter (where {complete})"
        )

    def query(self, relation: str) -> str:
        """A query with their number, in SQL that engines have in common."""
        if self.breaks:
            return f"select count(*) as broken from {relation} where {self.breaks}"
        groups = f"select count(*) as times from {relation} where {self._complete} group by {self._listed}"
        return f"select cast(coalesce(sum(times - 1), 0) as bigint) as broken from ({groups}) as found"

    @property
    def _listed(self) -> str:
        return ", ".join(map(quote, self.unique))

    @property
    def _complete(self) -> str:
        return " and ".join(f"{quote(column)} is not null" for column in self.unique)


Counting = Callable[[Sequence[Question], bool], Sequence[int | None]]
"""Counts rows of the whole table that break constraints: by another engine. It is told whether only new rows can; None stays for DuckDB."""


@dataclass(frozen=True)
class Contract:
    """An enforced dbt contract.

    Args:
        columns: name to declared data type, None where a column has no type.
        not_null: columns without NULL.
        unique: sets of columns without duplicates (NULLs do not count, as in SQL).
        checks: SQL conditions that no row may break.
        key: columns of the primary key, which are in ``not_null`` and ``unique`` as well.
    """

    columns: dict[str, str | None]
    not_null: Sequence[str] = ()
    unique: Sequence[Sequence[str]] = ()
    checks: Sequence[str] = ()
    key: Sequence[str] = ()


@dataclass(frozen=True)
class Held:
    """Constraints that a snapshot was checked for, as its summary says; a snapshot of another tool says nothing.

    Args:
        everything: there are no rows but the new ones.
    """

    not_null: frozenset[str] = frozenset()
    unique: frozenset[tuple[str, ...]] = frozenset()
    checks: frozenset[str] = frozenset()
    everything: bool = False

    @classmethod
    def by(cls, contract: Contract | None) -> Held:
        """What holds once a contract was checked."""
        if contract is None:
            return cls()
        return cls(
            frozenset(column.lower() for column in contract.not_null),
            frozenset(_named(columns) for columns in contract.unique),
            frozenset(contract.checks),
        )

    @classmethod
    def of(cls, table: Table | None, *, full: bool) -> Held:
        """What holds for the rows that a write leaves where they are."""
        if table is None or full:
            return cls(everything=True)
        return cls.after(table.current_snapshot())

    @classmethod
    def after(cls, snapshot: Snapshot | None) -> Held:
        """What the rows of a snapshot were checked for when it was written."""
        text = summary_of(snapshot).get(HELD)
        known = json.loads(text) if text else {}
        return cls(
            frozenset(known.get("not_null", ())),
            frozenset(map(tuple, known.get("unique", ()))),
            frozenset(known.get("check", ())),
        )

    def is_unique(self, columns: Sequence[str]) -> bool:
        """Whether a set of columns was looked at and has no duplicates."""
        return _named(columns) in self.unique

    def summary(self) -> dict[str, str]:
        """The property of the snapshot's summary that ``of`` reads."""
        stated = {
            "not_null": sorted(self.not_null),
            "unique": sorted(self.unique),
            "check": sorted(self.checks),
        }
        known = {key: values for key, values in stated.items() if values}
        return {HELD: json.dumps(known)} if known else {}


def _refuse(model: str, violations: Sequence[str], fix: str) -> None:
    """Raise one ContractError that names all violations, if there are any."""
    if violations:
        raise ContractError(f"{model} breaks its contract", "; ".join(violations), fix)


_OF_SHAPE = "Change the query, or columns and data_type in the model's YAML"
_OF_ROWS = "Change the query, or constraints in the model's YAML"


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
    violations: list[str] = []
    declared = {name.lower(): (name, kind) for name, kind in contract.columns.items()}
    have = {name.lower(): kind for name, kind in columns}
    spelled = {name.lower(): name for name, _ in columns}
    for lowered, (name, wanted) in declared.items():
        if lowered not in have:
            violations.append(f"column {name} is declared and not in the query")
        elif spelled[lowered] != name:
            violations.append(
                f"column {spelled[lowered]} is declared as {name}, and other readers distinguish upper and lower case"
            )
        elif wanted and (expected := _normal(cursor, wanted, model, name)) != str(have[lowered]):
            violations.append(f"{name} is {have[lowered]}, declared {expected}")
    violations += [
        f"column {name} is in the query and not declared"
        for name, _ in columns
        if name.lower() not in declared
    ]
    _refuse(model, violations, _OF_SHAPE)


def check_written(
    cursor: duckdb.DuckDBPyConnection,
    model: str,
    contract: Contract,
    written: Sequence[WrittenFile],
    new: str,
    candidate: str,
    held: Held,
    counting: Counting | None = None,
) -> None:
    """Check constraints on the table as it is going to be.

    Args:
        cursor: where to run the scans.
        model: for messages.
        contract: the constraints.
        written: the new files; their NULL counts are free.
        new: a relation over the new files, not asked when there are none.
        candidate: a relation over the whole candidate table.
        held: what held for every row that is not in ``written``; of what concerns single rows nothing is looked at again.
        counting: another engine, which is asked first.

    Raises:
        ContractError: one message with every violation.
        ConfigError: a constraint that is no SQL for this table.
    """
    if held.everything and not written:
        return
    violations: list[str] = []
    of_all = _unique(contract, frozenset() if written else held.unique)
    of_new: list[Question] = []
    for column in contract.not_null:
        known = held.everything or column.lower() in held.not_null
        count = null_count(written, column) if known else None
        if count is None:
            question = Question(f"not_null {column}", f"{quote(column)} is null")
            (of_new if known else of_all).append(question)
        elif count:
            violations.append(f"not_null {column}: {plural(count, 'row')}")
    for condition in contract.checks:
        known = condition in held.checks
        if not written and known:
            continue
        of_single_rows = known and "select" not in condition.lower()  # a subquery may look at other rows
        question = Question(f"check {condition}", f"not ({condition})")
        (of_new if of_single_rows else of_all).append(question)
    if held.everything:
        of_all, of_new = of_all + of_new, []
    for asked, relation in ((of_all, candidate), (of_new if written else [], new)):
        counts = counting(asked, asked is of_new) if counting and asked else [None] * len(asked)
        others = [one for one, count in zip(asked, counts, strict=True) if count is None]
        violations += [_broken(one, count) for one, count in zip(asked, counts, strict=True) if count]
        violations += _broken_by_duckdb(cursor, model, others, relation)
    _refuse(model, violations, _OF_ROWS)


def check_unique(cursor: duckdb.DuckDBPyConnection, model: str, contract: Contract, candidate: str) -> None:
    """Check on the whole table what cannot be known from single rows.

    Raises:
        ContractError: one message with every violation.
        ConfigError: a constraint that is no SQL for this table.
    """
    _refuse(model, _broken_by_duckdb(cursor, model, _unique(contract), candidate), _OF_ROWS)


def _unique(contract: Contract, known: frozenset[tuple[str, ...]] = frozenset()) -> list[Question]:
    return [
        Question(f"unique {', '.join(columns)}", unique=columns)
        for columns in contract.unique
        if _named(columns) not in known
    ]


def _broken(question: Question, count: int) -> str:
    return f"{question.label}: {plural(count, 'row')}"


def _broken_by_duckdb(
    cursor: duckdb.DuckDBPyConnection, model: str, asked: Sequence[Question], relation: str
) -> list[str]:
    if not asked:
        return []
    counts = _counts(cursor, model, [one.counted for one in asked], relation)
    return [_broken(one, count) for one, count in zip(asked, counts, strict=True) if count]


def _counts(
    cursor: duckdb.DuckDBPyConnection, model: str, expressions: Sequence[str], relation: str
) -> Sequence[int]:
    try:
        (row,) = cursor.execute(f"select {', '.join(expressions)} from {relation}").fetchall()
    except (duckdb.BinderException, duckdb.ParserException) as error:
        raise ConfigError(
            f"{model}: its constraints cannot be checked",
            first_line(error),
            "Correct the constraint's columns or expression",
        ) from None
    return row


def check_required(schema: Schema, written: Sequence[WrittenFile], checked: Collection[str] = ()) -> None:
    """Refuse NULL in columns that are required in a table although no contract says so: another tool made them so.

    Args:
        schema: of the table.
        written: the new files.
        checked: columns that the contract is about, whose violations are listed together.

    Raises:
        ContractError: there are some.
    """
    lowered = {name.lower() for name in checked}
    for column in schema.fields:
        if not column.required or column.name.lower() in lowered:
            continue
        if count := null_count(written, column.name):
            raise ContractError(
                f"Column {column.name} is required in the table and NULL in {plural(count, 'row')}",
                "another tool made it so",
                "Filter or fill them, or run with --full-refresh",
            )


def _named(columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(column.lower() for column in columns))


def _normal(cursor: duckdb.DuckDBPyConnection, kind: str, model: str, column: str) -> str:
    try:
        ((name,),) = cursor.execute(f"select typeof(null::{kind})").fetchall()
    except duckdb.Error:
        raise ContractError(
            f"{model}: column {column} declares data_type {kind}",
            "DuckDB has no such type",
            "Use a DuckDB type name",
        ) from None
    return str(name)
