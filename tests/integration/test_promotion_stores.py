"""Promotions between stores and catalogs of other kinds than folders: S3, PostgreSQL, REST, and from one kind to another."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import duckdb
import pytest
from botocore.exceptions import ClientError
from tests.harness.promotions import Stand
from tests.harness.rest_catalog import serving

from slipway.engines.duckdb import engine
from slipway.errors import DamagedError, UnavailableError
from slipway.storage import transfer
from slipway.storage.s3 import s3_access
from slipway.storage.transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness.servers import Postgres

ORDERS = {
    "table": "serving.orders",
    "sql": "select i as id, i % 3 as day from range(10) t(i)",
    "partitioned_by": ["day"],
}
LINES = {"table": "raw.lines", "sql": "select 'a' as line"}
DENIED: Any = {"Error": {"Code": "AccessDenied", "Message": "no"}, "ResponseMetadata": {}}
MORE = {**ORDERS, "sql": "select 100 as id, 1 as day", "strategy": "append"}


def settings(name: str, **properties: str) -> dict[str, str]:
    return {f"PYICEBERG_CATALOG__{name.upper()}__{key.upper()}": value for key, value in properties.items()}


@pytest.fixture
def stand(tmp_path: Path, bucket: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    """A stand whose two environments are in one bucket, each with a SQLite catalog."""
    made = Stand(tmp_path, duckdb.connect())
    for name, value in made.settings().items():
        monkeypatch.setenv(name, value)
    for name in ("staging", "prod"):
        monkeypatch.setenv(
            f"PYICEBERG_CATALOG__{name.upper()}__WAREHOUSE", f"s3://catalogs/{tmp_path.name}/{name}"
        )
    made.connection = engine.connect(made.environment("staging"))
    yield made
    made.connection.close()


def client(stand: Stand) -> Any:  # noqa: ANN401 - boto3 has no types
    endpoint = stand.environment("prod").catalog_properties["s3.endpoint"]
    return boto3.session.Session(region_name="us-east-1").client("s3", endpoint_url=endpoint)


def objects(stand: Stand, name: str) -> dict[str, str]:
    """Keys of data files below an environment's warehouse, and their tags."""
    prefix = f"{stand.folder.name}/{name}/"
    pages = client(stand).get_paginator("list_objects_v2").paginate(Bucket="catalogs", Prefix=prefix)
    found = {
        item["Key"].removeprefix(prefix): item["ETag"] for page in pages for item in page.get("Contents", [])
    }
    return {key: tag for key, tag in found.items() if key.endswith(".parquet")}


def shows_the_same(stand: Stand) -> None:
    assert stand.shown().keys() == stand.shown("staging").keys()
    for name in stand.shown():
        assert stand.rows(name) == stand.rows(name, "staging")


