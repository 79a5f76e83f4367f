"""A Spark Connect server, started as anybody would, computes models of runs; it knows nothing of Slipway, and goes on when a run has ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.harness.projects import Meters
from tests.integration.spark import test_batches_on_spark as batches
from tests.integration.spark import test_python_models as python_models
from tests.integration.spark.both_engines import FIRST, SECOND, compute_by_spark
from tests.integration.spark.conftest import SparkRun, java_of
from tests.integration.spark.connect_servers import WITH_EXTENSIONS, started
from tests.integration.test_materializations import bare

from slipway.engines.spark import connect_session as module
from slipway.engines.spark.connect_session import Remote, connect_session
from slipway.engines.spark.spark_versions import RUNTIME
from slipway.errors import ConfigError
from slipway.run_catalog.rest_server import Served
from slipway.settings import Settings

DAYS = """\
{{ config(materialized='incremental', incremental_strategy='insert_overwrite', partitioned_by=['read_on']) }}
select read_on, meter, kwh from {{ ref('consumption') }}
{% if is_incremental() %}
where read_on >= (select max(read_on) as last_day from {{ this }})
{% endif %}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with Iceberg's jar and extensions, in the time zone of nobody and with ANSI off."""
    with started(
        tmp_path_factory.mktemp("server"),
        *("--packages", RUNTIME, *WITH_EXTENSIONS),
        *("--conf", "spark.sql.ansi.enabled=false", "--conf", "spark.sql.session.timeZone=Asia/Tokyo"),
    ) as address:
        yield address


def remote(address: str) -> Remote:
    found = Remote.of(Settings(spark_remote=address))
    assert found is not None
    return found


@pytest.fixture
def run(server: str, tmp_path: Path) -> Iterator[SparkRun]:
    """A run with a session of its own on the server."""
    with ExitStack() as stack:
        made = SparkRun(tmp_path / "run", stack)
        made.spark = stack.enter_context(connect_session(remote(server), "lake", made.served))
        made.catalog_name = "lake"
        yield made


def test_two_runs_on_one_server_do_not_see_each_other(run: SparkRun, server: str, tmp_path: Path) -> None:
    assert run.spark.sql(
        "select timestamp '2024-05-01 00:00:00' = timestamp '2024-05-01 00:00:00Z'"
    ).collect()[0][0]
    with pytest.raises(Exception, match="DIVIDE_BY_ZERO"):
        run.spark.sql("select 1 / 0").collect()
    with ExitStack() as stack:
        other = SparkRun(tmp_path / "other", stack)
        other.catalog_name = "lake"
        other.spark = stack.enter_context(connect_session(remote(server), "lake", other.served))
        other.sql("insert into {mine} values (5)")
        assert sorted(other.sql("select * from {mine}")) == [(1,), (5,)]
        assert run.sql("select * from {mine}") == [(1,)]
        assert other.layer != run.layer
        with pytest.raises(Exception, match=r"SCHEMA_NOT_FOUND|TABLE_OR_VIEW_NOT_FOUND"):
            run.spark.sql(f"select * from lake.{other.layer}.mine").collect()
    # the end of one session is not that of the other
    run.sql("insert into {mine} values (6)")
    assert sorted(run.sql("select * from {mine}")) == [(1,), (6,)]
    run.check_published()


def test_a_server_that_cannot_be_used_is_one_sentence(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        pytest.raises(
            ConfigError, match=r"does not reach the run's catalog: it was given http://127.0.0.1:9"
        ) as refused,
        connect_session(remote(server), "lake", Served("http://127.0.0.1:9", "t")),
    ):
        raise AssertionError
    assert "SLIPWAY_RUN_CATALOG_URI" in refused.value.line()
    assert "\n" not in refused.value.line()
    with (
        pytest.raises(ConfigError, match="tables are on S3, and it does not have Iceberg's jar for it"),
        connect_session(remote(server), "lake", Served("http://127.0.0.1:9", "t"), on_s3=True),
    ):
        raise AssertionError
    monkeypatch.setattr(module, "_ANSWERS_WITHIN", 1)
    with (
        pytest.raises(ConfigError, match=r"127.0.0.1:9 took no connection within 1 second"),
        connect_session(remote("sc://127.0.0.1:9"), "lake", Served("http://127.0.0.1:9", "t")),
    ):
        raise AssertionError


def test_a_server_without_extensions_is_refused(tmp_path: Path) -> None:
    with (
        started(tmp_path / "server", "--packages", RUNTIME) as address,
        pytest.raises(ConfigError, match="it began without Iceberg's extensions"),
        connect_session(remote(address), "lake", Served("http://127.0.0.1:9", "t")),
    ):
        raise AssertionError


@pytest.fixture
def by_server(project: Meters, server: str) -> Meters:
    """A project with two models that the server computes, and no Java of its own."""
    compute_by_spark(project, "sites", "days")
    project.write("models/serving/days.sql", DAYS)
    project.settings |= computed_by(server)
    return project


