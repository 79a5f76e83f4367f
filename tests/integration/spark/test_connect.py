"""A Spark Connect server, started as anybody would, computes models of runs; it knows nothing of Slipway, and goes on when a run has ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.harness.projects import Meters
from tests.harness.servers import free_port
from tests.integration.spark.conftest import QUICKLY, SparkRun, java_of

from slipway.engines.spark import connect_session as module
from slipway.engines.spark.connect_session import Remote, connect_session
from slipway.engines.spark.session_settings import EXTENSIONS
from slipway.engines.spark.spark_versions import RUNTIME
from slipway.errors import ConfigError
from slipway.run_catalog.rest_server import Served
from slipway.settings import Settings

if TYPE_CHECKING:
    pass

DAYS = """\
{{ config(materialized='incremental', incremental_strategy='insert_overwrite', partitioned_by=['read_on']) }}
select read_on, meter, kwh from {{ ref('consumption') }}
{% if is_incremental() %}
where read_on >= (select max(read_on) as last_day from {{ this }})
{% endif %}
"""
FIRST = [("2024-05-01", "m1", "1.500"), ("2024-05-01", "m2", "2.000"), ("2024-05-01", "m3", "0.250")]
SECOND = [("2024-05-02", "m1", "1.250"), ("2024-05-02", "m2", "3.000")]


@contextmanager
def started(folder: Path, *options: str) -> Iterator[str]:
    """The address of a server, until the block ends."""
    import pyspark

    home, port = Path(pyspark.__file__).parent, free_port()
    (folder / "conf").mkdir(parents=True)
    (folder / "conf" / "spark-defaults.conf").write_text(QUICKLY, encoding="utf-8")
    own = {"SPARK_HOME": str(home), "SPARK_CONF_DIR": str(folder / "conf"), "SPARK_LOCAL_IP": "127.0.0.1"}
    settings = {
        "spark.connect.grpc.binding.port": str(port),
        "spark.ui.enabled": "false",
        "spark.local.dir": str(folder),
    }
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [
                home / "bin" / "spark-submit",
                *(
                    "--class",
                    "org.apache.spark.sql.connect.service.SparkConnectServer",
                    "--master",
                    "local[2]",
                ),
                *(part for key, value in settings.items() for part in ("--conf", f"{key}={value}")),
                *options,
                "spark-internal",
            ],
            env={**os.environ, **own, "SPARK_LOCAL_HOSTNAME": "localhost"},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 300
        while True:
            with closing(socket.socket()) as trial:
                if trial.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None, (folder / "log").read_text(encoding="utf-8")[-3000:]
            assert time.monotonic() < until
            time.sleep(0.2)
        yield f"sc://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with Iceberg's jar and extensions, in the time zone of nobody and with ANSI off."""
    with started(
        tmp_path_factory.mktemp("server"),
        *("--packages", RUNTIME, "--conf", f"spark.sql.extensions={EXTENSIONS}"),
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
    project.edit(
        "dbt_project.yml",
        "    serving: {+schema: serving}",
        "    serving: {+schema: serving, sites: {+engine: spark}, days: {+engine: spark}}",
    )
    project.write("models/serving/days.sql", DAYS)
    project.settings |= {"SLIPWAY_SPARK_REMOTE": server, "JAVA_HOME": "/nowhere"}
    (project.landing / "readings" / "day-2.csv").unlink()
    return project


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