def test_s3_copies_by_itself(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.publish(ORDERS, LINES)
    monkeypatch.setattr(Transfer, "_streamed", None)  # which would be an error
    stand.promote()
    shows_the_same(stand)
    assert objects(stand, "prod") == objects(stand, "staging")
    before = objects(stand, "prod")
    stand.publish(MORE)
    done = stand.promote()
    shows_the_same(stand)
    added = objects(stand, "prod").keys() - before.keys()
    assert added == objects(stand, "staging").keys() - before.keys()
    assert [f"serving/orders/{path}" for path in stand.copied(done.number)] == list(added)


@pytest.mark.long
def test_large_objects_are_copied_in_parts(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 copies at most 5 GiB by one request; here it is a few bytes."""
    stand.publish(LINES)
    monkeypatch.setattr(transfer, "_LARGEST_AT_ONCE", 100)
    monkeypatch.setattr(transfer, "_PART", 5 << 20)
    stand.promote()
    shows_the_same(stand)
    (tag,) = objects(stand, "prod").values()
    assert tag.strip('"').endswith("-1")


@pytest.mark.long
def test_keys_that_may_not_read_the_source_have_files_streamed(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The target's own client is refused; the source's reads."""
    stand.publish(ORDERS)

    def refuse(**_: object) -> None:
        raise ClientError(DENIED, "CopyObject")

    made = s3_access

    def access(properties: dict[str, str]) -> Any:  # noqa: ANN401
        found = made(properties)
        monkeypatch.setattr(found.client, "copy_object", refuse)
        return found

    monkeypatch.setattr(transfer, "s3_access", access)
    stand.promote()
    shows_the_same(stand)
    assert objects(stand, "prod") == objects(stand, "staging")


def test_a_store_that_refuses_everything_is_reported(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.publish(ORDERS)

    def refuse(*_: object, **__: object) -> None:
        raise ClientError(DENIED, "PutObject")

    made = s3_access

    def access(properties: dict[str, str]) -> Any:  # noqa: ANN401
        found = made(properties)
        for name in ("copy_object", "upload_fileobj"):
            monkeypatch.setattr(found.client, name, refuse)
        return found

    monkeypatch.setattr(transfer, "s3_access", access)
    with pytest.raises(UnavailableError, match=r"cannot be used: .*AccessDenied"):
        stand.promote()
    assert stand.shown() == {}


@pytest.mark.parametrize("what", ["gone", "shorter"])
def test_an_object_that_is_not_what_it_was_is_refused(stand: Stand, what: str) -> None:
    stand.publish(LINES)
    (key,) = objects(stand, "staging")
    s3, place = client(stand), {"Bucket": "catalogs", "Key": f"{stand.folder.name}/staging/{key}"}
    content = s3.get_object(**place)["Body"].read()
    if what == "gone":
        s3.delete_object(**place)
    else:
        s3.put_object(**place, Body=content[:-1])
    with pytest.raises(DamagedError):
        stand.promote()
    assert stand.shown() == {}


@pytest.mark.long
def test_folders_and_buckets_are_promoted_to_each_other(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYICEBERG_CATALOG__STAGING__WAREHOUSE", f"file://{stand.folder}/staging")
    stand.publish(ORDERS, LINES)
    stand.promote()
    shows_the_same(stand)
    stand.publish(MORE)
    stand.promote()
    shows_the_same(stand)
    # and back, into an environment that had nothing of it
    stand.write("promotion.yml", "environments: {dev: {from: [prod]}}")
    stand.promote(None, "prod", "dev")
    assert stand.rows("serving.orders", "dev") == stand.rows("serving.orders", "staging")


@pytest.mark.long
@pytest.mark.server
def test_a_catalog_on_postgresql(
    stand: Stand, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    server: Postgres = request.getfixturevalue("postgres")
    database = f"promotion_{time.time_ns()}"
    with closing(server.connect("postgres")) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"create database {database}")
    for name, value in settings("prod", uri=server.uri(database)).items():
        monkeypatch.setenv(name, value)
    stand.publish(ORDERS, LINES)
    stand.promote()
    shows_the_same(stand)
    stand.publish(MORE, retire=["raw.lines"])
    stand.promote()
    shows_the_same(stand)


@pytest.mark.parametrize("several", [pytest.param(True, marks=pytest.mark.long), False])
def test_a_rest_catalog(
    several: bool, tmp_path: Path, duck: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand = Stand(tmp_path, duck)
    for name, value in stand.settings().items():
        monkeypatch.setenv(name, value)
    with serving(several=several) as server:
        for name, value in settings("prod", type="rest", uri=server.uri).items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("PYICEBERG_CATALOG__PROD__WAREHOUSE")
        stand.write(
            "profiles.yml",
            (stand.project / "profiles.yml")
            .read_text()
            .replace("database: prod,", f"database: prod, warehouse: 'file://{tmp_path}/prod',"),
        )
        stand.publish(ORDERS)
        stand.computed("serving.orders", "metadata/one.stats")
        stand.publish(LINES)
        stand.promote()
        shows_the_same(stand)
        (found,) = stand.table("serving.orders").metadata.statistics
        assert found.statistics_path == f"file://{tmp_path}/prod/serving/orders/metadata/one.stats"
        stand.publish(
            {
                **MORE,
                "sql": "select 100 as id, 1 as day, 'x' as note",
                "on_schema_change": "append_new_columns",
            }
        )
        stand.publish({**LINES, "sql": "select 'b' as line", "strategy": "append"})
        stand.promote()
        shows_the_same(stand)
        stand.publish({**MORE, "partitioned_by": []})
        stand.promote()
        shows_the_same(stand)


@pytest.fixture
def no_databases(stand: Stand) -> Iterator[None]:
    """Afterwards Glue has none, as the tests before found it."""
    yield
    endpoint = stand.environment("staging").catalog_properties["s3.endpoint"]
    glue = boto3.session.Session(region_name="us-east-1").client("glue", endpoint_url=endpoint)
    for database in glue.get_databases()["DatabaseList"]:
        glue.delete_database(Name=database["Name"])


@pytest.mark.long
@pytest.mark.usefixtures("no_databases")
def test_glue(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = stand.environment("prod").catalog_properties["s3.endpoint"]
    monkeypatch.setenv("PYICEBERG_CATALOG__PROD__TYPE", "glue")
    monkeypatch.setenv("PYICEBERG_CATALOG__PROD__GLUE__ENDPOINT", endpoint)
    monkeypatch.delenv("PYICEBERG_CATALOG__PROD__URI")
    stand.publish(ORDERS, LINES)
    stand.promote()
    shows_the_same(stand)
    more = {"sql": "select 100 as id, 1 as day, 'x' as note", "on_schema_change": "append_new_columns"}
    stand.publish({**MORE, **more}, retire=["raw.lines"])
    stand.promote()
    shows_the_same(stand)
    stand.promote(1)
    assert len(stand.rows("serving.orders")) == 10
    assert not stand.records("prod").open_keys()
