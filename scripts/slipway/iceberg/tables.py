"""Tables of one environment: what the catalog names, metadata that it does not know yet, and earlier states that are staged again.

A candidate table is ordinary Iceberg metadata in the warehouse that no catalog points to. Until it is
published nobody who asks the catalog can see any of it.
"""

from __future__ import annotations

import hashlib
import re
import threading
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.io import FileIO, load_file_io
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata, new_table_metadata
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.sorting import SortOrder

from slipway.environments.environment import Environment
from slipway.errors import DamagedTableError, NotFoundError, SlipwayError, UnavailableError, first_line
from slipway.iceberg import metadata_files
from slipway.iceberg.catalogs.kinds import CatalogKind
from slipway.iceberg.catalogs.opening import connectable, kind_of, open_catalog
from slipway.iceberg.metadata_files import files_of, reading
from slipway.iceberg.snapshots import ReplaceAll, StagedTable, Staging, set_ref, updates_to
from slipway.names import TableName
from slipway.storage.objects import object_store
from slipway.write_limits import WRITES_BELOW

if TYPE_CHECKING:
    import duckdb
    from pyiceberg.catalog import Catalog

_FILE_IO = "slipway.iceberg.file_io.StoreFileIO"

FORMAT_VERSION = 2
"""What is written; readers take an older one, too."""


class Tables:
    """The tables of one environment, as its catalog and its warehouse hold them.

    Args:
        environment: whose they are.
        renew: gives a connection of DuckDB the store's keys of the moment; called before statements that may come
            long after the ones before.
    """

    def __init__(
        self, environment: Environment, renew: Callable[[duckdb.DuckDBPyConnection], None] = lambda _: None
    ) -> None:
        self.environment, self.renew = environment, renew
        self._lock = threading.RLock()
        self._loaded: dict[str, Table] = {}
        self._failure: UnavailableError | None = None

    @cached_property
    def catalog(self) -> Catalog:
        """The pyiceberg catalog, opened on first use.

        Raises:
            UnavailableError: it cannot be opened.
        """
        if self._failure:  # every thread asks, and each attempt may take its time
            raise self._failure
        environment = self.environment
        try:
            return open_catalog(environment, self._properties)
        except SlipwayError:
            raise
        except Exception as error:
            self._failure = UnavailableError(
                f"Catalog of {environment.name} cannot be opened",
                first_line(error),
                f"Check profiles.yml and PYICEBERG_CATALOG__{environment.name.upper()}__*",
            )
            raise self._failure from error

    @cached_property
    def kind(self) -> CatalogKind:
        """What the catalog can do; raises as ``catalog`` does."""
        return kind_of(self.environment.name, self.environment.catalog_properties, lambda: self.catalog)

    def locations(self, only: Collection[TableName] | None = None) -> dict[TableName, str]:
        """Current metadata location of every table, or of those that are asked for, in one consistent query where the catalog can.

        No metadata file is opened, except by REST catalogs, whose answer to a name is the whole table.

        Raises:
            UnavailableError: the catalog cannot be read.
        """
        with self._lock, self._reading():
            return self.kind.locations(only)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except SlipwayError:
            raise
        except Exception as error:
            raise UnavailableError(
                f"Catalog of {self.environment.name} cannot be read",
                first_line(error),
                "Check that it is running and the credentials are right",
            ) from error

    def load(self, identifier: TableName, metadata_location: str) -> Table:
        """The table as one metadata file describes it; the catalog is not asked, and not opened where the environment may only be read.

        Raises:
            DamagedTableError: the metadata file is missing or damaged.
            UnavailableError: it cannot be read.
        """
        with self._lock:
            if metadata_location not in self._loaded:
                self._loaded[metadata_location] = self._read(identifier, metadata_location, self._of_loaded)
            found = self._loaded[metadata_location]
            if found.name() != identifier:  # a table that is renamed has the metadata file of its old name
                return Table(identifier, found.metadata, metadata_location, found.io, self._of_loaded)
            return found

    @property
    def _of_loaded(self) -> Catalog:
        """The catalog that a table could be changed by; where nothing may be, it need not be reachable."""
        only_read = self.environment.catalog_properties.get(WRITES_BELOW) == ""
        return NoopCatalog(self.environment.name) if only_read else self.catalog

    def load_to_read(self, identifier: TableName, metadata_location: str) -> Table:
        """The same without a catalog, which need not be reachable then; raises as ``load`` does."""
        return self._read(identifier, metadata_location, NoopCatalog(self.environment.name))

    def _read(self, identifier: TableName, metadata_location: str, catalog: Catalog) -> Table:
        io = self.io(metadata_location)
        with reading(f"metadata of {identifier}", metadata_location):
            metadata = metadata_files.read_metadata(io, metadata_location)
        return Table(identifier, metadata, metadata_location, io, catalog)

    def new(
        self,
        identifier: TableName,
        schema: Schema,
        spec: PartitionSpec,
        order: SortOrder,
        properties: dict[str, str],
    ) -> Table:
        """A table that exists nowhere yet: fresh field ids, a location, and no metadata file.

        Raises:
            ConfigError: the catalog could not keep it under its name.
            UnavailableError: the catalog cannot be read.
        """
        return self.begin(
            identifier, lambda location: new_table_metadata(schema, spec, order, location, properties)
        )

    def begin(self, identifier: TableName, described: Callable[[str], TableMetadata]) -> Table:
        """A table that exists nowhere yet, by what makes its metadata for a location; raises as ``new`` does."""
        with self._reading():
            self.kind.check_name(identifier)
        location = self.location_of(identifier)
        unwritten = f"{location}/metadata/00000-{uuid.uuid4()}.metadata.json"
        return Table(identifier, described(location), unwritten, self.io(location), self.catalog)

    def location_of(self, identifier: TableName) -> str:
        """The folder that a new table gets."""
        return f"{self.environment.warehouse}/{_folder(identifier[0])}/{_folder(identifier[1])}"

    def stage(self, table: Table, transaction: Staging, *, new: bool) -> StagedTable:
        """Write the metadata file that a transaction leads to, without telling the catalog."""
        metadata = transaction.metadata_after(None if new else table.metadata_location)
        version = 0 if new else _version(table.metadata_location) + 1
        wanted = f"{metadata.location}/metadata/{version:05d}-{{}}.metadata.json"
        location = metadata_files.write_metadata(table.io, wanted, metadata)
        staged = Table(table.name(), metadata, location, table.io, self.catalog)
        with self._lock:
            self._loaded[location] = staged
        return StagedTable(
            TableName.of(table.name()),
            staged,
            None if new else table.metadata_location,
            transaction._updates,
        )

    def io(self, location: str) -> FileIO:
        """File access for a location with the catalog's credentials."""
        return load_file_io(self._properties, location)

    @property
    def _properties(self) -> dict[str, str]:
        """The environment's properties, with what pyiceberg and SQLAlchemy leave open."""
        given = connectable(self.environment.catalog_properties)
        return {"py-io-impl": _FILE_IO, **given}


