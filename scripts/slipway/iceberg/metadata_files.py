"""Metadata of tables, read and written: whatever is wrong with a file of it is an error that names the file.

Iceberg keeps all snapshots of a table in one metadata file, and a write changes none of those before it. So each is written as a
line of its own; the next write takes the lines over as they are, and only what somebody looks at is parsed. JSON has no
line breaks inside of strings: a file is either written so, or it is read as pyiceberg does it.

Manifests are decoded here before DuckDB scans them: its own decoder ends the process when it meets a damaged one. So does
pyiceberg's compiled one, which follows a damaged length out of its buffer; the one in Python is as fast for manifests (85 µs an entry
against 68). And a file that ends in the middle of a block reads as if that block had never been written.
Sources: the Avro specification, "Object Container Files"; pyiceberg's ``avro.file``.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic_core import from_json
from pyiceberg.avro import file as avro_file
from pyiceberg.avro.decoder import BinaryDecoder, StreamingBinaryDecoder
from pyiceberg.exceptions import ValidationError
from pyiceberg.io import FileIO
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
)
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadataUtil
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.utils.concurrent import ExecutorFactory

from slipway.counts import plural
from slipway.errors import DamagedTableError, SlipwayError, UnavailableError, first_line
from slipway.iceberg.file_io import RESTORE, is_named, write_named
from slipway.names import TableName

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.io import FileIO
    from pyiceberg.table.metadata import TableMetadata

_MAGIC = b"Obj\x01"
_SYNC = 16  # bytes of the marker after the header and after each block


class _Decoder(StreamingBinaryDecoder):
    def skip(self, n: int) -> None:
        if n < 0:  # it would read the same again, perhaps for ever
            raise ValueError(f"it has a part of {plural(n, 'byte')}")
        super().skip(n)


def use_safe_decoder() -> None:
    """Have pyiceberg decode Avro files by the functions below."""
    avro_file.new_decoder = _decoder  # type: ignore[attr-defined, assignment]


def _decoder(content: bytes) -> BinaryDecoder:
    """A decoder of a file, or of a block of one."""
    if content.startswith(_MAGIC):
        check_container(content)
    return _Decoder(content)


def check_container(content: bytes) -> None:
    """Check that a file consists of whole blocks to its end.

    Raises:
        ValueError: it does not, or has no header.
        EOFError: it ends before its header does.
    """
    decoder = StreamingBinaryDecoder(content)
    if decoder.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("it is no Avro file")
    # the header's map, in blocks; a negative count is followed by a size
    while entries := decoder.read_int():
        if entries < 0:
            entries = -entries
            decoder.read_int()
        for _ in range(2 * entries):
            decoder.read_bytes()
    sync = decoder.read(_SYNC)
    while decoder.tell() < len(content):
        try:
            decoder.read_int()
            decoder.read_bytes()
            marker = decoder.read(_SYNC)
        except EOFError:
            raise ValueError("it ends in the middle of a block") from None
        if marker != sync:
            raise ValueError("a block does not end where it should")


use_safe_decoder()


@contextmanager
def reading(what: str, location: str) -> Iterator[None]:
    """Tell of what goes wrong while one file of a table is read and understood.

    Args:
        what: what it is and of which table, as in ``metadata of serving.orders``.
        location: the file.

    Raises:
        DamagedTableError: it is missing, or its content is none of Iceberg's.
        UnavailableError: the store does not answer, or does not let us read it.
    """
    try:
        yield
    except SlipwayError:
        raise
    except FileNotFoundError as error:
        raise damaged(what, location, "it is missing") from error
    except OSError as error:
        if error.errno is None:
            raise damaged(what, location, _reason(error)) from error
        raise UnavailableError(
            f"{what} cannot be read", f"{location}: {_reason(error)}", "Check the warehouse"
        ) from error
    except Exception as error:
        raise damaged(what, location, _reason(error)) from error


def damaged(what: str, location: str, why: str) -> DamagedTableError:
    """The refusal for a file of a table that is not as it was written."""
    return DamagedTableError(f"{what} cannot be read", f"{location}: {why}", RESTORE)


def summary_of(snapshot: Snapshot | None) -> Mapping[str, str]:
    """What a snapshot says of itself; nothing where there is none, or it has no summary."""
    return snapshot.summary.additional_properties if snapshot and snapshot.summary else {}


def manifests_of(snapshot: Snapshot, io: FileIO, table: str) -> list[ManifestFile]:
    """The manifests of a snapshot.

    Raises:
        DamagedTableError: the manifest list is missing or damaged.
        UnavailableError: it cannot be read.
    """
    with reading(f"manifest list of {table}", snapshot.manifest_list):
        return list(snapshot.manifests(io))


def entries_of(
    manifest: ManifestFile, io: FileIO, table: str, *, discard_deleted: bool = True
) -> list[ManifestEntry]:
    """What a manifest names; as many files as the manifest list says.

    Raises:
        DamagedTableError: the manifest is missing or damaged.
        UnavailableError: it cannot be read.
    """
    what = f"manifest of {table}"
    with reading(what, manifest.manifest_path):
        found = manifest.fetch_manifest_entry(io, discard_deleted=False)
    added, existing = manifest.added_files_count, manifest.existing_files_count
    live = [entry for entry in found if entry.status != ManifestEntryStatus.DELETED]
    if added is not None and existing is not None and len(live) != added + existing:
        why = f"it names {plural(len(live), 'file')}, and the manifest list says {added + existing}"
        raise damaged(what, manifest.manifest_path, why)
    return live if discard_deleted else found


def files_in(manifests: Iterable[ManifestFile], io: FileIO, table: str) -> list[DataFile]:
    """The files that several manifests name, which are read at once; raises as ``entries_of`` does."""
    read = ExecutorFactory.get_or_create().map(lambda one: entries_of(one, io, table), manifests)
    return [entry.data_file for entry in chain.from_iterable(read)]


def data_files(table: Table, snapshot: Snapshot | None = None) -> list[DataFile]:
    """The same as ``files_of``, without delete files."""
    return [file for file in files_of(table, snapshot) if file.content == DataFileContent.DATA]


def files_of(table: Table, snapshot: Snapshot | None = None) -> list[DataFile]:
    """The files of a snapshot, by default the current one if there is any, if those of data hold as many rows as it says.

    Raises:
        DamagedTableError: a file of its metadata is missing or damaged.
        UnavailableError: one cannot be read.
    """
    snapshot = snapshot or table.current_snapshot()
    if snapshot is None:
        return []
    return _files_in(table, snapshot, manifests_of(snapshot, table.io, str(TableName.of(table.name()))))


def _files_in(table: Table, snapshot: Snapshot, manifests: Iterable[ManifestFile]) -> list[DataFile]:
    files = files_in(manifests, table.io, str(TableName.of(table.name())))
    of_data = [file for file in files if file.content == DataFileContent.DATA]
    _check_totals(table, snapshot, sum(file.record_count for file in of_data), len(of_data))
    return files


def locations_of(table: Table, snapshot: Snapshot | None = None) -> list[str]:
    """Locations of all files that a scan of a snapshot reads: of metadata, data and deletes.

    The manifests are whole then, as ``check_whole`` finds out with less. Raises as ``files_of`` does.
    """
    snapshot = snapshot or table.current_snapshot()
    if snapshot is None:
        return [table.metadata_location]
    manifests = manifests_of(snapshot, table.io, str(TableName.of(table.name())))
    return [
        table.metadata_location,
        snapshot.manifest_list,
        *(one.manifest_path for one in manifests),
        *(one.file_path for one in _files_in(table, snapshot, manifests)),
    ]


def check_whole(table: Table, snapshot: Snapshot | None = None) -> None:
    """Check that the manifests of a snapshot are what was written, and name as many rows as it says.

    Those whose names tell their content are compared with them. Where all are, none is decoded, and what their list says of them
    counts. Raises as ``files_of`` does.
    """
    snapshot = snapshot or table.current_snapshot()
    if snapshot is None:
        return
    name = str(TableName.of(table.name()))
    manifests = manifests_of(snapshot, table.io, name)
    if not all(map(is_named, (snapshot.manifest_list, *(one.manifest_path for one in manifests)))):
        files_of(table, snapshot)
        return

    def read(manifest: ManifestFile) -> None:
        location = manifest.manifest_path
        with reading(f"manifest of {name}", location), table.io.new_input(location).open():
            pass

    list(ExecutorFactory.get_or_create().map(read, manifests))
    of_data = [one for one in manifests if one.content == ManifestContent.DATA]
    rows = sum((one.added_rows_count or 0) + (one.existing_rows_count or 0) for one in of_data)
    files = sum((one.added_files_count or 0) + (one.existing_files_count or 0) for one in of_data)
    _check_totals(table, snapshot, rows, files)


def can_stay(table: Table | None, *, full: bool) -> bool:
    """Whether equal rows may leave a table as it is: what a full build replaces has to be whole, or it is written again."""
    if not full or table is None:
        return True
    try:
        check_whole(table)
    except DamagedTableError:
        return False
    return True


def _check_totals(table: Table, snapshot: Snapshot, rows: int, files: int) -> None:
    """Compare what manifests name of data with what a snapshot's summary says; delete files do not change that."""
    summary = summary_of(snapshot)
    for key, found in (("total-records", rows), ("total-data-files", files)):
        if (said := summary.get(key)) is not None and said != str(found):
            raise damaged(
                f"metadata of {TableName.of(table.name())}",
                table.metadata_location,
                f"snapshot {snapshot.snapshot_id} says {key} {said}, and its manifests name {found}",
            )


