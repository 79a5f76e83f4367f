"""The tables that one run sees and makes, as another engine's catalog shows them: reads are pinned, commits are staged.

A commit is a list of Iceberg's table updates, and a candidate is the same list with the metadata file that it leads to. So a commit
becomes a ``StagedTable`` as if DuckDB had written it, and tests, publishing, rollback and records are the same code.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from pyiceberg.catalog import MetastoreCatalog
from pyiceberg.catalog.rest import CreateTableRequest
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata, TableMetadataUtil, new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    AssertCreate,
    SetPartitionStatisticsUpdate,
    SetSnapshotRefUpdate,
    SetStatisticsUpdate,
    TableRequirement,
    TableUpdate,
    update_table_metadata,
)

from slipway.errors import SlipwayError, first_line
from slipway.iceberg.snapshots import StagedTable, Staging, confirm_snapshot
from slipway.iceberg.tables import FORMAT_VERSION, Tables
from slipway.names import TableName
from slipway.run_catalog.commit_rules import (
    GC_ENABLED,
    CommitRules,
    allowed_properties,
    check_location,
    check_schema,
    wrong_version,
)
from slipway.run_catalog.refusals import (
    ExistingError,
    ForbiddenRequestError,
    MalformedRequestError,
    MissingNamespaceError,
    MissingTableError,
    moved,
)

RUN_ID = "slipway.run-id"
_COMPRESSION = {"write.parquet.compression-codec": "zstd"}
"""Tables that Iceberg's library in Java makes say this themselves; where one does not, that library takes gzip (``TableProperties``), which costs much more."""

_ROWS = (AddSnapshotUpdate, SetSnapshotRefUpdate, SetStatisticsUpdate, SetPartitionStatisticsUpdate)
"""Updates that bring rows; the others shape a table, and a new one is staged with its shape."""