def ancestors(table: Table, snapshot_id: int | None) -> Sequence[Snapshot]:
    """The snapshot and its parents, newest first, as far as they are still known."""
    known = {snapshot.snapshot_id: snapshot for snapshot in table.snapshots()}
    found = []
    current = known.get(snapshot_id) if snapshot_id is not None else None
    while current is not None:
        found.append(current)
        parent = current.parent_snapshot_id
        current = known.get(parent) if parent is not None else None
    return found


def duckdb_path(location: str) -> str:
    """A location as DuckDB takes it: local files without their scheme; Java writes ``file:/x`` where others write ``file:///x``."""
    return f"/{location.removeprefix('file:').lstrip('/')}" if location.startswith("file:") else location


def uri(path: str) -> str:
    """A path as Iceberg metadata names it: local files with their scheme, in one form."""
    path = duckdb_path(path)
    return path if "://" in path else f"file://{path}"


def _folder(name: str) -> str:
    """A name as a folder: signs that a location could not have are replaced, and the name's hash keeps it apart.

    Never one that leads elsewhere (``..``), that programs take for hidden (``.x``, ``_x``), or that is slipway's own.
    """
    plain = re.sub(r"^[._]+|[^\w .+=@-]", "_", name)[:100]
    if not plain or plain.startswith("_"):
        plain = f"x{plain}"
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _version(metadata_location: str) -> int:
    head = metadata_location.rsplit("/", 1)[-1].split("-", 1)[0]
    return int(head) if head.isdigit() else 0


