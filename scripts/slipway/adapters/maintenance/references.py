"""The files that kept states of tables name: metadata, manifest lists, manifests, data and statistics."""

from __future__ import annotations

from collections.abc import Iterable

from pyiceberg.serializers import FromInputFile
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from slipway.adapters.iceberg.tables import TableId, Tables
from slipway.adapters.maintenance.locations import canonical
from slipway.domain.errors import UnavailableError
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
            Why the table's folder must be left alone: its present state is not whole. Empty when it is.

        Raises:
            UnavailableError: the store does not answer, so nobody knows what is in use.
        """
        newest = self._tables.load(identifier, current).metadata if current else None
        broken = ""
        for one in keep:
            location = one.state.location
            self.states.add(location)
            self.named.add(canonical(location))
            snapshots = self._snapshots(newest if location == current else None, newest, one)
            for snapshot in snapshots:
                missing = self._add_snapshot(snapshot)
                if missing and location == current:
                    broken = f"{missing} is named by its metadata and is not there"
        return broken

    def _snapshots(
        self, loaded: TableMetadata | None, newest: TableMetadata | None, one: Kept
    ) -> list[Snapshot]:
        """The snapshots that are read through a state; its own metadata file is opened only if no other knows them."""
        if not one.whole:
            if one.state.snapshot_id is None:
                return []
            number = int(one.state.snapshot_id)
            if newest and (found := newest.snapshot_by_id(number)):
                return [found]
        metadata = loaded or self._load(one.state.location)
        if metadata is None:
            return []
        self.named |= {canonical(item.statistics_path) for item in metadata.statistics}
        self.named |= {canonical(item.statistics_path) for item in metadata.partition_statistics}
        if one.whole:
            return list(metadata.snapshots)
        return [found] if (found := metadata.snapshot_by_id(number)) else []

    def _load(self, location: str) -> TableMetadata | None:
        try:
            return FromInputFile.table_metadata(self._tables.io(location).new_input(location))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UnavailableError(
                f"{location} cannot be read", str(error).split("\n", 1)[0], "nothing was removed; check it"
            ) from error

    def _add_snapshot(self, snapshot: Snapshot) -> str:
        """Take in a snapshot; returns a file of it that is gone, or nothing."""
        if snapshot.manifest_list in self._lists:
            return ""
        self._lists.add(snapshot.manifest_list)
        self.named.add(canonical(snapshot.manifest_list))
        io = self._tables.io(snapshot.manifest_list)
        try:
            for manifest in snapshot.manifests(io):
                if manifest.manifest_path in self._manifests:
                    continue
                self._manifests.add(manifest.manifest_path)
                self.named.add(canonical(manifest.manifest_path))
                for entry in manifest.fetch_manifest_entry(io, discard_deleted=True):
                    self.named.add(canonical(entry.data_file.file_path))
        except FileNotFoundError as error:
            return str(error).rsplit("/", 1)[-1]
        return ""
