"""What a materialization asks the writer for and gets back, and what the one snapshot of it did to the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pyiceberg.table import Table

from slipway.engines.duckdb.constraints import Contract
from slipway.engines.duckdb.digest import Digest
from slipway.engines.duckdb.engine import Used
from slipway.iceberg.snapshots import StagedTable
from slipway.names import TableName


class Remade(StrEnum):
    """Which rows of a table a write made: every one that is there now, some, or none, because nothing changed."""

    ALL = "all"
    SOME = "some"
    NONE = "none"

    @staticmethod
    def of(*, whole: bool, same: bool) -> Remade:
        """By whether no row is left from before, and whether the content is what it was."""
        if whole:
            return Remade.ALL
        return Remade.NONE if same else Remade.SOME


STRATEGIES = ("replace", "append", "merge", "delete+insert", "insert_overwrite")


EVERYTHING = "true"
NOTHING = "false"


@dataclass(frozen=True)
class Increment:
    """The part of an input that a model's query was given.

    Args:
        relation: database, schema and identifier, as they stand in the compiled query.
        table: the input as this run reads it, None for what is no Iceberg table.
        before: the snapshot that the model's table was built from.
        predicate: the condition in the query: ``true`` where it could not be said what changed.
        column: of ``partitions_changed``, the column that the input is partitioned by; None for ``rows_added``.
        values: the partitions that the condition names, as Iceberg keeps their values.
        appended: since ``before`` rows were only added.
    """

    relation: tuple[str, str, str]
    table: Table | None
    before: int | None
    predicate: str
    column: str | None = None
    values: frozenset[object] = frozenset()
    appended: bool = False

    @property
    def name(self) -> str:
        """The input in messages."""
        return ".".join(self.relation[1:])

    @property
    def is_part(self) -> bool:
        """Whether the query was given a part of the input that holds something."""
        return self.predicate not in (EVERYTHING, NOTHING)


@dataclass(frozen=True)
class WriteRequest:
    """What a materialization asks for.

    Args:
        identifier: namespace and name.
        sql: the query, or a relation in FROM-first form.
        strategy: one of ``STRATEGIES``; ``replace`` for full builds.
        run_id: the run, part of file names.
        release: name of the tag that the snapshot gets.
        unique_key: columns that identify a row; for ``delete+insert`` also SQL expressions.
        predicates: SQL conditions in addition to the key, for ``merge`` and ``delete+insert``.
        merge: the keys of ``merge_clauses.MERGE_KEYS`` that are set.
        snapshot_properties: for the snapshot's summary.
        described: more of them, by which rows the write made.
        confirm: table properties to set for the snapshot that brought the content, whether it is new or not, and by which rows
            the write made.
        column_docs: descriptions that become the columns' comments.
        contract: enforced contract, if any.
        increments: the inputs that the query reads a part of.
        direct: the query gives the rows that it reads of its increments, and no groups of them.
        distinct: no two rows of the query's result are alike.
        later: where this write replaces the table, the strategy of the runs to come.
        once: the query can be run only once, as one over what a Python model yields.
    """

    identifier: TableName
    sql: str
    strategy: str
    run_id: str
    release: str
    unique_key: Sequence[str] = ()
    predicates: Sequence[str] = ()
    merge: Mapping[str, Any] = field(default_factory=dict)
    partitioned_by: Sequence[str] = ()
    sorted_by: Sequence[str] = ()
    on_schema_change: str = "ignore"
    table_properties: dict[str, str] = field(default_factory=dict)
    snapshot_properties: dict[str, str] = field(default_factory=dict)
    column_docs: Mapping[str, str] = field(default_factory=dict)
    contract: Contract | None = None
    increments: Sequence[Increment] = ()
    described: Callable[[Remade], dict[str, str]] = lambda _: {}
    confirm: Callable[[int, Remade], dict[str, str]] = lambda *_: {}
    direct: bool = False
    distinct: bool = False
    later: str = ""
    once: bool = False

    @property
    def model(self) -> str:
        """The table's name in messages."""
        return str(self.identifier)


@dataclass(frozen=True)
class WriteResult:
    """A staged table and what it cost; ``same_content`` when no snapshot was needed, ``notes`` for what a person should know of it."""

    staged: StagedTable
    same_content: bool
    rows_written: int
    bytes_written: int
    used: Used
    files_added: int
    files_removed: int
    digest: Digest
    seconds: dict[str, float]
    notes: Sequence[str] = ()
