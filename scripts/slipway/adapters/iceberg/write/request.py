"""What a materialization asks the writer for, and what it gets back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slipway.adapters.iceberg.tables import StagedTable, TableId
from slipway.adapters.iceberg.write.constraints import Contract
from slipway.adapters.iceberg.write.digest import Digest

STRATEGIES = ("replace", "append", "merge", "delete+insert", "insert_overwrite")


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
        predicates: SQL conditions beside the key, for ``merge`` and ``delete+insert``.
        merge: the keys of ``merge_clauses.MERGE_KEYS`` that are set.
        snapshot_properties: for the snapshot's summary.
        confirm: table properties to set for the snapshot that brought the content, whether it is new or not.
        column_docs: descriptions that become the columns' comments.
        contract: enforced contract, if any.
    """

    identifier: TableId
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
    confirm: Callable[[int], dict[str, str]] = lambda _: {}

    @property
    def model(self) -> str:
        """The table's name in messages."""
        return ".".join(self.identifier)


@dataclass(frozen=True)
class WriteResult:
    """A staged table and what it cost; ``same_content`` when no snapshot was needed."""

    staged: StagedTable
    same_content: bool
    rows_written: int
    bytes_written: int
    bytes_read: int | None
    files_added: int
    files_removed: int
    bytes_removed: int
    digest: Digest
    seconds: dict[str, float]
