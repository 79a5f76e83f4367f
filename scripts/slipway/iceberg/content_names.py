"""Metadata whose names tell its content: what a byte of was changed is not read.

Neither JSON nor Avro has a checksum. A changed byte in a manifest can leave out rows or move the bounds by which files are left out,
and every reader answers all the same. So metadata files, manifest lists and manifests have in their names, where Iceberg has a
random UUID, one of version 8 (RFC 9562, "Custom") that is made of the first bits of the content's SHA-256. The catalog names the metadata
file, that the manifest lists, these the manifests: each of them says what the next one has to be.
"""

from __future__ import annotations

import hashlib
import io
import re
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any

from pyiceberg.io import FileIO, InputFile, OutputFile, OutputStream

from slipway.errors import DamagedTableError

_NAMED = re.compile(
    r"(?<![0-9a-f])[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}(?![0-9a-f])"
)

RESTORE = (
    "Restore the file from a copy, show an earlier release with slipway rollback, "
    "or build the table again with slipway run --full-refresh --select MODEL"
)
"""What to do about a damaged file of a table."""


def name_of(content: bytes) -> str:
    """The UUID of a content."""
    number = int.from_bytes(hashlib.sha256(content).digest()[:16])
    number &= ~((0xF << 76) | (0x3 << 62))
    return str(uuid.UUID(int=number | (0x8 << 76) | (0x2 << 62)))


def is_named(location: str) -> bool:
    """Whether a file's name tells its content."""
    return bool(_NAMED.search(location.rpartition("/")[2]))


def check(location: str, content: bytes) -> None:
    """Compare what was read of a file with its name, if that tells the content.

    Raises:
        DamagedTableError: it is not what was written.
    """
    found = _NAMED.search(location.rpartition("/")[2])
    if found and found[0] != name_of(content):
        raise DamagedTableError(
            "A file of a table's metadata cannot be read",
            f"{location}: it does not hold what was written to it",
            RESTORE,
        )


class NamingFiles(FileIO):
    """Access to files that gives those which are written names that tell their content.

    Args:
        files: the access to them.
        part: the part of a wanted name that the name of the content takes the place of.
    """

    def __init__(self, files: FileIO, part: str) -> None:
        super().__init__(files.properties)
        self._files, self._part = files, part
        self._outputs: dict[str, NamedOutput] = {}

    def new_input(self, location: str) -> InputFile:
        """A file to read."""
        return self._files.new_input(location)

    def new_output(self, location: str) -> OutputFile:
        """A file to write."""
        self._outputs[location] = NamedOutput(self._files, location, self._part)
        return self._outputs[location]

    def delete(self, location: Any) -> None:
        """Delete a file."""
        self._files.delete(location)

    def written(self, location: str) -> str:
        """Where a file is that was to be called so."""
        return self._outputs[location].location


class NamedOutput(OutputFile):
    """A file that gets its name when it is closed.

    Args:
        files: where it is written.
        location: what it is to be called, with a part that the name of the content takes the place of.
        part: that part.
    """

    def __init__(self, files: FileIO, location: str, part: str) -> None:
        super().__init__(location=location)
        self._files, self._part, self._length = files, part, 0

    def __len__(self) -> int:
        """Bytes that were written."""
        return self._length

    def exists(self) -> bool:
        """Whether it is there."""
        return self._files.new_input(self.location).exists()

    def to_input_file(self) -> InputFile:
        """The same file, to read."""
        return self._files.new_input(self.location)

    def create(self, overwrite: bool = False) -> OutputStream:  # noqa: ARG002, FBT001, FBT002 - as pyiceberg calls it
        """A stream that becomes the file when it is closed."""
        return Upload(self.put)

    def put(self, content: bytes) -> None:
        """Write the file."""
        self._location = write_named(self._files, self._location, self._part, content)
        self._length = len(content)


def write_named(files: FileIO, location: str, part: str, content: bytes) -> str:
    """Write a file under a name in which a part is replaced by the name of its content, and return where it is.

    A file that is there already is the same one: two processes that expire the same snapshots in one millisecond write
    it, or one of them was stopped while it did. Which of the two moves the table is decided by the catalog.
    """
    named = location.replace(part, name_of(content))
    try:
        _write(files, named, content, overwrite=False)
    except FileExistsError:
        if not _holds(files, named, content):
            _write(files, named, content, overwrite=True)
    return named


def _write(files: FileIO, location: str, content: bytes, *, overwrite: bool) -> None:
    with files.new_output(location).create(overwrite=overwrite) as stream:
        stream.write(content)


def _holds(files: FileIO, location: str, content: bytes) -> bool:
    try:
        with files.new_input(location).open() as stream:
            return bool(stream.read() == content)
    except DamagedTableError:
        return False


class Upload(io.BytesIO):
    """A stream whose content is stored when it is closed, unless its block failed.

    Args:
        put: stores it.
    """

    def __init__(self, put: Callable[[bytes], None]) -> None:
        super().__init__()
        self._put = put

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            super().close()

    def close(self) -> None:
        """Store what was written."""
        if not self.closed:
            content = self.getvalue()
            super().close()
            self._put(content)
