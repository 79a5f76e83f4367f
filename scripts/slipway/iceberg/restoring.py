"""An earlier state of a table staged again: whether its files are there, and everything that it had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType

from slipway.errors import DamagedTableError, NotFoundError, UnavailableError
from slipway.iceberg.reading import files_of
from slipway.iceberg.snapshots import ReplaceAll
from slipway.iceberg.staged_table import StagedTable
from slipway.iceberg.staging import Staging, set_ref, updates_to
from slipway.iceberg.tables import Tables, uri
from slipway.names import TableName
from slipway.storage.objects import object_store


def missing_file(table: Table, properties: Mapping[str, str]) -> str | None:
    """A data file of a table's current snapshot that is gone, None when all are there.

    The table's folder is listed; only files that stand elsewhere are asked for one by one.

    Args:
        table: the table as its metadata describes it.
        properties: of the catalog, for access to the store.

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
    """The metadata that shows an earlier state of a table, if the table can go back there.

    Args:
        tables: the environment.
        identifier: namespace and name.
        newest: the metadata file that the catalog names, which knows all snapshots.
        goal: the metadata file that shows the wanted state.

    Raises:
        NotFoundError: the wanted snapshot, or its metadata file, is gone.
    """
    try:
        wanted = tables.load(identifier, goal).metadata
    except UnavailableError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise _gone(identifier, f"{goal.rsplit('/', 1)[-1]} is not there any more") from None
        raise
    snapshot_id = wanted.current_snapshot_id
    if snapshot_id is None or tables.load(identifier, newest).snapshot_by_id(snapshot_id) is None:
        raise _gone(identifier, f"snapshot {snapshot_id} has expired")
    return wanted


def find_source(tables: Tables, identifier: TableName, sources: Sequence[str], goal: str) -> str:
    """The newest metadata file from which a table that no catalog names can be brought back to an earlier state.

    Every file of the wanted snapshot must be there: whoever dropped the table may have removed them.

    Args:
        tables: the environment.
        identifier: namespace and name.
        sources: metadata files, the newest first.
        goal: the metadata file that shows the wanted state.

    Raises:
        NotFoundError: the wanted snapshot, its metadata file or a file of it is gone.
    """
    failure = _gone(identifier, "no record tells where it was")
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
