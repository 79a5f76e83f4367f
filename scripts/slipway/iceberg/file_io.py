"""Access to the files of Iceberg metadata, whose names identify their content: what a byte of was changed is not read.

Neither JSON nor Avro has a checksum. A changed byte in a manifest can leave out rows or move the bounds by which files are left out,
and every reader answers all the same. So metadata files, manifest lists and manifests have in their names, where Iceberg has a
random UUID, one of version 8 (RFC 9562, "Custom") that is made of the first bits of the content's SHA-256. The catalog names the metadata
file, that the manifest lists, these the manifests: each of them says what the next one has to be.

On S3 it takes one request to read or write an object. pyiceberg's own file access asks whether an object exists before it writes it,
sends small ones in parts, and keeps the keys it began with.
"""

from __future__ import annotations

import hashlib
import io as streams
import os
import re
import uuid
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from pyiceberg.io import FileIO, InputFile, OutputFile, OutputStream

from slipway.errors import DamagedTableError
from slipway.storage.s3 import ObjectStream, S3Access, answering, finding, is_s3, put_new, s3_access, split
from slipway.write_limits import check_write

if TYPE_CHECKING:
    from pyiceberg.io.pyarrow import PyArrowFileIO

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
    """Whether a file's name identifies its content."""
    return bool(_NAMED.search(location.rpartition("/")[2]))


def check(location: str, content: bytes) -> None:
    """Compare what was read of a file with its name, if that identifies the content.

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
    """Access to files that gives those which are written names that identify their content.

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
    """A file that gets its name when it is closed: that of its content takes the place of a part of its location."""

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


class Upload(streams.BytesIO):
    """A stream whose content is stored when it is closed, unless its block failed."""

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


_T = TypeVar("_T")


class StoreFileIO(FileIO):
    """Objects in S3 by one client that renews its keys; everything else as pyiceberg does it with Arrow.

    What is read from a file whose name tells its content is compared with it, and refused with a DamagedError.
    """

    def new_input(self, location: str) -> Any:
        """A file to read."""
        if is_s3(location):
            return S3File(location, self._access)
        return LocalFile(location) if is_named(location) else self._others.new_input(location)

    def new_output(self, location: str) -> Any:
        """A file to write."""
        check_write(self.properties, location)
        return S3File(location, self._access) if is_s3(location) else self._others.new_output(location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Delete a file."""
        name = location if isinstance(location, str) else location.location
        check_write(self.properties, name)
        if not is_s3(name):
            self._others.delete(location)
            return
        bucket, key = split(name)
        with answering(name):
            self._access.client.delete_object(Bucket=bucket, Key=key)

    @cached_property
    def _others(self) -> PyArrowFileIO:
        from pyiceberg.io.pyarrow import (
            PyArrowFileIO,  # slow to import, and reading commands start without it
        )

        return PyArrowFileIO(self.properties)

    @property
    def _access(self) -> S3Access:
        return s3_access({key: str(value) for key, value in self.properties.items()})


def sizes(io: FileIO, folder: str, prefix: str) -> dict[str, int]:
    """Bytes of every file in a folder whose name begins so; on S3 one request for a thousand of them.

    Raises:
        UnavailableError: the store refuses or does not answer.
    """
    if not is_s3(folder):
        with os.scandir(folder.removeprefix("file://")) as found:
            return {entry.name: entry.stat().st_size for entry in found if entry.name.startswith(prefix)}
    bucket, key = split(folder)
    start = f"{key}/{prefix}"
    client = s3_access({name: str(value) for name, value in io.properties.items()}).client
    with answering(folder):
        pages: Any = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start)
        return {
            item["Key"].removeprefix(f"{key}/"): item["Size"]
            for page in pages
            for item in page.get("Contents", [])
        }


class LocalFile(InputFile):
    """A file of a folder that is read whole; raises FileNotFoundError."""

    def __len__(self) -> int:
        """Bytes."""
        return self._path.stat().st_size

    def exists(self) -> bool:
        """Whether it is there."""
        return self._path.exists()

    def open(self, seekable: bool = True) -> Any:  # noqa: ARG002, FBT001, FBT002 - as pyiceberg calls it
        """The whole file."""
        content = self._path.read_bytes()
        check(self.location, content)
        return streams.BytesIO(content)

    @property
    def _path(self) -> Path:
        return Path(self.location.removeprefix("file://"))


class S3File(InputFile, OutputFile):
    """One object; raises UnavailableError when the store refuses or does not answer."""

    def __init__(self, location: str, access: S3Access) -> None:
        super().__init__(location=location)
        self._access = access
        self._bucket, self._key = split(location)
        self._written: int | None = None

    def __len__(self) -> int:
        """Bytes, known without asking when it was written here; raises FileNotFoundError."""
        return self._written if self._written is not None else self._size()

    def exists(self) -> bool:
        """Whether it is there."""
        try:
            return len(self) >= 0
        except FileNotFoundError:
            return False

    def open(self, seekable: bool = True) -> Any:  # noqa: ARG002, FBT001, FBT002 - as pyiceberg calls it
        """The whole object; raises FileNotFoundError."""
        content = self._ask(lambda: ObjectStream(self._access.client, self._bucket, self._key).read())
        check(self.location, content)
        return streams.BytesIO(content)

    def create(self, overwrite: bool = False) -> OutputStream:  # noqa: FBT001, FBT002 - as pyiceberg calls it
        """A stream that becomes the object when it is closed."""
        return Upload(partial(self.put, overwrite=overwrite))

    def to_input_file(self) -> S3File:
        """The same object, to read."""
        return self

    def put(self, content: bytes, *, overwrite: bool) -> None:
        """Write the object; raises FileExistsError where it is there and may not be replaced."""
        client = self._access.client
        with answering(self.location):
            if overwrite:
                client.put_object(Bucket=self._bucket, Key=self._key, Body=content)
            else:
                put_new(client, self._bucket, self._key, content)
        self._written = len(content)

    def _size(self) -> int:
        head = self._access.client.head_object
        return int(self._ask(lambda: head(Bucket=self._bucket, Key=self._key))["ContentLength"])

    def _ask(self, request: Callable[[], _T]) -> _T:
        with answering(self.location), finding(self.location):
            return request()
