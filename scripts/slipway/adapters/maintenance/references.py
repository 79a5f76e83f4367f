"""The files that kept states of tables name: metadata, manifest lists, manifests, data and statistics."""

from __future__ import annotations

from collections.abc import Iterable

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from slipway.adapters.iceberg import metadata_file
from slipway.adapters.iceberg.reading import entries_of, manifests_of, reading
from slipway.adapters.iceberg.tables import TableId, Tables
from slipway.adapters.maintenance.locations import canonical
from slipway.domain.errors import DamagedTableError
from slipway.domain.maintenance.protection import Kept


class References:
    """Locations that are in use; each manifest is read once, whichever states share it.

    Args:
        tables: the environment.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._lists: set[str] = set()
        self._manifests: set[str] = set()
        self.named: set[str] = set()
        """Canonical locations."""
        self.states: set[str] = set()
        """Metadata files of kept states, as they are recorded."""

    def add(self, identifier: TableId, current: str | None, keep: Iterable[Kept]) -> str:
        """Take in the kept states of a table.

        Args:
            identifier: namespace and name.
            current: the metadata file that the catalog names, None when it names none.
            keep: what is kept; a state whose metadata file is gone protects nothing any more.

        Returns:
            Why the table's folder must be left alone: a state that is kept is not whole. Empty when all are.

        Raises:
            DamagedTableError: the metadata file that the catalog names is damaged.
            UnavailableError: the store does not answer, so nobody knows what is in use.
        """
        newest = self._tables.load(identifier, current).metadata if current else None
        name, broken = ".".join(identifier), ""
        for one in keep:
            location = one.state.location
            self.states.add(location)
            self.named.add(canonical(location))
            try:
                loaded = newest if location == current else None
                for snapshot in self._snapshots(loaded, newest, one, name):
                    self._add_snapshot(snapshot, name)
            except DamagedTableError as error:
                # what is gone from an earlier state protects nothing; what is damaged may be put right from a copy
                if location == current or not isinstance(error.__cause__, FileNotFoundError):
                    broken = broken or error.line()
        return broken

    def _snapshots(
        self, loaded: TableMetadata | None, newest: TableMetadata | None, one: Kept, table: str
    ) -> list[Snapshot]:
        """The snapshots that are read through a state; its own metadata file is opened only if no other knows them."""
        if not one.whole:
            if one.state.snapshot_id is None:
                return []
            number = int(one.state.snapshot_id)
            if newest and (found := newest.snapshot_by_id(number)):
                return [found]
        metadata = loaded or self._load(one.state.location, table)
        if metadata is None:
            return []
        self.named |= {canonical(item.statistics_path) for item in metadata.statistics}
        self.named |= {canonical(item.statistics_path) for item in metadata.partition_statistics}
        if one.whole:
            return list(metadata.snapshots)
        return [found] if (found := metadata.snapshot_by_id(number)) else []

    def _load(self, location: str, table: str) -> TableMetadata | None:
        try:
            with reading(f"metadata of {table}", location):
                return metadata_file.read(self._tables.io(location), location)
        except DamagedTableError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise

    def _add_snapshot(self, snapshot: Snapshot, table: str) -> None:
        """Take in a snapshot; raises DamagedTableError, each time anew."""
        if snapshot.manifest_list in self._lists:
            return
        self.named.add(canonical(snapshot.manifest_list))
        io = self._tables.io(snapshot.manifest_list)
        for manifest in manifests_of(snapshot, io, table):
            if manifest.manifest_path in self._manifests:
                continue
            self.named.add(canonical(manifest.manifest_path))
            for entry in entries_of(manifest, io, table):
                self.named.add(canonical(entry.data_file.file_path))
            self._manifests.add(manifest.manifest_path)
        self._lists.add(snapshot.manifest_list)