def rows_of(table: Table) -> pa.Table:
    """All rows of a small table, as many as its snapshot says; manifests are decoded once.

    Raises:
        DamagedTableError: a file of it is missing or damaged.
        UnavailableError: one cannot be read.
    """
    try:
        rows = table.scan().to_arrow()
    except SlipwayError:
        raise
    except Exception:
        import pyarrow as pa  # slow to import, and reading commands start without it
        import pyarrow.parquet as pq

        for file in data_files(table):
            with (
                reading(f"data of {TableName.of(table.name())}", file.file_path),
                table.io.new_input(file.file_path).open() as stream,
            ):
                pq.read_table(pa.BufferReader(stream.read()))
        raise
    summary = summary_of(table.current_snapshot())
    if summary.get("total-records", str(len(rows))) != str(len(rows)):
        files_of(table)  # its error says which file it is, if it is one of the metadata
        what = f"metadata of {TableName.of(table.name())}"
        why = f"it says total-records {summary['total-records']}, and {plural(len(rows), 'row', 'were', 'was')} read"
        raise damaged(what, table.metadata_location, why)
    return rows


def _reason(error: BaseException) -> str:
    ends = isinstance(error, EOFError) or not str(error).strip()
    return "it ends too early" if ends else first_line(error)


_BEGIN, _BETWEEN, _END = b'{"snapshots":[\n', b",\n", b"\n],"
_LINE = re.compile(rb'\{"snapshot-id":(\d+),.*\}')
_attributes = BaseModel.__dict__["__dict__"]


