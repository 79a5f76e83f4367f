"""Earlier states of tables: which are still known, whether their files are there, and how one is staged again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Snapshot

from slipway.errors import DamagedTableError, NotFoundError, UnavailableError
from slipway.iceberg.metadata_files import files_of
from slipway.iceberg.snapshots import ReplaceAll, StagedTable, Staging, set_ref, updates_to
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.storage.locations import uri
from slipway.storage.objects import object_store


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
