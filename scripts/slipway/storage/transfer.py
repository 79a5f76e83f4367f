"""Files of one store copied into another: by S3 itself where both are in one, else as a stream through this process.

A copy is compared with what it was made from before anybody may name it, and it takes its name only when it is whole.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from slipway.errors import DamagedError, UnavailableError
from slipway.storage.objects import UNFINISHED, writing_below
from slipway.storage.s3 import ObjectStream, S3Access, answering, finding, is_s3, s3_access, split

_BLOCK = 1 << 20  # bytes
_LARGEST_AT_ONCE = 5 << 30  # bytes that S3 copies by one request
_PART = 512 << 20  # bytes of a part of a larger one
_REFUSED = ("AccessDenied", "403")
_GONE = ("NoSuchKey", "404", "NotFound")


class _RefusedError(Exception):
    """These keys may not read the source."""


class Transfer:
    """Copies files.

    Args:
        source: properties of the catalog whose files are read, with the keys and the endpoint of its store.
        target: those of the catalog whose store is written to.
    """

    def __init__(self, source: Mapping[str, str], target: Mapping[str, str]) -> None:
        self._properties = source, target
        self._may_copy = True

    def copy(self, source: str, target: str, size: int, known: str = "") -> str:
        """Copy a file, whatever is at the target.

        Args:
            source: where it is.
            target: where it is to be.
            size: bytes that it should have.
            known: what its content was recognised by when it was signed, in the form that is returned; empty where that is not known.

        Returns:
            What the copy can be recognised by: ``sha256:`` of its content, or ``etag:``, which S3 gave it.

        Raises:
            FileNotFoundError: there is no such file.
            OSError: it cannot be read.
            DamagedError: it has another size or checksum than it should have.
            UnavailableError: one of the stores refuses or does not answer, the target cannot be written, or the copy is not what was
                read.
        """
        if is_s3(source) and is_s3(target) and self._is_one_store and self._may_copy:
            try:
                return self._by_the_store(source, target, size, known)
            except _RefusedError:
                self._may_copy = False  # of the two environments' keys, each reads its own store
        return self._streamed(source, target, size, known)

    @cached_property
    def _source(self) -> S3Access:
        return s3_access(self._properties[0])

    @cached_property
    def _target(self) -> S3Access:
        return s3_access(self._properties[1])

    @property
    def _is_one_store(self) -> bool:
        return self._source.endpoint == self._target.endpoint

    def _by_the_store(self, source: str, target: str, size: int, known: str) -> str:
        before = self._head(self._source, source)
        _check(source, before["ContentLength"], size, known, f"etag:{_tag(before)}")
        (from_bucket, from_key), (bucket, key) = split(source), split(target)
        what = {"Bucket": from_bucket, "Key": from_key}
        client = self._target.client
        with answering(target), _refusing():
            if size <= _LARGEST_AT_ONCE:
                client.copy_object(CopySource=what, CopySourceIfMatch=before["ETag"], Bucket=bucket, Key=key)
            else:
                from boto3.s3.transfer import TransferConfig

                parts = TransferConfig(multipart_threshold=_LARGEST_AT_ONCE, multipart_chunksize=_PART)
                client.copy(what, bucket, key, SourceClient=self._source.client, Config=parts)
        after = self._head(self._target, target)
        read, written = _content_of(before), _content_of(after)
        if after["ContentLength"] != size or (read and written and read != written):
            raise _differs(source, target)
        return f"etag:{_tag(after)}"

    def _head(self, access: S3Access, location: str) -> dict[str, Any]:
        bucket, key = split(location)
        with answering(location), finding(location):
            found: dict[str, Any] = access.client.head_object(Bucket=bucket, Key=key)
        return found

    def _streamed(self, source: str, target: str, size: int, known: str) -> str:
        if is_s3(source):
            before = self._head(self._source, source)
            _check(source, before["ContentLength"], size, known, f"etag:{_tag(before)}")
        with self._reading(source) as stream:
            read = _Reading(stream)

            def check() -> None:
                _check(source, read.size, size, known, f"sha256:{read.digest}")

            if is_s3(target):
                self._upload(read, target)
                check()
                _check(target, self._head(self._target, target)["ContentLength"], size)
            else:
                _write_file(read, source, _path(target), check)
        return f"sha256:{read.digest}"

    @contextmanager
    def _reading(self, source: str) -> Iterator[IO[bytes]]:
        if not is_s3(source):
            with _path(source).open("rb") as stream:
                yield stream
            return
        bucket, key = split(source)
        with answering(source):
            with finding(source):
                body: Any = ObjectStream(self._source.client, bucket, key)
            with closing(body):
                yield body

    def _upload(self, read: _Reading, target: str) -> None:
        bucket, key = split(target)
        with answering(target):
            self._target.client.upload_fileobj(read, bucket, key)


class _Reading:
    """A stream that counts and hashes what is read of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._hash, self.size = stream, hashlib.sha256(), 0

    def read(self, size: int | None = None) -> bytes:
        """The next bytes."""
        block = self._stream.read(-1 if size is None else size)
        self._hash.update(block)
        self.size += len(block)
        return block

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def _write_file(read: _Reading, source: str, path: Path, check: Callable[[], None]) -> None:
    """Write a file next to where it is to be, check what was read, read it back, and give it its name."""
    unfinished = path.with_name(f"{UNFINISHED}{uuid.uuid4()}")
    try:
        with writing_below(str(path.parent)):
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = unfinished.open("xb")
        with stream:
            while block := read.read(_BLOCK):
                with writing_below(str(path.parent)):
                    stream.write(block)
            with writing_below(str(path.parent)):
                stream.flush()
                os.fsync(stream.fileno())
        check()
        if _digest_of(unfinished) != read.digest:
            raise _differs(source, str(path))
        with writing_below(str(path.parent)):
            unfinished.replace(path)
    finally:
        with suppress(OSError):  # why it could not be written says more
            unfinished.unlink()


def _digest_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _path(location: str) -> Path:
    return Path(location.removeprefix("file://"))


@contextmanager
def _refusing() -> Iterator[None]:
    """Tell apart that these keys may not read the source, or may not write the target, which a stream would find out."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in _REFUSED:
            raise _RefusedError from error
        if error.response["Error"]["Code"] in _GONE:
            raise FileNotFoundError(str(error)) from error
        raise


def _content_of(head: Mapping[str, Any]) -> str | None:
    """The MD5 of an object's content, where its ETag is one: it was written by one request, and not encrypted by a key of KMS."""
    encrypted = head.get("ServerSideEncryption", "AES256") != "AES256"
    tag = _tag(head)
    return None if encrypted or "-" in tag else tag


def _tag(head: Mapping[str, Any]) -> str:
    return str(head["ETag"]).strip('"')


def _check(location: str, found: int, wanted: int, known: str = "", is_now: str = "") -> None:
    """Compare bytes with those that a manifest says, and a checksum with that of the same kind that was signed."""
    why = ""
    if found != wanted:
        why = f"it has {found:,} bytes, and its manifest says {wanted:,}"
    elif known.partition(":")[0] == is_now.partition(":")[0] and known != is_now:
        why = f"its checksum is {is_now}, and {known} was signed with the release"
    if why:
        raise DamagedError(
            f"{location} is not what it was",
            why,
            "Restore the file from a copy, or build the table again with slipway run --full-refresh --select MODEL",
        )


def _differs(source: str, target: str) -> UnavailableError:
    return UnavailableError(
        f"{target} was not copied",
        f"what was written is not what was read from {source}",
        "Check the disk or the store, then promote again",
    )