def computed_by(server: str) -> dict[str, str]:
    """Settings of a project that a server computes for, and that has no Java of its own."""
    return {"SLIPWAY_SPARK_REMOTE": server, "JAVA_HOME": "/nowhere"}


def days(project: Meters) -> list[tuple[str, ...]]:
    return sorted(tuple(map(str, row)) for row in project.rows("serving.days", "read_on", "meter", "kwh"))


def test_runs_that_a_server_computes(by_server: Meters) -> None:
    first = by_server.run()
    engines = {node["table"]: node["engine"] for node in first["nodes"]}
    assert (engines["serving.days"], engines["serving.sites"]) == ("spark", "spark")
    assert days(by_server) == FIRST
    assert by_server.run(SLIPWAY_SPARK_REMOTE="sc://127.0.0.1:9")["outcome"] == "unchanged"

    by_server.readings("day-2.csv", "m1,2024-05-02,1.25,", "m2,2024-05-02,3,")
    assert by_server.run()["release"] == 2
    assert days(by_server) == [*FIRST, *SECOND]
    assert not java_of(by_server)


def test_python_models_that_a_server_computes(project: Meters, server: str) -> None:
    """Their functions run in processes of the server, which has no module of the project."""
    python_models.add_doubling(project)
    project.write("python_models/serving/most.py", python_models.MERGED)
    project.write("python_models/serving/most.yml", python_models.MERGED_YAML)
    project.settings |= computed_by(server)
    first = project.run()
    assert {node["table"]: node["engine"] for node in first["nodes"]}["serving.doubles"] == "spark"
    assert [kwh for _, kwh, _ in sorted(python_models.rows(project))] == ["3.000", "4.000", "0.500"]

    # a changed function is sent anew
    project.edit(f"{python_models.MODULES}/doubling.py", 'part["kwh"] * 2', 'part["kwh"] * 4')
    project.readings("day-2.csv", "m1,2024-05-02,1.25,", "m9,2024-05-02,3,")
    project.run()
    assert sorted(kwh for _, kwh, _ in python_models.rows(project)) == ["1.000", "12.000", "5.000", "6.000", "8.000"]  # fmt: skip
    most = {meter: str(kwh) for meter, kwh in project.rows("serving.most", "METER", "most")}
    assert most == {"m1": "3.000", "m2": "4.000", "m3": "0.500", "m9": "12.000"}

    # what a model returns is refused as by a session of this machine, and it sees no other table
    project.write("models/curated/daily.sql", "select 1 as n\n")
    project.run("--select", "daily")
    refused = {
        "column kwh is double, and is declared as decimal(12,3)": "dbt.ref('consumption').selectExpr('read_on', 'meter', 'double(kwh) as kwh', '1 as made')",
        "TABLE_OR_VIEW_NOT_FOUND": "session.table('dev.curated.daily')",
        "spark.sql.ansi.enabled is false": "(session.conf.set('spark.sql.ansi.enabled', 'false'), dbt.ref('consumption'))[1]",
    }
    for at, returned in enumerate(refused.values()):
        python_models.add_returning(project, f"refused_{at}", returned)
    failed = project.run(code=1)
    for at, why in enumerate(refused):
        assert why in python_models.message(failed, f"serving.refused_{at}")
    assert not java_of(project)


def test_batches_that_a_server_computes(project: Meters, server: str) -> None:
    bare(project)
    project.settings |= computed_by(server)
    for engine in ("duckdb", "spark"):
        project.write(f"models/serving/by_{engine}.sql", batches.MODEL.format(engine=engine, time="seen_at"))
    batches.land(project, "seen_at", *batches.FIRST)
    project.run(*batches.WHOLE)
    assert batches.said(project, "by_spark") == batches.said(project, "by_duckdb")
    batches.land(project, "seen_at", *batches.FIRST[:2], *batches.LATE)
    project.run(*batches.LATER)
    rows, *_ = batches.said(project, "by_spark")
    assert batches.said(project, "by_spark") == batches.said(project, "by_duckdb")
    assert sorted(row["k"] for row in rows) == [1, 2, 3, 5]
    assert not java_of(project)


def test_ctrl_c_ends_only_what_the_run_computes(by_server: Meters, run: SparkRun) -> None:
    by_server.remove("models/serving/days.sql")
    by_server.edit("dbt_project.yml", ", days: {+engine: spark}", "")
    many = "\n".join(f"cross join {{{{ ref('consumption') }}}} as c{number}" for number in range(22))
    by_server.write(
        "models/serving/sites.sql", f"select count(*) as n\nfrom {{{{ ref('consumption') }}}} as c\n{many}\n"
    )
    running = by_server.start("run", stop_before="slipway.engines.spark.spark_writer:_Write._compute")
    running.stopped()
    os.kill(running.pid, signal.SIGCONT)
    time.sleep(10)  # by then it computes 94 thousand million rows
    began = time.monotonic()
    os.kill(running.pid, signal.SIGINT)
    done = running.wait()
    assert done.code == 130, done
    assert time.monotonic() - began < 120
    assert by_server.published() == {}
    assert run.sql("select * from {mine}") == [(1,)]