class _Line(Snapshot):
    """A snapshot of which its id is known; whoever asks for anything else makes it an ordinary one."""

    @classmethod
    def of(cls, text: bytes, location: str) -> Snapshot:
        """The snapshot of a line; raises ValueError when it is none."""
        if not (found := _LINE.fullmatch(text)):
            raise ValueError(f"not a snapshot: {text[:80]!r}")
        one = cls.__new__(cls)
        _attributes.__set__(one, {"snapshot_id": int(found[1]), "_text": text, "_location": location})
        return one

    def __getattr__(self, name: str) -> Any:
        self._parse()
        return getattr(self, name)

    def __eq__(self, other: object) -> bool:
        self._parse()
        return bool(self == other)

    def __hash__(self) -> int:
        self._parse()
        return hash(self)

    @property
    def __dict__(self) -> dict[str, Any]:  # what pydantic copies, compares and writes
        return self._parse()

    @__dict__.setter
    def __dict__(self, values: dict[str, Any]) -> None:
        _attributes.__set__(self, values)
        object.__setattr__(self, "__class__", Snapshot)

    def _parse(self) -> dict[str, Any]:
        own: dict[str, Any] = _attributes.__get__(self)
        if text := own.get("_text"):  # another thread may do the same, with the same result
            with reading("metadata of a table", own["_location"]):
                parsed = Snapshot.model_validate_json(text)
            object.__setattr__(self, "__pydantic_fields_set__", parsed.__pydantic_fields_set__)
            object.__setattr__(self, "__pydantic_extra__", None)
            object.__setattr__(self, "__pydantic_private__", None)
            own.update(parsed.__dict__)
            own.pop("_text", None)
        object.__setattr__(self, "__class__", Snapshot)
        return own


def read_metadata(io: FileIO, location: str) -> TableMetadata:
    """What a metadata file says.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not Iceberg metadata.
        DamagedTableError: its name tells another content.
    """
    file = io.new_input(location)
    with file.open() as stream:
        content = stream.read()
    try:
        if not content.startswith(_BEGIN):
            return FromInputFile.table_metadata(file)
        lines, _, rest = content.removeprefix(_BEGIN).partition(_END)
        with _all_is_kept():
            snapshots = [_Line.of(line, location) for line in lines.split(_BETWEEN)]
            metadata = TableMetadataUtil.parse_obj(from_json(b"{" + rest))
            return metadata.model_copy(update={"snapshots": snapshots})
    except ValidationError as error:
        raise ValueError(str(error)) from error


def write_metadata(io: FileIO, location: str, metadata: TableMetadata) -> str:
    """Write a metadata file under a name that identifies its content, in the place of ``{}`` in a location, and return where it is."""
    if not metadata.snapshots:
        return write_named(io, location, "{}", metadata.model_dump_json().encode())
    rest = metadata.model_copy(update={"snapshots": []}).model_dump_json(exclude={"snapshots"})
    lines = _BETWEEN.join(_text(snapshot) for snapshot in metadata.snapshots)
    return write_named(io, location, "{}", b"".join((_BEGIN, lines, _END, rest[1:].encode())))


def _text(snapshot: Snapshot) -> bytes:
    return _attributes.__get__(snapshot).get("_text") or snapshot.model_dump_json().encode()


@contextmanager
def _all_is_kept() -> Iterator[None]:
    """No search for garbage in between: thousands of objects come and none goes, and Python would look at all of them."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