class RunCatalog:
    """What a run sees and stages, for clients that ask at once.

    Args:
        tables: of the environment that the run builds in.
        run_id: the run.
        published: metadata files of the tables that are published, as the run found them with one look; the run's whole input.
    """

    def __init__(self, tables: Tables, run_id: str, published: Mapping[TableName, str]) -> None:
        self.run_id = run_id
        self._tables, self._published = tables, dict(published)
        self._lock = threading.RLock()
        self._writable: dict[TableName, dict[str, str]] = {}
        self._staged: dict[TableName, StagedTable] = {}

    @property
    def store_properties(self) -> Mapping[str, str]:
        """Properties of the environment's catalog, by which the store is reached."""
        return self._tables.environment.catalog_properties

    def allow(self, name: TableName, summary: Mapping[str, str] | None = None) -> None:
        """Let clients write a table.

        Args:
            name: the table, published or not.
            summary: what the snapshots of the table are to say of the run, besides its id.
        """
        with self._lock:
            self._writable[name] = {**(summary or {}), RUN_ID: self.run_id}

    def pin(self, name: TableName, metadata_location: str) -> None:
        """Show clients a table as the run reads it, whichever of its metadata files was published.

        Args:
            name: the table.
            metadata_location: of the file that describes it.
        """
        with self._lock:
            self._published[name] = metadata_location
            staged = self._staged.get(name)
            if staged and staged.table.metadata_location != metadata_location:
                del self._staged[name]

    def show(self, staged: StagedTable) -> None:
        """Show a table that the run staged by another way, for example with DuckDB."""
        with self._lock:
            self._staged[staged.identifier] = staged

    def staged(self, name: TableName) -> StagedTable | None:
        """A table as the run has staged it so far, None if it has not."""
        with self._lock:
            return self._staged.get(name)

    def confirm(
        self, name: TableName, release: str, confirm: Callable[[int], dict[str, str]] = lambda _: {}
    ) -> StagedTable:
        """Give a table that clients have written the tag of the run's release, and the properties that confirm its content.

        Raises:
            SlipwayError: nobody has written rows to it.
        """
        with self._lock:
            item = self._staged.get(name)
            if item is None or item.table.current_snapshot() is None:
                raise SlipwayError(
                    f"{name} cannot be staged", "no snapshot of it was committed", "Look at the engine's log"
                )
            if item.base is None or item.registers:
                transaction, before = Staging(item.table), item.updates
            else:
                transaction, before = self._again(item), ()
            confirm_snapshot(transaction, release, confirm)
            return self._stage(name, transaction, item, before)

    def names(self) -> list[TableName]:
        """The tables that the run sees, in order."""
        with self._lock:
            return sorted({*self._published, *self._staged})

    def namespaces(self) -> list[str]:
        """The namespaces in which it sees tables or may make some, and those above them."""
        with self._lock:
            found = {name.namespace for name in (*self.names(), *self._writable)}
        above = {one.rsplit(".", count)[0] for one in found for count in range(1, one.count(".") + 1)}
        return sorted(found | above)

    def check_namespace(self, namespace: str) -> None:
        """Raise RefusedRequestError if the run sees no such namespace."""
        if namespace not in self.namespaces():
            raise MissingNamespaceError(
                f"Namespace does not exist: {namespace}",
                "no table of it is published, and the run makes none in it",
                "Choose one that the catalog lists",
            )

    def exists(self, name: TableName) -> bool:
        """Whether the run sees a table."""
        with self._lock:
            return name in self._published or name in self._staged

    def load(self, name: TableName) -> Table:
        """A table as the run sees it.

        Raises:
            RefusedRequestError: it does not see it.
            UnavailableError: its metadata cannot be read.
        """
        with self._lock:
            if staged := self._staged.get(name):
                return staged.table
            if name not in self._published:
                raise _missing(name)
            return self._tables.load(name, self._published[name])

    def create(self, namespace: str, request: CreateTableRequest) -> Table:
        """A table that is not there; nothing of it is written where the client is going to commit it.

        Raises:
            RefusedRequestError: it is there, the run does not build it, or it cannot be as it is asked for.
        """
        name = TableName(namespace, request.name)
        with self._lock:
            self._check_writable(name)
            if self.exists(name):
                raise ExistingError(f"Table {name} already exists", "the run sees it", "Write to it instead")
            if request.location:
                check_location(name, request.location, self._tables.location_of(name))
            check_schema(name, request.table_schema)
            properties = allowed_properties(name, request.properties)
            with understood(f"Table {name} cannot be created"):
                table = self._tables.begin(
                    name,
                    lambda location: new_table_metadata(
                        request.table_schema,
                        request.partition_spec or UNPARTITIONED_PARTITION_SPEC,
                        request.write_order or UNSORTED_SORT_ORDER,
                        location,
                        {**properties, "format-version": str(FORMAT_VERSION)},
                    ),
                )
                _check(table.metadata)
            if request.stage_create:
                return table
            staged = self._tables.stage(table, Staging(table), new=True)
            self._staged[name] = staged
            return staged.table

    def commit(
        self, name: TableName, requirements: Sequence[TableRequirement], updates: Sequence[TableUpdate]
    ) -> Table:
        """Stage what a commit makes of a table.

        Args:
            name: the table.
            requirements: what must be true of the table as the run sees it.
            updates: what is done to it.

        Raises:
            RefusedRequestError: the commit was made for another state of the table, or does what a run may not do.
            UnavailableError: the store cannot be read or written.
        """
        with self._lock:
            self._check_writable(name)
            creates = any(isinstance(one, AssertCreate) for one in requirements)
            if creates and self.exists(name):
                raise ExistingError(f"Table {name} already exists", "the run sees it", "Write to it instead")
            current = None if creates else self.load(name)
            metadata = current.metadata if current else None
            for requirement in requirements:
                try:
                    requirement.validate(metadata)
                except CommitFailedException as error:
                    raise moved(name, first_line(error)) from None
            location = metadata.location if metadata else self._tables.location_of(name)
            item = self._staged.get(name)
            rules = CommitRules(
                name,
                metadata,
                location,
                current.io if current else self._tables.io(location),
                self._writable[name],
                now_ms=time.time_ns() // 1_000_000,
                is_new=item is not None and item.base is None,
            )
            with understood(f"Commit to {name} cannot be applied"):
                allowed = rules.allowed(updates)
                if current and not allowed:
                    return current
                transaction, before = self._begin(name, item, allowed)
                transaction._stage(
                    tuple(one for one in allowed if creates is False or isinstance(one, _ROWS))
                )
                _check(transaction.table_metadata)
            version = transaction.table_metadata.format_version
            if version != FORMAT_VERSION:
                raise wrong_version(name, version)
            return self._stage(name, transaction, item, before).table

    def _begin(
        self, name: TableName, item: StagedTable | None, updates: Sequence[TableUpdate]
    ) -> tuple[Staging, tuple[TableUpdate, ...]]:
        """What a commit is put on, and the updates that led there from the base of the candidate.

        A published table is always changed from its base on: its candidate names no metadata file in between.
        """
        if item is not None and (item.base is None or item.registers):
            return Staging(item.table), item.updates
        if item is not None:
            return self._again(item), ()
        if name in self._published:
            return Staging(self._tables.load(name, self._published[name])), ()
        shape = tuple(one for one in updates if not isinstance(one, _ROWS))

        def described(location: str) -> TableMetadata:
            made = update_table_metadata(
                MetastoreCatalog._empty_table_metadata(), shape, enforce_validation=True
            )
            return made.model_copy(update={"location": location})

        return Staging(self._tables.begin(name, described)), ()

    def _again(self, item: StagedTable) -> Staging:
        """What was staged so far, on the base that it was staged on."""
        assert item.base is not None
        transaction = Staging(self._tables.load(item.identifier, item.base))
        transaction._stage(item.updates)
        return transaction

    def _stage(
        self, name: TableName, transaction: Staging, item: StagedTable | None, before: tuple[TableUpdate, ...]
    ) -> StagedTable:
        is_new = name not in self._published if item is None else item.base is None
        staged = self._tables.stage(transaction._table, transaction, new=is_new)
        staged = replace(
            staged, updates=(*before, *staged.updates), registers=item.registers if item else False
        )
        self._staged[name] = staged
        return staged

    def drop(self, name: TableName, *, purge: bool) -> None:
        """Take away a table that clients made in this run; its files stay, and maintenance removes them.

        Raises:
            RefusedRequestError: it is published, of another writer, or its files are to be deleted.
        """
        with self._lock:
            if not self.exists(name):
                raise _missing(name)
            self._check_writable(name)
            if purge:
                raise ForbiddenRequestError(
                    f"Files of {name} cannot be deleted by a run",
                    "a run deletes no files",
                    "Remove them with slipway maintain",
                )
            if name in self._published or (self._staged[name].registers):
                raise ForbiddenRequestError(
                    f"{name} cannot be dropped by a run",
                    "it is published, and its readers and rollback need it",
                    "Delete its model and run slipway retire",
                )
            del self._staged[name]

    def _check_writable(self, name: TableName) -> None:
        if name not in self._writable:
            raise ForbiddenRequestError(
                f"{name} cannot be written by run {self.run_id}",
                "no model that this engine computes in the run makes it",
                "Write the tables of such models only",
            )


