"""A project whose landing area and warehouse are in an object store that speaks S3, on this machine (moto)."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from tests.harness.environments import target
from tests.harness.projects import published
from tests.harness.proxy import Proxy, running
from tests.harness.servers import rclone_server
from tests.integration.chaos import oracle
from tests.integration.chaos.trials import Trials

if TYPE_CHECKING:
    from pyiceberg.table import StaticTable
    from tests.harness.projects import Workshop
    from tests.harness.servers import Postgres

KEY = "AKIAEXAMPLEEXAMPLE01"
SECRET = "a-Secret/that+appears=nowhere/0123456789"
TOKEN = "a-session-token//that-appears-nowhere=="
READ = {"s3.access-key-id": KEY, "s3.secret-access-key": SECRET, "s3.region": "us-east-1"}
"""How pyiceberg reads the buckets."""


@dataclass
class Lake:
    """The project, its bucket, and a client of the store that knows nothing of slipway."""

    workshop: Workshop
    bucket: str
    client: Any

    def use(self, **properties: str) -> None:
        """Have the project's target work with a catalog, by its properties, and with no other."""
        settings = self.workshop.settings
        for name in [name for name in settings if name.startswith("PYICEBERG_")]:
            del settings[name]
        settings |= target("staging", f"s3://{self.bucket}/warehouse", **properties)

    def use_postgres(self, postgres: Postgres, *targets: str) -> None:
        """Have targets of the project work with catalogs in one database of PostgreSQL, and warehouses in the bucket."""
        database = f"lake_{time.time_ns()}"
        with closing(postgres.connect("postgres")) as connection:
            connection.autocommit = True
            connection.cursor().execute(f"create database {database}")
        settings = self.workshop.settings
        for name in [
            name for name in settings if name.startswith("PYICEBERG_") or name == "SLIPWAY_WAREHOUSE"
        ]:
            del settings[name]
        for name in targets:
            catalog = f"PYICEBERG_CATALOG__{name.upper()}"
            settings |= {
                f"{catalog}__TYPE": "sql",
                f"{catalog}__URI": postgres.uri(database),
                f"{catalog}__WAREHOUSE": f"s3://{self.bucket}/{name}",
            }

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)

    def get(self, key: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Keys and bytes of all objects below a prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}

    def manifests(self) -> list[dict[str, Any]]:
        """Run manifests in the bucket, oldest first."""
        keys = [key for key in self.sizes("warehouse/_slipway/runs/") if key.endswith("/run_manifest.json")]
        return sorted((json.loads(self.get(key)) for key in keys), key=lambda found: str(found["started_at"]))

    def published(self) -> dict[str, str]:
        """Tables that the catalog of the target names, without the ledger, to their metadata location."""
        return published(self.workshop.folder / "staging.db")

    def trials(self, catalog: Callable[[], dict[str, str]], endpoint: str, seed: int) -> Trials:
        """Trials on it, after its first release.

        Args:
            catalog: what others see of it.
            endpoint: where the store is checked; commands may reach it another way.
            seed: of all chance.
        """
        store = oracle.Store(
            catalog,
            lambda prefix: [key.removeprefix("warehouse/") for key in self.sizes(f"warehouse/{prefix}")],
            lambda key: self.get(f"warehouse/{key}"),
            lambda location: self.client.head_object(
                Bucket=self.bucket, Key=location.removeprefix(f"s3://{self.bucket}/")
            )["ContentLength"],
            {"s3.endpoint": endpoint, **READ},
        )
        landed = sorted((self.workshop.folder / "landing" / "parcels").glob("*.csv"))
        assert self.workshop.slipway("run").code == 0
        return Trials(
            self.workshop,
            store,
            lambda name, content: self.put(f"landing/parcels/{name}", content),
            [path.read_bytes() for path in landed],
            seed,
        )

    def table(self, name: str) -> StaticTable:
        """A published table as pyiceberg reads it."""
        from pyiceberg.table import StaticTable

        endpoint = self.workshop.settings["AWS_ENDPOINT_URL"]
        return StaticTable.from_metadata(self.published()[name], {"s3.endpoint": endpoint, **READ})


def access(endpoint: str) -> dict[str, Any]:
    """Arguments for clients of the store that know nothing of slipway."""
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    return {"endpoint_url": endpoint, "config": Config(retries={"total_max_attempts": 1}), **keys}


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a second store, which keeps its objects in a folder and ignores conditional writes."""
    with rclone_server(tmp_path_factory.mktemp("rclone"), KEY, SECRET) as address:
        yield address


@pytest.fixture(scope="session")
def new_lake(endpoint: str, new_workshop: Callable[[Path], Workshop]) -> Callable[..., Lake]:
    """Makes a project whose target staging has everything but its catalog in a bucket of its own."""

    def make(folder: Path, bucket: str, store: str = endpoint) -> Lake:
        workshop = new_workshop(folder)
        made = boto3.client("s3", **access(store))
        made.create_bucket(Bucket=bucket)
        lake = Lake(workshop, bucket, made)
        for path in sorted((folder / "landing").rglob("*.csv")):
            lake.put(f"landing/{path.relative_to(folder / 'landing')}", path.read_bytes())
        workshop.settings |= {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_SESSION_TOKEN": TOKEN,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": store,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "SLIPWAY_LANDING": f"s3://{bucket}/landing",
        }
        lake.use(type="sql", uri=f"sqlite:///{folder}/staging.db")
        return lake

    return make


@pytest.fixture
def lake(new_lake: Callable[[Path, str], Lake], tmp_path: Path) -> Lake:
    """A lake of the test's own."""
    return new_lake(tmp_path, f"lake-{tmp_path.name.replace('_', '-')[-40:]}".rstrip("-"))


@pytest.fixture
def proxy(endpoint: str, lake: Lake) -> Iterator[Proxy]:
    """What is between the commands and the store of the lake."""
    with running(endpoint) as made:
        lake.workshop.settings["AWS_ENDPOINT_URL"] = made.address
        yield made
