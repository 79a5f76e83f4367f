"""Whatever a client tries, published files stay, and the answer says in one sentence what was refused and why."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import pytest
import requests
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import BadRequestError, ForbiddenError, UnauthorizedError
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import IntegerType, NestedField
from tests.harness.catalog_runs import RUN, CatalogRun, numbers
from tests.harness.certificates import certificate
from tests.harness.proxy import running

from slipway.errors import ConfigError
from slipway.run_catalog.catalog import RunCatalog
from slipway.run_catalog.rest_server import Listening, serving
from slipway.settings import Settings

SCHEMA = Schema(NestedField(1, "n", IntegerType()))
MAIN = {"action": "set-snapshot-ref", "ref-name": "main", "type": "branch"}


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, connection: duckdb.DuckDBPyConnection
) -> Iterator[CatalogRun]:
    """One run for all, because nothing of it changes."""
    with ExitStack() as stack:
        yield CatalogRun(tmp_path_factory.mktemp("refusals"), stack, connection)


def current(run: CatalogRun, table: str = "mine") -> Table:
    found: Table = run.client().load_table(run.names[table])
    return found


def rows(run: CatalogRun) -> list[dict[str, Any]]:
    """The updates of an append that pyiceberg makes and that is not sent."""
    table = current(run)
    with table.transaction() as transaction:
        transaction.append(numbers(5))
        updates = [json.loads(one.model_dump_json(by_alias=True)) for one in transaction._updates]
        transaction._updates = transaction._requirements = ()
    return updates


CLIENT: dict[str, tuple[Callable[[RestCatalog, CatalogRun], object], str]] = {
    "drop": (
        lambda c, r: c.drop_table(r.names["mine"]),
        "it is published, and its readers and rollback need it",
    ),
    "purge": (lambda c, r: c.purge_table(r.names["mine"]), "a run deletes no files"),
    "drop-of-another": (lambda c, r: c.drop_table(r.names["other"]), "no model that this engine computes"),
    "purge-of-another": (lambda c, r: c.purge_table(r.names["other"]), "no model that this engine computes"),
    "write-another": (
        lambda c, r: c.load_table(r.names["other"]).append(numbers(5)),
        "cannot be written by run",
    ),
    "create-another": (lambda c, r: c.create_table((r.layer, "x"), SCHEMA), "cannot be written by run"),
    "rename": (lambda c, r: c.rename_table(r.names["mine"], (r.layer, "new")), "rename|not support"),
    "remove-tag": (
        lambda c, r: c.load_table(r.names["mine"]).manage_snapshots().remove_tag("release-1").commit(),
        "a tag keeps the snapshot of a release",
    ),
    "create-tag": (
        lambda c, r: (
            c.load_table(r.names["mine"])
            .manage_snapshots()
            .create_tag(int(c.load_table(r.names["mine"]).metadata.current_snapshot_id or 0), "mine")
            .commit()
        ),
        "mine of .* cannot be set by a run",
    ),
    "branch": (
        lambda c, r: (
            c.load_table(r.names["mine"])
            .manage_snapshots()
            .create_branch(int(c.load_table(r.names["mine"]).metadata.current_snapshot_id or 0), "b")
            .commit()
        ),
        "b of .* cannot be set by a run",
    ),
    "version-3": (
        lambda c, r: c.create_table(r.names["new"], SCHEMA, properties={"format-version": "3"}),
        "cannot have format version 3",
    ),
    "version-1": (
        lambda c, r: c.create_table(r.names["new"], SCHEMA, properties={"format-version": "1"}),
        "cannot have format version 1",
    ),
    "location": (
        lambda c, r: c.create_table(r.names["new"], SCHEMA, location="file:///elsewhere"),
        "its folder is file://",
    ),
    "data-path": (
        lambda c, r: c.create_table(r.names["new"], SCHEMA, properties={"write.data.path": "s3://x/y"}),
        "outside of the table's folder",
    ),
    "collect-garbage": (
        lambda c, r: (
            c.load_table(r.names["mine"])
            .transaction()
            .set_properties({"gc.enabled": "true"})
            .commit_transaction()
        ),
        "engines delete published files",
    ),
    "own-property": (
        lambda c, r: (
            c.load_table(r.names["mine"])
            .transaction()
            .set_properties({"slipway.state": "{}"})
            .commit_transaction()
        ),
        "Slipway sets it",
    ),
    "own-summary": (
        lambda c, r: c.load_table(r.names["mine"]).append(
            numbers(5), snapshot_properties={"slipway.digest": "x"}
        ),
        "Slipway sets it",
    ),
    "remove-own-property": (
        lambda c, r: (
            c.load_table(r.names["mine"]).transaction().remove_properties("gc.enabled").commit_transaction()
        ),
        "engines delete published files",
    ),
    "create-namespace": (lambda c, r: c.create_namespace("elsewhere"), "the run makes no table in it"),
    "drop-namespace": (lambda c, r: c.drop_namespace(r.layer), "namespace|not support"),
    "twin-columns": (
        lambda c, r: c.create_table(
            r.names["new"], Schema(NestedField(1, "n", IntegerType()), NestedField(2, "N", IntegerType()))
        ),
        "one name to some readers",
    ),
    "add-files": (
        lambda c, r: c.load_table(r.names["mine"]).add_files(
            [task.file.file_path for task in c.load_table(r.names["other"]).scan().plan_files()]
        ),
        "tables do not share files",
    ),
}


@pytest.mark.parametrize(("attack", "why"), CLIENT.values(), ids=CLIENT)
def test_a_client_is_refused(
    run: CatalogRun, attack: Callable[[RestCatalog, CatalogRun], object], why: str
) -> None:
    with pytest.raises((ForbiddenError, BadRequestError, NotImplementedError), match=why):
        attack(run.client(), run)
    run.check_published()
    assert run.catalog.staged(run.names["mine"]) is None
    assert run.catalog.staged(run.names["new"]) is None


def test_snapshots_cannot_be_expired(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    with ExitStack() as stack:
        run = CatalogRun(tmp_path, stack, connection)
        published = current(run).metadata.current_snapshot_id
        current(run).append(numbers(5))
        passing = current(run).metadata.current_snapshot_id
        assert passing is not None
        current(run).append(numbers(6))
        with pytest.raises(ForbiddenError, match="Expire snapshots with slipway maintain"):
            current(run).maintenance.expire_snapshots().by_id(passing).commit()
        said = run.change("mine", {"action": "remove-snapshots", "snapshot-ids": [published]})
        assert "releases and rollback need them" in said
        run.check_published()


UPDATES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "main-removed": ([{"action": "remove-snapshot-ref", "ref-name": "main"}], "no current snapshot"),
    "location": ([{"action": "set-location", "location": "file:///x"}], "its folder is"),
    "upgrade": ([{"action": "upgrade-format-version", "format-version": 3}], "format version 3"),
    "uuid": (
        [{"action": "assign-uuid", "uuid": "0b0e1b1c-6f47-4f5c-8cb8-64ea3a9b3c1d"}],
        "its UUID cannot change",
    ),
    "specs-removed": ([{"action": "remove-partition-specs", "spec-ids": [0]}], "removes nothing of it"),
    "schemas-removed": ([{"action": "remove-schemas", "schema-ids": [0]}], "removes nothing of it"),
    "statistics-removed": ([{"action": "remove-statistics", "snapshot-id": 1}], "removes nothing of it"),
    "row-lineage": ([{"action": "enable-row-lineage"}], "cannot be read"),
    "no-action": ([{"snapshot-id": 1}], "cannot be read"),
    "unknown-snapshot": ([{**MAIN, "snapshot-id": 1}], "this commit does not add it"),
    "last-of-none": ([{"action": "set-current-schema", "schema-id": -1}], "adds none"),
    "unknown-schema": ([{"action": "set-current-schema", "schema-id": 7}], "does not exist"),
    "unknown-spec": ([{"action": "set-default-spec", "spec-id": 7}], "Failed to find spec"),
    "no-statistics": ([{"action": "set-statistics"}], "cannot be read"),
    "id-reused": (
        [
            {
                "action": "add-schema",
                "schema": {
                    "type": "struct",
                    "schema-id": 1,
                    "fields": [{"id": 1, "name": "n", "type": "string", "required": False}],
                },
            }
        ],
        "n cannot change from int to string",
    ),
    "schema-id-taken": (
        [
            {
                "action": "add-schema",
                "schema": {
                    "type": "struct",
                    "schema-id": 0,
                    "fields": [{"id": 1, "name": "m", "type": "int", "required": False}],
                },
            }
        ],
        "another schema with the id 0",
    ),
}


@pytest.mark.parametrize(("updates", "why"), UPDATES.values(), ids=UPDATES)
def test_an_update_is_refused(run: CatalogRun, updates: list[dict[str, Any]], why: str) -> None:
    assert why in run.change("mine", *updates)
    run.check_published()
    assert run.catalog.staged(run.names["mine"]) is None


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        pytest.param({"sequence-number": 2**64}, "sequence number", id="sequence-too-large"),
        pytest.param({"sequence-number": 1}, "sequence number is not after 1", id="sequence-again"),
        pytest.param({"sequence-number": None}, "sequence number", id="no-sequence"),
        pytest.param({"snapshot-id": -4}, "no positive number", id="negative-id"),
        pytest.param({"timestamp-ms": 10**15}, "lies in the future", id="far-future"),
        pytest.param({"parent-snapshot-id": 17}, "is not its|the parent of snapshot", id="another-parent"),
        pytest.param({"parent-snapshot-id": None}, "has no parent", id="no-parent"),
        pytest.param(
            {"manifest-list": "file:///etc/passwd"}, "tables do not share files", id="list-elsewhere"
        ),
        pytest.param({"summary": None}, "no summary", id="no-summary"),
        pytest.param({"summary": {"a": "b"}}, "names no operation", id="no-operation"),
        pytest.param(
            {"summary": {"operation": "append", "slipway.run-id": "x"}}, "Slipway sets it", id="run-id"
        ),
        pytest.param({"snapshot-id": "x"}, "cannot be read", id="id-is-text"),
    ],
)
def test_a_snapshot_is_refused(run: CatalogRun, changed: dict[str, Any], why: str) -> None:
    updates = rows(run)
    updates[0]["snapshot"] |= changed
    if isinstance(changed.get("snapshot-id"), int):
        updates[1]["snapshot-id"] = changed["snapshot-id"]
    assert any(one in run.change("mine", *updates) for one in why.split("|"))
    run.check_published()


@pytest.mark.parametrize("path", ["/../other/data/x.avro", "/metadata/none.avro"], ids=["above", "missing"])
def test_a_snapshot_whose_files_are_not_there_is_refused(run: CatalogRun, path: str) -> None:
    updates = rows(run)
    updates[0]["snapshot"]["manifest-list"] = current(run).location() + path
    run.change("mine", *updates)
    assert run.catalog.staged(run.names["mine"]) is None


def test_a_snapshot_without_main_or_with_another_retention_is_refused(run: CatalogRun) -> None:
    updates = rows(run)
    assert "main does not name it" in run.change("mine", updates[0])
    assert "Retention" in run.change("mine", updates[0], {**updates[1], "max-snapshot-age-ms": 1})
    assert "sequence number" in run.change("mine", *updates, *updates)


def test_the_right_token_is_needed(run: CatalogRun) -> None:
    with pytest.raises(UnauthorizedError, match="This is the catalog of another run"):
        RestCatalog("run", uri=run.served.uri, token="of-another-run")
    for token in ("", "Bearer", f"Basic {run.served.token}", f"Bearer {run.served.token}x", "Bearer \xff"):
        answer = run.ask("GET", "v1/config", Authorization=token)
        assert answer.status_code == 401
    again = run.serve()
    assert again.token != run.served.token


def test_catalogs_of_a_run_at_one_address_are_told_apart_by_their_tokens(run: CatalogRun) -> None:
    sees_nothing = RunCatalog(run.place.tables, RUN, {})
    with serving(run.catalog) as served, running(served.uri) as tunnel:
        second = served.serve_also(sees_nothing)
        assert second.uri == served.uri
        assert second.token != served.token
        for token, there in ((served.token, True), (second.token, False)):
            with RestCatalog("run", uri=tunnel.address, token=token) as client:
                assert client.table_exists(run.names["other"]) is there
        with pytest.raises(UnauthorizedError):
            RestCatalog("run", uri=tunnel.address, token="neither")


def test_the_catalog_is_closed_when_the_run_has_ended(run: CatalogRun) -> None:
    with serving(run.catalog) as served, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {served.token}"
        assert session.get(f"{served.uri}/v1/config", timeout=20).status_code == 200
        kept = session, served
    answer = None
    try:
        answer = kept[0].get(f"{kept[1].uri}/v1/config", timeout=20)
    except requests.ConnectionError:
        return
    assert answer.status_code == 403


BODIES = {
    "nothing": b"",
    "no-json": b"\xff\xfe{",
    "list": b"[]",
    "empty-object": b"{}",
    "no-updates": b'{"requirements": []}',
    "text": b'"x"',
    "deep": b"[" * 100_000,
    "long-number": b'{"updates": [' + b"1" * 10_000 + b"]}",
    "updates-are-text": b'{"requirements": [], "updates": "x"}',
    "updates-of-text": b'{"requirements": [], "updates": ["x"]}',
    "null-in-updates": b'{"requirements": [], "updates": [null]}',
    "requirements-of-text": b'{"requirements": ["x"], "updates": []}',
    "unknown-requirement": b'{"requirements": [{"type": "assert-nothing"}], "updates": []}',
    "schema-is-number": b'{"requirements": [], "updates": [{"action": "add-schema", "schema": 4}]}',
    "properties-nested": b'{"requirements": [], "updates": [{"action": "set-properties", "updates": {"a": {"b": 1}}}]}',
    "properties-null": b'{"requirements": [], "updates": [{"action": "set-properties", "updates": null}]}',
    "not-a-number": b'{"requirements": [], "updates": [{"action": "set-location", "location": NaN}]}',
    "name-missing": b'{"schema": {"type": "struct", "fields": []}}',
    "type-unknown": b'{"name": "new", "schema": {"type": "struct", "fields": [{"id": 1, "name": "a", "type": "x", "required": true}]}}',
    "ids-twice": b'{"name": "new", "schema": {"type": "struct", "fields": [{"id": 1, "name": "a", "type": "int", "required": true}, {"id": 1, "name": "b", "type": "int", "required": true}]}, "partition-spec": {"spec-id": 0, "fields": [{"source-id": 9, "field-id": 1000, "name": "p", "transform": "identity"}]}}',
    "variant": b'{"name": "new", "schema": {"type": "struct", "fields": [{"id": 1, "name": "a", "type": "timestamp_ns", "required": true}]}}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_malformed_request_gets_one_sentence(run: CatalogRun, body: bytes) -> None:
    for path in (run.path("mine"), run.path("new"), run.path("")[:-1], f"v1/{RUN}/namespaces"):
        answer = run.ask("POST", path, body)
        assert 400 <= answer.status_code < 500, answer.text
        error = answer.json()["error"]
        assert error["code"] == answer.status_code
        assert "Traceback" not in error["message"]
        assert "\n" not in error["message"]
        assert error["message"].endswith(".")
    run.check_published()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "", 406, id="root"),
        pytest.param("GET", "v2/config", 406, id="version"),
        pytest.param("GET", "v1/another-run/namespaces", 406, id="prefix"),
        pytest.param("POST", "v1/oauth/tokens", 406, id="tokens"),
        pytest.param("GET", f"v1/{RUN}/namespaces/%FF", 400, id="no-text"),
        pytest.param("GET", f"v1/{RUN}/namespaces?parent=nowhere", 404, id="parent"),
        pytest.param("GET", f"v1/{RUN}/namespaces/nowhere/tables", 404, id="namespace"),
        pytest.param("DELETE", f"v1/{RUN}/namespaces/x", 403, id="drop-namespace"),
        pytest.param("POST", f"v1/{RUN}/namespaces/x/properties", 403, id="namespace-properties"),
        pytest.param("POST", f"v1/{RUN}/namespaces/x/register", 403, id="register"),
        pytest.param("POST", f"v1/{RUN}/tables/rename", 403, id="rename"),
        pytest.param("POST", f"v1/{RUN}/transactions/commit", 406, id="several-tables"),
        pytest.param("GET", f"v1/{RUN}/namespaces/x/views/v", 404, id="view"),
        pytest.param("POST", f"v1/{RUN}/namespaces/x/tables/t/metrics", 204, id="metrics"),
        pytest.param("PUT", f"v1/{RUN}/namespaces", 406, id="put"),
        pytest.param("BREW", "v1/config", 405, id="no-method"),
    ],
)
def test_requests_that_are_not_served(run: CatalogRun, method: str, path: str, status: int) -> None:
    answer = run.ask(method, path, {})
    assert answer.status_code == status
    if status != 204:
        assert answer.json()["error"]["code"] == status


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GARBAGE\r\n\r\n", id="no-http"),
        pytest.param(
            b"POST /v1/x HTTP/1.1\r\nContent-Length: -4\r\nAuthorization: %s\r\n\r\n", id="negative"
        ),
        pytest.param(
            b"POST /v1/x HTTP/1.1\r\nContent-Length: 99999999999\r\nAuthorization: %s\r\n\r\n", id="huge"
        ),
        pytest.param(
            b"POST /v1/x HTTP/1.1\r\nContent-Length: 1_0\r\nAuthorization: %s\r\n\r\n", id="underscore"
        ),
        pytest.param(
            b"POST /v1/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nAuthorization: %s\r\n\r\n", id="chunked"
        ),
    ],
)
def test_what_is_no_request_is_answered_and_the_connection_closed(run: CatalogRun, sent: bytes) -> None:
    url = urlsplit(run.served.uri)
    with socket.create_connection((str(url.hostname), int(url.port or 0)), timeout=20) as connection:
        connection.sendall(sent.replace(b"%s", f"Bearer {run.served.token}".encode()))
        answer = b""
        while part := connection.recv(4096):
            answer += part
    status = answer.split(None, 2)[1]
    assert status.startswith(b"4")
    assert b'"error"' in answer


def test_the_token_is_encrypted_where_other_machines_ask(
    run: CatalogRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # which requests prefers
        monkeypatch.delenv(name, raising=False)
    chain, key = certificate(tmp_path)
    settings = Settings(
        run_catalog_listen="127.0.0.1:0", run_catalog_certificate=str(chain), run_catalog_key=str(key)
    )
    listening = Listening.of(settings)
    served = run.serve(listening)
    assert served.uri.startswith("https://127.0.0.1:")
    url = urlsplit(served.uri)
    context = ssl.create_default_context(cafile=str(chain))
    with (
        socket.create_connection((str(url.hostname), int(url.port or 0)), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as encrypted,
    ):
        encrypted.sendall(
            b"GET /v1/config HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n"
            % served.token.encode()
        )
        assert b"200 OK" in encrypted.recv(4096)
    with pytest.raises(requests.RequestException):
        requests.get(served.uri.replace("https", "http") + "/v1/config", timeout=20)
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{served.uri}/v1/config", timeout=20)
    trusting: dict[str, Any] = {"ssl": {"cabundle": str(chain)}}
    client = RestCatalog("run", uri=served.uri, token=served.token, **trusting)
    assert client.load_table(run.names["mine"]).scan().to_arrow().num_rows == 1


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        pytest.param(Settings(run_catalog_listen="0.0.0.0:8181"), "token as plain text", id="plain-text"),
        pytest.param(Settings(run_catalog_listen="host:port"), "no host with a port", id="no-port"),
        pytest.param(Settings(run_catalog_listen="127.0.0.1:70000"), "no host with a port", id="large-port"),
        pytest.param(Settings(run_catalog_uri="here"), "it is no address", id="no-address"),
        pytest.param(
            Settings(run_catalog_uri="jdbc:postgresql://lake/catalog?password=geheim"),
            r"names a database: a catalog in a database refuses nothing (?!.*geheim)",
            id="database",
        ),
        pytest.param(
            Settings(run_catalog_certificate="/nowhere.pem"), "it cannot be used", id="no-certificate"
        ),
    ],
)
def test_settings_that_cannot_be_used_are_refused(settings: Settings, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Listening.of(settings)


def test_settings_that_can(run: CatalogRun) -> None:
    assert Listening.of(Settings()) == Listening()
    assert Listening.of(Settings(run_catalog_listen="[::1]:8181")) == Listening("::1", 8181)
    behind = Listening.of(
        Settings(run_catalog_listen="0.0.0.0:0", run_catalog_uri="https://lake.example.org/run")
    )
    assert run.serve(behind).uri == "https://lake.example.org/run"
    tunnel = Listening.of(Settings(run_catalog_listen="127.0.0.1:0", run_catalog_uri="http://127.0.0.1:8181"))
    assert run.serve(tunnel).uri == "http://127.0.0.1:8181"
    taken = urlsplit(run.served.uri).port
    with (
        pytest.raises(ConfigError, match="cannot listen on"),
        serving(run.catalog, Listening(port=int(taken or 0))),
    ):
        raise AssertionError
