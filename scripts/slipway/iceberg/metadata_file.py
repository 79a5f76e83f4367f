"""Metadata files whose cost does not grow with every snapshot that the table ever had.

Iceberg keeps all snapshots of a table in one file, and a write changes none of those before it. So each is written as a
line of its own; the next write takes the lines over as they are, and only what somebody looks at is parsed. JSON has no
line breaks inside of strings: a file is either written so, or it is read as pyiceberg does it.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic_core import from_json
from pyiceberg.exceptions import ValidationError
from pyiceberg.serializers import FromInputFile
from pyiceberg.table.metadata import TableMetadataUtil
from pyiceberg.table.snapshots import Snapshot

from slipway.iceberg.content_names import write_named
from slipway.iceberg.reading import reading

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.table.metadata import TableMetadata


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


def read(io: FileIO, location: str) -> TableMetadata:
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


def write(io: FileIO, location: str, metadata: TableMetadata) -> str:
    """Write a metadata file under a name that tells its content.

    Args:
        io: where.
        location: what it is to be called, with ``{}`` for the name of the content.
        metadata: what it says.

    Returns:
        Where it is.
    """
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
