"""A project whose landing area and warehouse are in an object store that speaks S3, on this machine (moto)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from tests.conftest import Workshop

KEY, SECRET = "AKIAEXAMPLEEXAMPLE01", "a-Secret/that+appears=nowhere/0123456789"


@dataclass
class Lake:
    """The project, its bucket, and a client of the store that knows nothing of slipway."""

    workshop: Workshop
    bucket: str
    client: Any
    settings: dict[str, str] = field(default_factory=dict)

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)

    def get(self, key: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    def keys(self, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]


def client(service: str, endpoint: str, key: str = KEY, secret: str = SECRET) -> Any:  # noqa: ANN401 - boto3 makes the class
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """The store's address, one store per worker."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def new_lake(endpoint: str, new_workshop: Callable[[Path], Workshop]) -> Callable[[Path, str], Lake]:
    """Makes a project whose target staging has everything but its catalog in a bucket of its own."""

    def make(folder: Path, bucket: str) -> Lake:
        workshop = new_workshop(folder)
        made = client("s3", endpoint)
        made.create_bucket(Bucket=bucket)
        lake = Lake(workshop, bucket, made)
        for path in sorted((folder / "landing").rglob("*.csv")):
            lake.put(f"landing/{path.relative_to(folder / 'landing')}", path.read_bytes())
        workshop.settings |= {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "DBT_TARGET": "staging",
            "PYICEBERG_CATALOG__STAGING__TYPE": "sql",
            "PYICEBERG_CATALOG__STAGING__URI": f"sqlite:///{folder}/staging.db",
            "SLIPWAY_LANDING": f"s3://{bucket}/landing",
            "SLIPWAY_WAREHOUSE": f"s3://{bucket}/warehouse",
        }
        return lake

    return make