def missing_file(table: Table, properties: Mapping[str, str]) -> str | None:
    """A data file of a table's current snapshot that is gone, None when all are there.

    The table's folder is listed; only files that stand elsewhere are asked for one by one.

    Raises:
        DamagedTableError: a manifest is gone or damaged.
    """
    files = files_of(table)
    if not files:
        return None
    root = uri(f"{table.location()}/data")
    there = {f"{root}/{item.key}" for item in object_store(root, properties).entries("")}
    wanted = sorted({file.file_path for file in files})
    absent = (path for path in wanted if uri(path) not in there)
    return next((path for path in absent if not table.io.new_input(path).exists()), None)


def find_state(tables: Tables, identifier: TableName, newest: str, goal: str) -> TableMetadata:
    """The metadata of ``goal``, if the table can go back there from ``newest``, the metadata file that the catalog names.

    Raises:
        NotFoundError: the wanted snapshot, or its metadata file, is gone; or the catalog names another table, which was created later under this name.
    """
    try:
        wanted = tables.load(identifier, goal).metadata
    except UnavailableError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise _gone(identifier, f"{goal.rsplit('/', 1)[-1]} is not there any more") from None
        raise
    snapshot_id = wanted.current_snapshot_id
    named = tables.load(identifier, newest)
    if named.metadata.table_uuid != wanted.table_uuid:
        raise NotFoundError(
            f"{identifier} cannot be brought back",
            f"the table that has this name now ({named.metadata.table_uuid}) was created after the wanted one ({wanted.table_uuid}) had left the catalog,"
            " and does not have its history",
            "Name the other tables with --select, or retire the new table first: one that no catalog names can be brought back",
        )
    if snapshot_id is None or named.snapshot_by_id(snapshot_id) is None:
        raise _gone(identifier, f"snapshot {snapshot_id} has expired")
    return wanted


def find_source(tables: Tables, identifier: TableName, sources: Sequence[str], goal: str) -> str:
    """The newest of some metadata files from which a table that no catalog names can be brought back to the state of ``goal``.

    Every file of the wanted snapshot must be there: whoever dropped the table may have removed them.

    Raises:
        NotFoundError: the wanted snapshot, its metadata file or a file of it is gone.
    """
    failure = _gone(identifier, "no record says where it was")
    for source in dict.fromkeys([*sources, goal]):
        try:
            find_state(tables, identifier, source, goal)
        except NotFoundError as error:
            failure = error
            continue
        except DamagedTableError as error:
            failure = _gone(identifier, error.why)
            continue
        _check_files(tables, identifier, goal)
        return source
    raise failure


def _check_files(tables: Tables, identifier: TableName, goal: str) -> None:
    try:
        lost = missing_file(tables.load(identifier, goal), tables.environment.catalog_properties)
    except (FileNotFoundError, DamagedTableError) as error:
        lost = str(error)
    if lost:
        raise _gone(identifier, f"its file {lost.rsplit('/', 1)[-1]} is not there any more")


def retired(tables: Tables, identifier: TableName, location: str) -> StagedTable:
    """A table that the catalog is not to name any more; nothing of it is written or removed."""
    return StagedTable(identifier, tables.load(identifier, location), base=location, retires=True)


def stage_state(tables: Tables, identifier: TableName, newest: str, goal: str, release: str) -> StagedTable:
    """Stage a table as an earlier metadata file showed it; what came later stays in its history.

    Raises:
        NotFoundError: the wanted snapshot, or its metadata file, is gone.
    """
    wanted = find_state(tables, identifier, newest, goal)
    transaction = Staging(tables.load(identifier, newest))
    snapshot_id = wanted.current_snapshot_id
    refs = (set_ref(MAIN_BRANCH, snapshot_id, SnapshotRefType.BRANCH), set_ref(release, snapshot_id))
    transaction._stage((*refs, *updates_to(wanted, transaction.table_metadata)))
    return tables.stage(transaction._table, transaction, new=False)


def stage_empty(tables: Tables, identifier: TableName, newest: str, release: str) -> StagedTable:
    """Stage a table without rows, which every reader can read; what it holds stays in its history."""
    table = tables.load(identifier, newest)
    transaction = Staging(table)
    ReplaceAll(transaction, table.io, {"slipway.strategy": "replace"}).commit()
    current = transaction.table_metadata.current_snapshot_id
    transaction._stage((set_ref(release, current),))
    return tables.stage(table, transaction, new=False)


def _gone(identifier: TableName, why: str) -> NotFoundError:
    return NotFoundError(f"{identifier} cannot be brought back", why, "Choose a later release")
