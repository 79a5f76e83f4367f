"""Requests of Iceberg's REST protocol, answered from a run's catalog.

Source: Apache Iceberg, ``open-api/rest-catalog-open-api.yaml``. What is not in ``ENDPOINTS`` is refused, and clients that ask for the
configuration first do not even try it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from pydantic import TypeAdapter
from pyiceberg.catalog.rest import CreateTableRequest
from pyiceberg.table import Table
from pyiceberg.table.update import TableRequirement, TableUpdate

from slipway.errors import DamagedError, SlipwayError, UnavailableError, first_line
from slipway.names import TableName
from slipway.run_catalog.catalog import RunCatalog, served, understood
from slipway.run_catalog.refusals import (
    ExistingError,
    ForbiddenRequestError,
    MalformedRequestError,
    MissingNamespaceError,
    RefusedRequestError,
    UnsupportedRequestError,
)
from slipway.run_catalog.store_access import NO_DELETES, store_config, store_credentials
from slipway.secrets import hide

_NAMESPACES = "/v1/{prefix}/namespaces"
_TABLES = f"{_NAMESPACES}/{{namespace}}/tables"
ENDPOINTS = (
    f"GET {_NAMESPACES}",
    f"POST {_NAMESPACES}",
    f"GET {_NAMESPACES}/{{namespace}}",
    f"HEAD {_NAMESPACES}/{{namespace}}",
    f"GET {_TABLES}",
    f"POST {_TABLES}",
    f"GET {_TABLES}/{{table}}",
    f"HEAD {_TABLES}/{{table}}",
    f"POST {_TABLES}/{{table}}",
    f"DELETE {_TABLES}/{{table}}",
    f"GET {_TABLES}/{{table}}/credentials",
)
"""What clients may ask for, as the configuration tells them."""

_SERVES_TABLES = "the catalog of a run only serves tables to read and write"
_SEPARATOR = "\x1f"
_UPDATES: TypeAdapter[list[TableUpdate]] = TypeAdapter(list[TableUpdate])
_REQUIREMENTS: TypeAdapter[list[TableRequirement]] = TypeAdapter(list[TableRequirement])


@dataclass(frozen=True)
class Request:
    """A request.

    Args:
        method: of HTTP.
        path: with its query.
        body: JSON, or nothing.
    """

    method: str
    path: str
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """The answer to a request: a status of HTTP, and JSON or nothing."""

    status: int
    content: bytes = b""


def error(status: int, kind: str, message: str) -> Answer:
    """An answer that says what is wrong (``IcebergErrorResponse``)."""
    return _json({"error": {"message": hide(message), "type": kind, "code": status}}, status)


def answer(catalog: RunCatalog, request: Request) -> Answer:
    """Carry out a request, or say in one sentence why not."""
    try:
        return _Route(catalog, request).answer()
    except RefusedRequestError as refused:
        return error(refused.status, refused.kind, refused.line())
    except DamagedError as damaged:
        return error(400, "BadRequestException", damaged.line())
    except UnavailableError as unavailable:
        return error(503, "ServiceUnavailableException", unavailable.line())
    except SlipwayError as refused:
        return error(400, "BadRequestException", refused.line())
    except OSError as failed:
        why = f"The warehouse cannot be read or written: {first_line(failed)}. Check it, then run again."
        return error(503, "ServiceUnavailableException", why)


class _Route:
    def __init__(self, catalog: RunCatalog, request: Request) -> None:
        self.catalog, self.method, self.body = catalog, request.method, request.body
        try:
            url = urlsplit(request.path)
            self.query = parse_qs(url.query)
            self.parts = [unquote(part, errors="strict") for part in url.path.strip("/").split("/")]
        except ValueError:
            raise MalformedRequestError("The address of the request cannot be read", "it is no URI") from None

    def answer(self) -> Answer:
        match self.parts:
            case ["v1", "config"] if self.method == "GET":
                return self.config()
            case ["v1", prefix, *rest] if prefix == self.catalog.run_id:
                return self.below(rest)
        raise UnsupportedRequestError(
            f"{self.method} {'/'.join(self.parts)[:200]} is refused",
            _SERVES_TABLES,
            "Ask for v1/config first",
        )

    def config(self) -> Answer:
        overrides = {"prefix": self.catalog.run_id, "rest-metrics-reporting-enabled": "false", **NO_DELETES}
        return _json({"defaults": {}, "overrides": overrides, "endpoints": ENDPOINTS})

    def below(self, parts: list[str]) -> Answer:
        match self.method, parts:
            case "GET", ["namespaces"]:
                return self.list_namespaces()
            case "POST", ["namespaces"]:
                return self.create_namespace()
            case "GET" | "HEAD", ["namespaces", space]:
                self.catalog.check_namespace(_dotted(space))
                return Answer(204) if self.method == "HEAD" else _json(_described(_dotted(space)))
            case "POST", ["namespaces", _, "tables", _, "metrics"]:
                return Answer(204)
            case "GET" | "HEAD", ["namespaces", _, "views", name]:
                return error(404, "NoSuchViewException", f"View does not exist: {name}. A run has no views.")
            case "GET" | "POST", ["namespaces", space, "tables"]:
                return self.tables(_dotted(space))
            case "GET" | "HEAD" | "POST" | "DELETE", ["namespaces", space, "tables", table]:
                return self.table(TableName(_dotted(space), table))
            case "GET", ["namespaces", space, "tables", table, "credentials"]:
                return self.credentials(TableName(_dotted(space), table))
        raise self.refused(parts)

    def refused(self, parts: list[str]) -> RefusedRequestError:
        asked = f"{self.method} {'/'.join(parts)[:200]} is refused"
        match parts:
            case ["namespaces", *_] if self.method == "DELETE" and len(parts) == 2:
                return ForbiddenRequestError(
                    asked, "a run removes no namespace", "Run slipway retire for its tables"
                )
            case ["namespaces", _, "properties"]:
                return ForbiddenRequestError(asked, "a run changes no namespace", "Leave it out")
            case ["tables", "rename"] | ["namespaces", _, "register"]:
                return ForbiddenRequestError(
                    asked, "a run makes tables by building their models", "Rename the model"
                )
        return UnsupportedRequestError(asked, _SERVES_TABLES, "Use the requests that v1/config lists")

    def list_namespaces(self) -> Answer:
        found = [one.split(".") for one in self.catalog.namespaces()]
        parent: list[str] = []
        if wanted := self.query.get("parent", [""])[0]:
            self.catalog.check_namespace(_dotted(wanted))
            parent = _dotted(wanted).split(".")
        below = [one for one in found if one[:-1] == parent]
        return _json({"namespaces": below})

    def create_namespace(self) -> Answer:
        wanted = self.json().get("namespace")
        if (
            not isinstance(wanted, list)
            or not all(isinstance(one, str) and one for one in wanted)
            or not wanted
        ):
            raise MalformedRequestError(
                "A namespace cannot be created", "the request does not name it as a list of texts"
            )
        if (name := ".".join(wanted)) in self.catalog.namespaces():
            raise ExistingError(f"Namespace {name} already exists", "the run sees it", "Use it")
        raise ForbiddenRequestError(
            f"Namespace {name} cannot be created",
            "the run makes no table in it, and publishing creates those that are needed",
            "Configure it as the schema of a model",
        )

    def tables(self, namespace: str) -> Answer:
        self.catalog.check_namespace(namespace)
        if self.method == "GET":
            names = [one for one in self.catalog.names() if one.namespace == namespace]
            return _json({"identifiers": [{"namespace": _parts(one), "name": one.name} for one in names]})
        content = self.json()
        with understood(f"A table in {namespace} cannot be created"):
            content.setdefault("location", None)
            content.setdefault("partition-spec", None)
            content.setdefault("write-order", None)
            if not _is_text(content.get("properties", {})):
                raise ValueError("its properties are not text")
            request = CreateTableRequest.model_validate(content)
        table = self.catalog.create(namespace, request)
        return self.loaded(table, is_staged=not request.stage_create)

    def table(self, name: TableName) -> Answer:
        catalog = self.catalog
        match self.method:
            case "HEAD":
                return Answer(204 if catalog.exists(name) else 404)
            case "GET":
                return self.loaded(catalog.load(name))
            case "DELETE":
                purge = self.query.get("purgeRequested", ["false"])[0].lower() == "true"
                catalog.drop(name, purge=purge)
                return Answer(204)
            case "POST":
                content = self.json()
                with understood(f"Commit to {name} cannot be read"):
                    _check_texts(content["updates"])
                    requirements = _REQUIREMENTS.validate_python(content["requirements"])
                    updates = _UPDATES.validate_python(content["updates"])
                return self.committed(catalog.commit(name, requirements, updates))
        raise self.refused(["namespaces", name.namespace, "tables", name.name])

    def loaded(self, table: Table, *, is_staged: bool = True) -> Answer:
        """A table (``LoadTableResult``), the metadata as it is written to its file but for ``gc.enabled``, and how its files are reached."""
        return self.described(table, self.store_config(table), is_staged=is_staged)

    def committed(self, table: Table) -> Answer:
        """What a commit made of a table (``CommitTableResponse``), to a client that has loaded it and knows how its files are reached."""
        return self.described(table, NO_DELETES)

    def described(self, table: Table, config: Mapping[str, str], *, is_staged: bool = True) -> Answer:
        wanted = self.query.get("snapshots", ["all"])[0]
        where = f'"metadata-location":{json.dumps(table.metadata_location)},' if is_staged else ""
        metadata = served(table.metadata, only_refs=wanted == "refs")
        return Answer(200, f'{{{where}"metadata":{metadata},"config":{json.dumps(config)}}}'.encode())

    def store_config(self, table: Table) -> dict[str, str]:
        name = TableName.of(table.name())
        place = "/".join(
            quote(part, safe="") for part in (_SEPARATOR.join(_parts(name)), "tables", name.name)
        )
        return store_config(
            table.metadata.location,
            self.catalog.store_properties,
            f"v1/{self.catalog.run_id}/namespaces/{place}/credentials",
        )

    def credentials(self, name: TableName) -> Answer:
        """The keys of the moment for the files of a table (``LoadCredentialsResponse``)."""
        location = self.catalog.load(name).metadata.location
        return _json({"storage-credentials": store_credentials(location, self.catalog.store_properties)})

    def json(self) -> dict[str, Any]:
        """The object that a request brings.

        Raises:
            RefusedRequestError: it brings none.
        """
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise MalformedRequestError("The request cannot be read", "its body is no JSON object")
        return found


def _check_texts(updates: list[Any]) -> None:
    """Refuse what pyiceberg would take for something else: a summary without an operation, and properties that are no text.

    Raises:
        ValueError: there is such an update, or something that is none.
    """
    for update in updates:
        summary = update.get("snapshot", {}).get("summary")
        if summary is not None and not summary.get("operation"):
            raise ValueError("the summary of its snapshot names no operation")
        if update.get("action") == "set-properties" and not _is_text(update["updates"]):
            raise ValueError("its properties are not text")


def _is_text(properties: dict[str, Any]) -> bool:
    return all(isinstance(value, str) for value in properties.values())


def _json(content: Mapping[str, Any], status: int = 200) -> Answer:
    return Answer(status, json.dumps(content).encode())


def _dotted(namespace: str) -> str:
    """The levels of a namespace, which the protocol parts by the unit separator, with dots."""
    found = namespace.replace(_SEPARATOR, ".")
    if not found:
        raise MissingNamespaceError(
            f"Namespace does not exist: {namespace}",
            "no table of it is published, and the run makes none in it",
            "Choose one that the catalog lists",
        )
    return found


def _parts(name: TableName) -> list[str]:
    return name.namespace.split(".")


def _described(namespace: str) -> dict[str, Any]:
    return {"namespace": namespace.split("."), "properties": {}}
