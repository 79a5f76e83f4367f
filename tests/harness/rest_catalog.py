"""A REST catalog of the tests' own: what the specification asks of a server, in memory, with metadata files in a folder."""

from __future__ import annotations

import json
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pyiceberg.catalog import MetastoreCatalog
from pyiceberg.catalog.rest import CreateTableRequest
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io import load_file_io
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.serializers import FromInputFile, ToOutputFile
from pyiceberg.table import CommitTableRequest
from pyiceberg.table.metadata import TableMetadata, new_table_metadata
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import update_table_metadata

SEVERAL = "POST /v1/{prefix}/transactions/commit"
NAMESPACE, TABLE = "/v1/{prefix}/namespaces", "/v1/{prefix}/namespaces/{namespace}/tables"
OFFERED = [
    f"GET {NAMESPACE}",
    f"POST {NAMESPACE}",
    f"GET {TABLE}",
    f"POST {TABLE}",
    f"GET {TABLE}/{{table}}",
    f"POST {TABLE}/{{table}}",
    f"DELETE {TABLE}/{{table}}",
    "POST /v1/{prefix}/namespaces/{namespace}/register",
]
Name = tuple[str, str]


class HungUpError(Exception):
    """No answer."""


class RefusedError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


Fault = Callable[["Handler", bool], int | None]
"""What goes wrong with a request: a status, 0 to hang up, None to go on; asked before it is carried out and after."""


class RestServer(ThreadingHTTPServer):
    """Namespaces and tables, a table as its metadata file."""

    daemon_threads = True

    def __init__(self, *, several: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.offered = [*OFFERED, SEVERAL] if several else OFFERED
        self.namespaces: set[str] = set()
        self.tables: dict[Name, str] = {}
        self.lock = threading.Lock()
        self.uri = f"http://127.0.0.1:{self.server_port}"
        self.fault: Fault = lambda *_: None
        self.makes_tables, self.keeps_tags = True, True
        self.dies_after: int | None = None
        self.comes_back = False
        self.asked: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []

    def commit(self, requests: list[CommitTableRequest]) -> list[dict[str, Any]]:
        """Apply the changes of all requests, or of none."""
        staged = {}
        for request in requests:
            name = (".".join(request.identifier.namespace.root), request.identifier.name)
            base = read(self.tables[name]) if name in self.tables else None
            makes = any(item.type == "assert-create" for item in request.requirements)
            if base is None and not (makes and self.makes_tables):
                raise RefusedError(404)
            for requirement in request.requirements:
                try:
                    requirement.validate(base)
                except CommitFailedException:
                    raise RefusedError(409) from None
            staged[name] = changed(base, request, self.tables.get(name))
            if not self.keeps_tags:
                refs = {name: ref for name, ref in staged[name].refs.items() if name == MAIN_BRANCH}
                staged[name] = staged[name].model_copy(update={"refs": refs})
        answers = []
        for count, (name, metadata) in enumerate(staged.items()):
            if count == self.dies_after:
                self.fault = self.fault if self.comes_back else lambda *_: 0
                raise HungUpError
            self.tables[name] = write(metadata)
            answers.append(self.table(name))
        return answers

    def table(self, name: Name) -> dict[str, Any]:
        if name not in self.tables:
            raise RefusedError(404)
        metadata = json.loads(read(self.tables[name]).model_dump_json(exclude_none=True))
        return {"metadata-location": self.tables[name], "metadata": metadata, "config": {}}


def changed(base: TableMetadata | None, request: CommitTableRequest, location: str | None) -> TableMetadata:
    if base is None:
        base = MetastoreCatalog._empty_table_metadata()
        return update_table_metadata(base, request.updates, enforce_validation=True)
    return update_table_metadata(base, request.updates, metadata_location=location)


def read(location: str) -> TableMetadata:
    return FromInputFile.table_metadata(load_file_io(location=location).new_input(location))


def write(metadata: TableMetadata) -> str:
    location = f"{metadata.location}/metadata/00000-{uuid.uuid4()}.metadata.json"
    Path(location.removeprefix("file://")).parent.mkdir(parents=True, exist_ok=True)
    ToOutputFile.table_metadata(metadata, load_file_io(location=location).new_output(location))
    return location


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: RestServer

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.server.asked.append((self.command, self.path))
        self.server.headers.append(dict(self.headers))
        try:
            self.fail(done=False)
            with self.server.lock:
                found = self.route(self.path.split("?")[0].split("/")[2:], body)
            self.fail(done=True)
            self.reply(200, found)
        except HungUpError:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        except RefusedError as refused:
            error = {"message": "refused", "type": "RefusedError", "code": refused.status}
            self.reply(refused.status, {"error": error})

    def fail(self, *, done: bool) -> None:
        status = self.server.fault(self, done)
        if status == 0:
            raise HungUpError
        if status is not None:
            raise RefusedError(status)

    def route(self, parts: list[str], body: bytes) -> dict[str, Any]:
        match parts:
            case ["config"]:
                return {"defaults": {}, "overrides": {}, "endpoints": self.server.offered}
            case ["transactions", "commit"]:
                changes = json.loads(body)["table-changes"]
                self.server.commit(TypeAdapter(list[CommitTableRequest]).validate_python(changes))
                return {}
            case ["namespaces"]:
                return self.spaces(body)
            case ["namespaces", space, *rest]:
                return self.tables(space, rest, body)
        raise RefusedError(400)

    def spaces(self, body: bytes) -> dict[str, Any]:
        known = self.server.namespaces
        if self.command == "GET":
            return {"namespaces": [[name] for name in sorted(known)]}
        (name,) = json.loads(body)["namespace"]
        if name in known:
            raise RefusedError(409)
        known.add(name)
        return {"namespace": [name], "properties": {}}

    def tables(self, space: str, rest: list[str], body: bytes) -> dict[str, Any]:
        server = self.server
        match self.command, rest:
            case "GET", ["tables"]:
                names = sorted(name for where, name in server.tables if where == space)
                return {"identifiers": [{"namespace": [space], "name": name} for name in names]}
            case "POST", ["tables"]:
                return self.create(space, CreateTableRequest.model_validate_json(body))
            case "POST", ["register"]:
                asked = json.loads(body)
                if (space, asked["name"]) in server.tables:
                    raise RefusedError(409)
                server.tables[space, asked["name"]] = asked["metadata-location"]
                return server.table((space, asked["name"]))
            case "GET", ["tables", name]:
                return server.table((space, name))
            case "POST", ["tables", name]:
                return server.commit([CommitTableRequest.model_validate_json(body)])[0]
            case "DELETE", ["tables", name]:
                if server.tables.pop((space, name), None) is None:
                    raise RefusedError(404)
                return {}
        raise RefusedError(400)

    def create(self, space: str, asked: CreateTableRequest) -> dict[str, Any]:
        if (space, asked.name) in self.server.tables:
            raise RefusedError(409)
        spec, order = asked.partition_spec, asked.write_order
        metadata = new_table_metadata(
            asked.table_schema,
            spec or UNPARTITIONED_PARTITION_SPEC,
            order or UNSORTED_SORT_ORDER,
            str(asked.location),
            dict(asked.properties),
        )
        self.server.tables[space, asked.name] = write(metadata)
        return self.server.table((space, asked.name))

    def reply(self, status: int, content: dict[str, Any]) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815 - as http.server calls them

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(*, several: bool) -> Iterator[RestServer]:
    """A server that answers until the block ends."""
    with RestServer(several=several) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()
