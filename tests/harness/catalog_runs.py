"""An environment with published tables, a run that sees them, and its catalog, served to clients."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import requests
from pyiceberg.catalog.rest import RestCatalog
from tests.harness.environments import place

from slipway.iceberg.snapshots import StagedTable
from slipway.names import TableName
from slipway.run_catalog.catalog import RunCatalog
from slipway.run_catalog.rest_server import Listening, Served, serving
from slipway.storage.s3 import is_s3, s3_access, split

RUN = "20260101T000000Z-0000abcd"


class CatalogRun:
    """A run that may write ``new`` and the published ``mine``, and read ``other`` as well."""

    def __init__(
        self,
        folder: Path,
        stack: ExitStack,
        connection: duckdb.DuckDBPyConnection | None = None,
        root: str = "",
        store: Mapping[str, str] | None = None,
    ) -> None:
        """Publish its tables.

        Args:
            folder: of the catalog, and of the warehouse if it has no other place.
            stack: ends what is begun.
            connection: of DuckDB.
            root: of the warehouse, another than the folder.
            store: properties by which it is reached.
        """
        self.folder, self._stack = folder, stack
        uri = f"sqlite:///{folder}/catalog.db"
        folder.mkdir(parents=True, exist_ok=True)
        self.place = place(
            root or f"file://{folder}/warehouse", connection, type="sql", uri=uri, **(store or {})
        )
        self.layer = f"{self.place.prefix}layer"
        self.place.publish(layer_mine=1, layer_other=2)
        self.names = {name: TableName(self.layer, name) for name in ("mine", "other", "new")}
        self.published = self.place.tables.locations()
        self.catalog = RunCatalog(self.place.tables, RUN, self.published)
        for name in ("mine", "new"):
            self.catalog.allow(self.names[name], {"slipway.engine": "test"})
        self.before = self.files()
        self.served = self.serve()

    def serve(self, listening: Listening | None = None) -> Served:
        return self._stack.enter_context(serving(self.catalog, listening))

    def client(self) -> RestCatalog:
        made = RestCatalog("run", uri=self.served.uri, token=self.served.token)
        self._stack.enter_context(made)
        return made

    def files(self) -> dict[Path, str]:
        """Every file of the warehouse, with its content's hash."""
        warehouse = self.place.environment.warehouse
        if is_s3(warehouse):
            bucket, prefix = split(warehouse)
            client = s3_access(self.place.environment.catalog_properties).client
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            return {Path(item["Key"]): item["ETag"] for page in pages for item in page.get("Contents", [])}
        found = sorted(path for path in (self.folder / "warehouse").rglob("*") if path.is_file())
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}

    def check_published(self) -> None:
        """What is published is as it was: the catalog's pointers, and each file with its content."""
        self.place.restart()
        assert self.place.tables.locations() == self.published
        now = self.files()
        assert {path: now.get(path) for path in self.before} == self.before

    def staged(self, name: str) -> StagedTable:
        found = self.catalog.staged(self.names[name])
        assert found is not None
        return found

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:  # noqa: ANN401 - JSON, or what is none
        """A request as a client sends it that knows no better."""
        return requests.request(
            method,
            f"{self.served.uri}/{path}",
            data=body if isinstance(body, bytes | str) else None,
            json=None if isinstance(body, bytes | str) else body,
            headers={"Authorization": f"Bearer {self.served.token}", **headers},
            timeout=20,
        )

    def path(self, table: str) -> str:
        return f"v1/{RUN}/namespaces/{self.layer}/tables/{table}"

    def change(self, table: str, *updates: dict[str, Any], requirements: Sequence[Any] = ()) -> str:
        """What is said of a commit that is refused, whose status is 4xx."""
        answer = self.ask("POST", self.path(table), {"requirements": requirements, "updates": updates})
        assert 400 <= answer.status_code < 500, answer.text
        return str(answer.json()["error"]["message"])


def numbers(*values: int) -> pa.Table:
    return pa.table({"n": pa.array(values, pa.int32())})