def served(metadata: TableMetadata, *, only_refs: bool = False) -> str:
    """Table metadata as JSON for a client, which takes from it that it may delete no files, and compresses as DuckDB does where the table does not say how.

    Args:
        metadata: the table's.
        only_refs: without the snapshots that no branch or tag names.
    """
    properties = {**_COMPRESSION, **metadata.properties, GC_ENABLED: "false"}
    changed: dict[str, object] = {"properties": properties}
    if only_refs:
        named = {ref.snapshot_id for ref in metadata.refs.values()}
        changed["snapshots"] = [one for one in metadata.snapshots if one.snapshot_id in named]
    return metadata.model_copy(update=changed).model_dump_json(exclude_none=True, by_alias=True)


def _missing(name: TableName) -> MissingTableError:
    return MissingTableError(
        f"Table does not exist: {name}",
        "it was not published when the run began, and the run has not made it",
        "Choose one that the catalog lists",
    )


def _check(metadata: TableMetadata) -> None:
    """Check that metadata can be read again once it is written; snapshots are checked one by one when they are added."""
    without = metadata.model_copy(update={"snapshots": [], "refs": {}, "current_snapshot_id": None})
    if TableMetadataUtil.parse_raw(without.model_dump_json()) != without:
        raise ValueError("the table would not be read as it is written")


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Refuse what cannot be parsed or applied, whatever Iceberg's library raises for it.

    Raises:
        RefusedRequestError: it cannot.
        SlipwayError: as it was raised.
    """
    try:
        yield
    except SlipwayError:
        raise
    except OSError:
        raise
    except Exception as error:
        raise MalformedRequestError(what, f"{type(error).__name__}: {first_line(error)}") from error
