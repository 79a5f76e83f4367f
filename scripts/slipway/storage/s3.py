"""Access to S3, the same for records, Iceberg metadata and DuckDB.

Keys come from the catalog's properties or else from the standard AWS chain. Keys of the chain that expire are
renewed by botocore before they do, so nothing here keeps them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any

from slipway.errors import ConfigError, UnavailableError

_KINDS = ("s3", "client")
_ROLE = "role-arn"
_EXISTS = ("PreconditionFailed", "ConditionalRequestConflict", "412")  # the last: the answer broke off
_GONE = ("NoSuchKey", "404")
_REOPENED = 3  # times
Keys = tuple[str, str, str | None]
"""Access key id, secret access key and session token."""


def is_s3(location: str) -> bool:
    """Whether a location is in S3."""
    return location.startswith(("s3://", "s3a://"))


class S3Access:
    """One client and one set of keys.

    Args:
        properties: a catalog's properties; ``s3.…`` count before ``client.…``, both before the AWS chain.

    Raises:
        ConfigError: they name a role, which only a profile of the AWS chain can assume and renew.
        UnavailableError: the profile, region or endpoint cannot be used.
    """

    def __init__(self, properties: Mapping[str, str]) -> None:
        import boto3
        from botocore.config import Config

        if any(f"{kind}.{_ROLE}" in properties for kind in _KINDS):
            raise ConfigError(
                f"Catalog property s3.{_ROLE} cannot be used",
                "its keys would not be renewed",
                "Name the role in a profile of AWS_CONFIG_FILE and set AWS_PROFILE",
            )
        self.endpoint = properties.get("s3.endpoint")
        key, secret = _either(properties, "access-key-id"), _either(properties, "secret-access-key")
        token = _either(properties, "session-token")
        self._own: Keys | None = (key, secret or "", token) if key else None
        retries: Any = (
            None if "AWS_MAX_ATTEMPTS" in os.environ else {"mode": "standard", "total_max_attempts": 4}
        )
        with answering(properties.get("warehouse", "S3")):
            self._session = boto3.session.Session(profile_name=_either(properties, "profile-name"))
            self.region = _either(properties, "region") or self._session.region_name
            self.client: Any = self._session.client(
                "s3",
                endpoint_url=self.endpoint,
                region_name=self.region,
                aws_access_key_id=key,
                aws_secret_access_key=secret,
                aws_session_token=token,
                # seconds; a store that is silent is given up after about a minute
                config=Config(connect_timeout=5, read_timeout=15, retries=retries, max_pool_connections=32),
            )

    def keys(self) -> Keys | None:
        """The keys to use now; None where the chain has none.

        Raises:
            UnavailableError: keys have expired and cannot be renewed.
        """
        if self._own:
            return self._own
        with answering("S3"):
            found = self._session.get_credentials()
            frozen = found.get_frozen_credentials() if found is not None else None
        return (str(frozen.access_key), str(frozen.secret_key), frozen.token) if frozen else None

    def keys_until(self) -> tuple[Keys | None, datetime | None]:
        """The keys to use now, and when they expire; None for keys that do not, or of which it is not known.

        Raises:
            UnavailableError: keys have expired and cannot be renewed.
        """
        keys = self.keys()
        while True:  # another thread may renew them between the two questions
            until = None if self._own else self._expiry()
            if (found := self.keys()) == keys:
                return keys, until
            keys = found

    def _expiry(self) -> datetime | None:
        """When the keys of the chain expire. botocore has it, and no public name for it; the AWS CLI reads it in the same way."""
        found = getattr(self._session.get_credentials(), "_expiry_time", None)
        return found if isinstance(found, datetime) else None


def s3_access(properties: Mapping[str, str]) -> S3Access:
    """The access that properties and the environment's AWS variables lead to, made once."""
    mine = tuple(sorted((k, v) for k, v in properties.items() if k.startswith(("s3.", "client."))))
    around = tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("AWS_")))
    return _made(mine, around, os.getpid())


class ObjectStream:
    """An object from its start to its end; where the connection breaks in between, it goes on from there.

    botocore tries a request again, but not an answer that breaks off.
    """

    def __init__(self, client: Any, bucket: str, key: str) -> None:
        self._client, self._place = client, {"Bucket": bucket, "Key": key}
        got = client.get_object(**self._place)
        self._body, self._etag, self._read, self._left = got["Body"], got["ETag"], 0, _REOPENED

    def read(self, size: int | None = None) -> bytes:
        """The next bytes, all that are left without a size; none at the end."""
        from botocore.exceptions import BotoCoreError

        while True:
            try:
                block = bytes(self._body.read(size))
            except BotoCoreError:
                if not self._left:
                    raise
                self._left -= 1
                self._reopen()
                continue
            self._read += len(block)
            return block

    def close(self) -> None:
        """Give the connection back."""
        self._body.close()

    def _reopen(self) -> None:
        self.close()
        rest = f"bytes={self._read}-"
        self._body = self._client.get_object(**self._place, Range=rest, IfMatch=self._etag)["Body"]


def put_new(client: Any, bucket: str, key: str, content: bytes) -> None:
    """Write an object that is not there yet; raises FileExistsError where it is.

    When the answer to an attempt is lost, the next one finds the object that it wrote.
    """
    from botocore.exceptions import ClientError

    try:
        client.put_object(Bucket=bucket, Key=key, Body=content, IfNoneMatch="*")
    except ClientError as error:
        if error.response["Error"]["Code"] not in _EXISTS:
            raise
        retried = error.response["ResponseMetadata"].get("RetryAttempts", 0)
        if not (retried and content and ObjectStream(client, bucket, key).read() == content):
            raise FileExistsError(key) from error


def split(location: str) -> tuple[str, str]:
    """Bucket and key of a location."""
    bucket, _, key = location.split("://", 1)[1].partition("/")
    return bucket, key


@contextmanager
def finding(name: str) -> Iterator[None]:
    """Raise FileNotFoundError with a name where the store says that there is no such object."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            raise FileNotFoundError(name) from error
        raise


@contextmanager
def answering(what: str) -> Iterator[None]:
    """Tell in one line that the store does not answer or refuses, after bounded retries."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (
        BotoCoreError,
        ClientError,
        RuntimeError,
    ) as error:  # the last: keys that were renewed have expired
        raise UnavailableError(
            f"{what} cannot be used",
            " ".join(str(error).split()),
            "Check the bucket, AWS_ENDPOINT_URL, AWS_REGION and the credentials",
        ) from error


@lru_cache(maxsize=32)
def _made(
    properties: tuple[tuple[str, str], ...],
    environment: tuple[tuple[str, str], ...],  # noqa: ARG001 - part of the cache's key
    process: int,  # noqa: ARG001 - a fork must not share connections
) -> S3Access:
    return S3Access(dict(properties))


def _either(properties: Mapping[str, str], name: str) -> str | None:
    return next((found for kind in _KINDS if (found := properties.get(f"{kind}.{name}"))), None)
