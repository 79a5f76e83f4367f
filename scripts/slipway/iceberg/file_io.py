"""Iceberg metadata: files whose names tell their content are compared with it; S3 takes one request to read or write an object.

pyiceberg's own file access asks whether an object exists before it writes it, sends small ones in parts, and keeps
the keys it began with.
"""

from __future__ import annotations

import io as streams
import os
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError
from pyiceberg.io import FileIO, InputFile, OutputFile, OutputStream

from slipway.iceberg.content_names import Upload, check, is_named
from slipway.storage.s3 import ObjectStream, S3Access, answering, is_s3, put_new, s3_access, split

if TYPE_CHECKING:
    from pyiceberg.io.pyarrow import PyArrowFileIO

_T = TypeVar("_T")
_GONE = ("NoSuchKey", "404")


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
        return S3File(location, self._access) if is_s3(location) else self._others.new_output(location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Delete a file."""
        name = location if isinstance(location, str) else location.location
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
        with answering(self.location):
            try:
                return request()
            except ClientError as error:
                if error.response["Error"]["Code"] in _GONE:
                    raise FileNotFoundError(self.location) from error
                raise
