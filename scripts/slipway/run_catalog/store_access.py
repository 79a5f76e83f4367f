"""How an engine reaches the files of a table: what the run's catalog says of the store, and the keys that it hands out.

So nothing secret stands in the configuration of a session, and an engine on another machine needs no keys of its own. Keys that expire come with an
address where the engine asks for the next ones, as long as the run goes on.

Sources: Apache Iceberg, ``open-api/rest-catalog-open-api.yaml``, ``LoadTableResult`` and ``LoadCredentialsResponse``; properties of ``S3FileIO`` and
``VendedCredentialsProvider`` in Iceberg 1.12 (Java).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from slipway.secrets import remember
from slipway.storage.s3 import Keys, is_s3, s3_access

NO_DELETES = {"s3.delete-enabled": "false"}
"""Property of Iceberg's S3FileIO in Java: it deletes nothing."""

_NO_REGION = "us-east-1"
"""With which requests are signed where no region is configured, also for stores that have none."""


def store_config(location: str, properties: Mapping[str, str], credentials: str) -> dict[str, str]:
    """Properties with which an engine reads and writes the files of a table (``config`` of ``LoadTableResult``).

    Args:
        location: of the table.
        properties: of the environment's catalog.
        credentials: where the engine asks for the next keys, below the address of the run's catalog.

    Raises:
        UnavailableError: keys have expired and cannot be renewed.
    """
    if not is_s3(location):
        return dict(NO_DELETES)
    access = s3_access(properties)
    found = {**NO_DELETES, "io-impl": "org.apache.iceberg.aws.s3.S3FileIO"}
    found["client.region"] = found["s3.region"] = access.region or _NO_REGION
    if access.endpoint:
        found |= {"s3.endpoint": access.endpoint, "s3.path-style-access": "true"}
    keys, until = access.keys_until()
    # Java's client takes new keys only with a session token, and keys that expire have one
    if keys and keys[2] and until:
        found["client.refresh-credentials-endpoint"] = credentials
    return found | _of_keys(keys, until)


def store_credentials(location: str, properties: Mapping[str, str]) -> list[dict[str, object]]:
    """The keys of the moment for the files of a table (``storage-credentials`` of ``LoadCredentialsResponse``), none without keys.

    Raises:
        UnavailableError: keys have expired and cannot be renewed.
    """
    if not is_s3(location):
        return []
    config = _of_keys(*s3_access(properties).keys_until())
    return [{"prefix": "s3", "config": config}] if config else []


def _of_keys(keys: Keys | None, until: datetime | None) -> dict[str, str]:
    if keys is None:
        return {}
    remember([secret for secret in keys[1:] if secret])
    found = {"s3.access-key-id": keys[0], "s3.secret-access-key": keys[1]}
    if keys[2]:
        found["s3.session-token"] = keys[2]
    if until:
        found["s3.session-token-expires-at-ms"] = str(int(until.timestamp() * 1000))
    return found
