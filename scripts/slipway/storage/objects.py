"""Objects below a root, on a local folder or in S3: list, read, and create once; and what is said when a disk fails.

Records are written once: creating an object that is there already is an error on both kinds.

Tables name files by ``s3://`` or ``s3a://``, by a path or a ``file:`` URI, by a link or where it leads to. A mismatch
would make a file that is in use look like an orphan.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property, lru_cache
from pathlib import Path
from stat import S_ISREG
from typing import IO, Any

from slipway.errors import ConfigError, DamagedError, UnavailableError
from slipway.storage.s3 import ObjectStream, answering, finding, is_s3, put_new, s3_access, split
from slipway.write_limits import check_write


@contextmanager
def writing_below(root: str) -> Iterator[None]:
    """Tell in one line that a folder cannot be written.

    Raises:
        FileExistsError: a file is there that was to be made.
        UnavailableError: there is no room, or no right to write.
    """
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise UnavailableError(
            f"{root} cannot be written",
            error.strerror or str(error),
            "Make room, or have the right to write there, then run again",
        ) from error


def unlisted(error: OSError) -> None:
    """What ``os.walk`` calls for a folder that it cannot look into; one that is not there, or not any more, is empty.

    Raises:
        UnavailableError: it is there; what it holds would seem not to be.
    """
    if not isinstance(error, FileNotFoundError):
        raise UnavailableError(
            f"{error.filename} cannot be listed",
            error.strerror or str(error),
            "It should be a folder that may be read",
        ) from error


UNFINISHED = ".unfinished-"
"""What the name of a file begins with that is still being written, or whose writer died."""
_PROBE = "write-once-probe"
_AT_ONCE = 1000  # objects that one request may delete


@dataclass(frozen=True)
class ObjectInfo:
    """An object: its key below the root, bytes, a tag that changes with the content, and when it was last written.

    ``modified`` is by the store's own clock (``clock`` of the store).
    """

    key: str
    size: int
    etag: str
    modified: datetime

    @classmethod
    def of_file(cls, path: Path, root: Path, stat: os.stat_result) -> ObjectInfo:
        """A file below a folder."""
        return cls.of_key(path.relative_to(root).as_posix(), stat)

    @classmethod
    def of_key(cls, key: str, stat: os.stat_result) -> ObjectInfo:
        """A file of a folder; a name that is not UTF-8 is shown, and cannot be opened."""
        shown = key.encode(errors="surrogateescape").decode(errors="backslashreplace")
        modified = datetime.fromtimestamp(stat.st_mtime, UTC)
        return cls(shown, stat.st_size, str(stat.st_mtime_ns), modified)


def object_store(root: str, properties: Mapping[str, str]) -> ObjectStore:
    """The store for a root: a path, ``file://…`` or ``s3://bucket/prefix``.

    Raises:
        ConfigError: another kind of address.
    """
    if is_s3(root):
        return S3Store(root, properties)
    if "://" in root and not root.startswith("file://"):
        raise ConfigError(f"{root} cannot be used", "no such kind of store", "Use a folder or s3://…")
    return LocalStore(root, properties)


class LocalStore:
    """Objects are files."""

    def __init__(self, root: str, properties: Mapping[str, str] | None = None) -> None:
        self.root, self._properties = root, properties or {}
        self._folder = Path(root.removeprefix("file://"))

    def _path(self, key: str) -> Path:
        """Where an object is; parts of keys come from records, also from those of another environment.

        Raises:
            DamagedError: it would be outside of the folder.
        """
        if key.startswith("/") or ".." in key.split("/"):
            raise DamagedError(
                f"A record below {self.root} cannot be used",
                f"it leads to {key}, which is outside of this folder",
                "Find out who wrote it",
            )
        return self._folder / key

    @property
    def is_write_once(self) -> bool:
        """Whether two who create the same object at the same moment cannot both succeed: a link is not made over a file."""
        return True

    def create(self, key: str, content: bytes) -> None:
        """Write to a temporary file and link it: whole or not at all, and never over another.

        Raises:
            FileExistsError: it is there.
            UnavailableError: the folder cannot be written, or is full.
        """
        target = self._path(key)
        with self._temporary(target, content) as written:
            os.link(written, target)

    def replace(self, key: str, content: bytes) -> None:
        """Write to a temporary file and put it in the place of what is there; records are never written this way."""
        target = self._path(key)
        with self._temporary(target, content) as written:
            written.replace(target)

    def clock(self) -> datetime:
        """This machine's clock; that of a server that shares the folder is near it or is waited for."""
        return datetime.now(UTC)

    @contextmanager
    def _temporary(self, target: Path, content: bytes) -> Iterator[Path]:
        """A file with the content at the root, where nobody lists what is being written or was left by a killed process."""
        check_write(self._properties, str(target))
        with writing_below(self.root):
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder, prefix=UNFINISHED)
            try:
                with os.fdopen(handle, "wb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
                yield Path(name)
            finally:
                Path(name).unlink(missing_ok=True)

    def read(self, key: str) -> bytes:
        """The whole object; raises FileNotFoundError."""
        return self._path(key).read_bytes()

    @contextmanager
    def open(self, key: str) -> Iterator[IO[bytes]]:
        """A binary stream of the object."""
        with self._path(key).open("rb") as stream:
            yield stream

    def entries(self, prefix: str) -> list[ObjectInfo]:
        """Every file below a folder, sorted by key.

        Raises:
            UnavailableError: a folder cannot be looked into; what it holds would seem not to be there.
        """
        base = self._path(prefix)
        found = []
        for folder, _, names in os.walk(base, onerror=unlisted):
            for name in names:
                path = Path(folder) / name
                with suppress(OSError):  # gone meanwhile, or a link that leads nowhere
                    stat = path.stat()
                    if not S_ISREG(stat.st_mode):  # to open a pipe is to wait for who writes to it
                        continue
                    found.append(ObjectInfo.of_file(path, self._folder, stat))
        return sorted(found, key=lambda info: info.key)

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly below a folder, sorted."""
        base = self._path(prefix)
        return sorted(entry.name for entry in base.iterdir() if entry.is_dir()) if base.is_dir() else []

    def delete(self, keys: Sequence[str]) -> None:
        """Remove files; one that is gone is no error."""
        for key in keys:
            path = self._path(key)
            check_write(self._properties, str(path))
            path.unlink(missing_ok=True)


class S3Store:
    """Objects in a bucket, below a prefix; creating once needs a store that honours If-None-Match.

    Every method raises UnavailableError when the store does not answer or refuses, after bounded retries.
    """

    def __init__(self, root: str, properties: Mapping[str, str]) -> None:
        self.root, self._properties = root, properties
        self._bucket, prefix = split(root)
        self._prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        with self._answering():
            self._client = s3_access(properties).client

    @cached_property
    def is_write_once(self) -> bool:
        """Whether the store honours If-None-Match; it is tried on an object that is there only for this."""
        for _ in range(2):
            try:
                # never the same twice: after a retry, equal content means that this attempt wrote it
                text = f"Written again by every run ({uuid.uuid4()}): a store that lets it cannot keep records safe.\n"
                self._put(_PROBE, text.encode())
            except FileExistsError:
                return True
        return False

    def create(self, key: str, content: bytes) -> None:
        """Put with If-None-Match; raises FileExistsError when the object is there."""
        if not self.is_write_once and self._is_there(key):  # as well as it goes
            raise FileExistsError(key)
        self._put(key, content)

    def _is_there(self, key: str) -> bool:
        try:
            with self.open(key):
                return True
        except FileNotFoundError:
            return False

    def _put(self, key: str, content: bytes) -> None:
        check_write(self._properties, f"{self.root}/{key}")
        with self._answering():
            put_new(self._client, self._bucket, self._prefix + key, content)

    def replace(self, key: str, content: bytes) -> None:
        """Put, whatever is there."""
        check_write(self._properties, f"{self.root}/{key}")
        with self._answering():
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=content)

    def clock(self) -> datetime:
        """The time that the store stands on its answers, by which it also tells when an object was written."""
        with self._answering():
            answer = self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return parsedate_to_datetime(date) if date else datetime.now(UTC)

    def read(self, key: str) -> bytes:
        """The whole object; raises FileNotFoundError."""
        with self.open(key) as stream:
            content: bytes = stream.read()
            return content

    @contextmanager
    def open(self, key: str) -> Iterator[Any]:
        """A binary stream of the object."""
        with self._answering():
            with finding(key):
                body = ObjectStream(self._client, self._bucket, self._prefix + key)
            with closing(body):
                yield body

    def entries(self, prefix: str) -> list[ObjectInfo]:
        """Every object below a folder, sorted by key; what consoles put there to show a folder is none."""
        return [
            ObjectInfo(
                item["Key"].removeprefix(self._prefix),
                item["Size"],
                item["ETag"].strip('"'),
                item["LastModified"],
            )
            for page in self._pages(prefix)
            for item in page.get("Contents", [])
            if not item["Key"].endswith("/")
        ]

    def info(self, key: str) -> ObjectInfo | None:
        """One object, found without a listing; None where there is none."""
        with self._answering():
            try:
                with finding(key):
                    found = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
            except FileNotFoundError:
                return None
        return ObjectInfo(key, found["ContentLength"], found["ETag"].strip('"'), found["LastModified"])

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly below a folder, sorted."""
        start = self._start(prefix)
        return sorted(
            item["Prefix"].removeprefix(start).rstrip("/")
            for page in self._pages(prefix, Delimiter="/")
            for item in page.get("CommonPrefixes", [])
        )

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects, a thousand with each request."""
        for key in keys:
            check_write(self._properties, f"{self.root}/{key}")
        with self._answering():
            for first in range(0, len(keys), _AT_ONCE):
                names = [{"Key": self._prefix + key} for key in keys[first : first + _AT_ONCE]]
                done = self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": names, "Quiet": True}
                )
                for error in done.get("Errors", []):
                    raise RuntimeError(f"{error['Key']} cannot be deleted: {error['Message']}")

    def _start(self, prefix: str) -> str:
        return self._prefix + (f"{prefix.rstrip('/')}/" if prefix else "")

    def _pages(self, prefix: str, **options: str) -> list[dict[str, Any]]:
        with self._answering():
            paginator: Any = self._client.get_paginator("list_objects_v2")
            return list(paginator.paginate(Bucket=self._bucket, Prefix=self._start(prefix), **options))

    def _answering(self) -> AbstractContextManager[None]:
        return answering(self.root)


ObjectStore = LocalStore | S3Store
"""Both can do the same. Keys are relative, with forward slashes."""

_S3 = ("s3://", "s3a://", "s3n://")


def canonical(location: str) -> str:
    """The one form of a location: a path without links, or ``s3://bucket/key``."""
    if location.startswith(_S3):
        bucket, key = split(location)
        return f"s3://{bucket}/{key}"
    path = location
    if path.startswith("file:"):
        path = f"/{path.removeprefix('file:').lstrip('/')}"
    folder, _, name = path.rpartition("/")
    return f"{_real(folder)}/{name}"


@lru_cache(maxsize=4096)
def _real(folder: str) -> str:
    return os.path.realpath(folder).rstrip("/")
