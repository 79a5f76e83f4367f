"""Delete files as engines write them that merge on read; Slipway writes none."""

from __future__ import annotations

import uuid
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriterV2,
)
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _FastAppendFiles
from pyiceberg.typedef import Record

from slipway.iceberg.snapshots import Staging

POSITIONS = pa.schema(
    [
        pa.field("file_path", pa.string(), metadata={"PARQUET:field_id": "2147483546"}),
        pa.field("pos", pa.int64(), metadata={"PARQUET:field_id": "2147483545"}),
    ]
)
KEYS = pa.schema([pa.field("k", pa.int64(), metadata={"PARQUET:field_id": "1"})])


class DeleteManifest(ManifestWriterV2):
    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


class Deletes(_FastAppendFiles):
    """A snapshot with one delete file, as engines that merge on read write them."""

    file: DataFile

    def _manifests(self) -> list[ManifestFile]:
        metadata = self._transaction.table_metadata
        output = self._io.new_output(f"{metadata.location}/metadata/{uuid.uuid4()}-m0.avro")
        with DeleteManifest(metadata.spec(), metadata.schema(), output, self._snapshot_id, "null") as writer:
            writer.add_entry(
                ManifestEntry.from_args(
                    status=ManifestEntryStatus.ADDED, snapshot_id=self._snapshot_id, data_file=self.file
                )
            )
        return [*self._existing_manifests(), writer.to_manifest_file()]


def deleted(table: Table, kind: str) -> Staging:
    """The snapshot of another tool that deletes a row: the second one of the only file, or those whose field 1 is 1.

    Args:
        table: without partitions, in a folder.
        kind: ``position`` or ``equality``.
    """
    (task,) = table.scan().plan_files()
    rows = (
        pa.table({"file_path": [task.file.file_path], "pos": [1]}, schema=POSITIONS)
        if kind == "position"
        else pa.table({"k": [1]}, schema=KEYS)
    )
    path = Path(f"{table.location().removeprefix('file://')}/data/{uuid.uuid4()}-deletes.parquet")
    parquet.write_table(rows, path)
    transaction = Staging(table)
    producer = Deletes(
        operation=Operation.DELETE, transaction=transaction, io=table.io, snapshot_properties={}
    )
    producer.file = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES if kind == "position" else DataFileContent.EQUALITY_DELETES,
        file_path=f"file://{path}",
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=1,
        file_size_in_bytes=path.stat().st_size,
        equality_ids=None if kind == "position" else [1],
    )
    producer.file.spec_id = 0
    producer.commit()
    return transaction
