"""A warehouse on S3 whose models Spark computes: the same tables as by DuckDB alone, and whatever fails publishes nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.environments import target
from tests.harness.projects import ordered
from tests.harness.rest_catalog import serving
from tests.integration.s3.conftest import SECRET, TOKEN
from tests.integration.spark.conftest import left_behind, starts_soon
from tests.integration.spark.connect_servers import WITH_EXTENSIONS, started

from slipway.engines.spark.spark_versions import RUNTIME, S3_BUNDLE
from slipway.engines.writers import ENGINE
from slipway.iceberg.metadata_files import summary_of

if TYPE_CHECKING:
    from tests.harness.proxy import Proxy
    from tests.harness.servers import Postgres
    from tests.integration.s3.conftest import Lake

pytestmark = [pytest.mark.server, pytest.mark.spark]
NEW_DAYS = "{% if is_incremental() %}where weighed_on > (select max(weighed_on) as last_day from {{ this }}){% endif %}\n"
FROM_LAST_DAY = NEW_DAYS.replace(">", ">=")
MODELS = {
    "depot_weights": "select depot, city, count(*) as parcels, sum(kg) as kg\nfrom {{ ref('weights') }}\nleft join {{ ref('depots') }} using (depot)\ngroup by depot, city\n",
    "weighings": "{{ config(materialized='incremental', incremental_strategy='append') }}\nselect parcel, weighed_on from {{ ref('weights') }}\n"
    + NEW_DAYS,
    "latest_weights": "{{ config(materialized='incremental', incremental_strategy='merge', unique_key='depot') }}\n"
    "select depot, max(weighed_on) as weighed_on, max(kg) as kg from {{ ref('weights') }}\n"
    + FROM_LAST_DAY
    + "group by depot\n",
    "weights_of_day": "{{ config(materialized='incremental', incremental_strategy='insert_overwrite', partitioned_by=['weighed_on']) }}\n"
    "select weighed_on, parcel, kg from {{ ref('weights') }}\n" + FROM_LAST_DAY,
}
BY_SPARK = {f"serving.{name}" for name in MODELS}
DAY_3 = b"parcel,depot,weighed_on,kg\np6,S,2024-05-03,10.125\np7,N,2024-05-03,0.5\n"


def use_spark(lake: Lake, models: dict[str, str] = MODELS, engine: str = "spark") -> Lake:
    """Have an engine compute models of the serving layer."""
    workshop = lake.workshop
    workshop.edit(
        "dbt_project.yml",
        "    serving: {+schema: serving}",
        f"    serving: {{+schema: serving, +engine: {engine}}}",
    )
    for name, text in models.items():
        workshop.write(f"models/serving/{name}.sql", text)
    starts_soon(workshop)
    return lake


def rows(lake: Lake) -> dict[str, list[tuple[Any, ...]]]:
    """Rows of every published table, without the columns that name a run."""
    found = {}
    for name in lake.published():
        table = lake.table(name)
        columns = [one.name for one in table.schema().fields if not one.name.startswith("_")]
        read = table.scan(selected_fields=tuple(columns)).to_arrow().to_pylist()
        found[name] = ordered(tuple(row.values()) for row in read)
    return found


def schemas(lake: Lake) -> dict[str, str]:
    return {name: lake.table(name).schema().model_dump_json() for name in lake.published()}


def test_tables_of_both_engines_on_s3(new_lake: Callable[[Path, str], Lake], tmp_path: Path) -> None:
    number = time.time_ns()
    spark = use_spark(new_lake(tmp_path / "spark", f"spark-{number}"))
    duckdb = use_spark(new_lake(tmp_path / "duckdb", f"duckdb-{number}"), engine="duckdb")
    first = spark.workshop.run()
    assert {node["table"] for node in first["nodes"] if node["engine"] == "spark"} == BY_SPARK
    assert duckdb.workshop.run()["release"] == first["release"] == 1
    assert rows(spark) == rows(duckdb)
    assert not left_behind(spark.workshop, 0)
    for name in BY_SPARK:
        assert summary_of(spark.table(name).current_snapshot())[ENGINE] == "spark"
    before = spark.published()
    snapshots = {name: spark.table(name).metadata.current_snapshot_id for name in before}

    # nothing has changed, and Spark is not started
    assert spark.workshop.run(SPARK_HOME="/nowhere")["outcome"] == "unchanged"

    for lake in (spark, duckdb):
        lake.put("landing/parcels/day-3.csv", DAY_3)
        second = lake.workshop.run()
        assert second["release"] == 2
        assert {node["table"] for node in second["nodes"] if node["change"] == "built"} >= BY_SPARK
    assert rows(spark) == rows(duckdb)
    assert len(rows(spark)["serving.weighings"]) == 6
    assert schemas(spark) == schemas(duckdb)

    for lake in (spark, duckdb):
        lake.workshop.answer("rollback", "--to", "1", "--yes", "--reason", "test")
    assert rows(spark) == rows(duckdb)
    assert len(rows(spark)["serving.weighings"]) == 4
    assert {name: spark.table(name).metadata.current_snapshot_id for name in before} == snapshots


def test_a_connect_server_reaches_s3_by_the_catalog(lake: Lake, tmp_path: Path) -> None:
    """It has no keys of its own, and the run no Java."""
    packages = f"{RUNTIME},{S3_BUNDLE}"
    with started(tmp_path / "server", "--packages", packages, *WITH_EXTENSIONS) as server:
        use_spark(lake)
        lake.workshop.settings |= {"SLIPWAY_SPARK_REMOTE": server, "JAVA_HOME": "/nowhere"}
        first = lake.workshop.run()
        assert {node["table"] for node in first["nodes"] if node["engine"] == "spark"} == BY_SPARK
        lake.put("landing/parcels/day-3.csv", DAY_3)
        assert lake.workshop.run()["release"] == 2
    made = rows(lake)
    assert len(made["serving.weighings"]) == len(made["serving.weights_of_day"]) == 6
    assert {row[0] for row in made["serving.latest_weights"]} == {"N", "S"}
    for name in BY_SPARK:
        assert summary_of(lake.table(name).current_snapshot())[ENGINE] == "spark"


@pytest.fixture
def one_model(lake: Lake) -> Lake:
    """A project with one model of Spark."""
    return use_spark(lake, {"depot_weights": MODELS["depot_weights"]})


def is_data_of_spark(method: str, path: str) -> bool:
    """Whether a request to the store writes a file of the table that Spark computes."""
    return method in ("PUT", "POST") and "/serving/depot_weights/data/" in path


REFUSED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


@pytest.mark.parametrize(
    ("status", "why"),
    [
        pytest.param(403, "Access Denied", id="refused"),
        pytest.param(0, "Unable to execute HTTP request", id="unreachable"),
    ],
)
def test_a_store_that_fails_for_spark_is_one_sentence(
    one_model: Lake, proxy: Proxy, status: int, why: str
) -> None:
    proxy.body = REFUSED
    proxy.fault = lambda method, path, _: status if is_data_of_spark(method, path) else None
    failed = one_model.workshop.run(code=1)
    (message,) = [node["message"] for node in failed["nodes"] if node["engine"] == "spark"]
    said = message.splitlines()[-1].strip()
    assert said.startswith("Spark ended with an error in serving.depot_weights: "), message
    assert why in said
    assert len(message.splitlines()) == 2
    assert one_model.published() == {}
    assert not left_behind(one_model.workshop, 0)


def test_a_run_that_is_killed_while_spark_writes_to_s3(one_model: Lake, proxy: Proxy) -> None:
    assert one_model.workshop.run()["release"] == 1
    before = one_model.published()
    one_model.put("landing/parcels/day-3.csv", DAY_3)
    writes, killed = threading.Event(), threading.Event()

    def hold(method: str, path: str, _: int) -> None:
        if is_data_of_spark(method, path):
            writes.set()
            killed.wait(60)

    proxy.fault = hold
    running = one_model.workshop.start("run")
    assert writes.wait(240)
    running.kill()
    killed.set()
    assert not left_behind(one_model.workshop, 60)
    assert one_model.published() == before
    proxy.fault = lambda *_: None
    assert one_model.workshop.run()["outcome"] == "published"
    assert sum(row[2] for row in rows(one_model)["serving.depot_weights"]) == 6
    assert not list(one_model.workshop.temporary.glob("slipway-spark-*"))


def test_keys_are_nowhere(one_model: Lake) -> None:
    done = one_model.workshop.slipway("run")
    assert done.code == 0, done
    workshop = one_model.workshop
    texts = {str(path): path.read_bytes() for path in workshop.folder.rglob("*") if path.is_file()}
    texts |= {key: one_model.get(key) for key in one_model.sizes()}
    texts |= {"out": done.out.encode(), "err": done.err.encode()}
    assert [name for name, text in texts.items() if SECRET.encode() in text or TOKEN.encode() in text] == []


def use_catalog(lake: Lake, kind: str, postgres: Postgres, stack: ExitStack) -> None:
    """Have the project work with a catalog of a kind; that of the tests' REST server keeps its files in a folder."""
    workshop = lake.workshop
    if kind == "postgresql":
        lake.use_postgres(postgres, "staging")
    elif kind == "glue":
        lake.use(type="glue")
        workshop.settings["AWS_REGION"] = "eu-west-3"  # Glue knows its databases by region
    else:
        server = stack.enter_context(serving(several=True))
        workshop.settings |= target(
            "staging", f"file://{workshop.folder}/warehouse", type="rest", uri=server.uri
        )


@pytest.mark.parametrize("kind", ["postgresql", "glue", "rest"])
def test_catalogs_of_other_kinds(one_model: Lake, kind: str, postgres: Postgres) -> None:
    workshop = one_model.workshop
    ask = ("sql", "select parcels from serving.depot_weights order by depot", "--output", "csv")
    with ExitStack() as stack:
        use_catalog(one_model, kind, postgres, stack)
        assert workshop.run()["release"] == 1
        first = workshop.answer(*ask)
        assert sum(map(int, first.split()[1:])) == 4
        one_model.put("landing/parcels/day-3.csv", DAY_3)
        second = workshop.run()
        assert second["release"] == 2
        (node,) = [one for one in second["nodes"] if one["table"] == "serving.depot_weights"]
        assert (node["engine"], node["change"]) == ("spark", "built")
        assert sum(map(int, workshop.answer(*ask).split()[1:])) == 6
        workshop.answer("rollback", "--to", "1", "--yes", "--reason", "test")
        assert workshop.answer(*ask) == first
        assert not left_behind(workshop, 0)
