"""A session computes what DuckDB would, and one that does not is refused before anything is computed with it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.harness.commands import ROOT
from tests.integration.spark.conftest import SparkRun

from slipway.engines.spark.local_session import local_session
from slipway.engines.spark.session_settings import check_session
from slipway.engines.spark.spark_versions import RUNTIME
from slipway.errors import ConfigError
from slipway.run_catalog.rest_server import Served

NOWHERE = Served("http://127.0.0.1:9", "t")


def test_the_session_is_what_it_is_meant_to_be(spark: Any) -> None:  # noqa: ANN401 - pyspark is an extra
    check_session(spark)
    assert spark.sql("select timestamp '2024-05-01 00:00:00' = timestamp '2024-05-01 00:00:00Z'").collect()[
        0
    ][0]
    for overflow in ("cast(3000000000 as int)", "cast('x' as int)", "2147483647 + 1", "1 / 0"):
        with pytest.raises(
            Exception, match=r"CAST_OVERFLOW|CAST_INVALID_INPUT|ARITHMETIC_OVERFLOW|DIVIDE_BY_ZERO"
        ):
            spark.sql(f"select {overflow}").collect()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("spark.sql.ansi.enabled", "false", id="ansi"),
        pytest.param("spark.sql.session.timeZone", "Europe/Berlin", id="zone"),
        pytest.param("spark.sql.caseSensitive", "true", id="case"),
    ],
)
def test_a_session_with_other_settings_is_refused(spark: Any, key: str, value: str) -> None:  # noqa: ANN401 - same
    other = spark.newSession()
    other.conf.set(key, value)
    with pytest.raises(ConfigError, match=re.escape(f"{key} is {value}")):
        check_session(other)


def test_a_second_session_of_the_process_is_refused(spark: Any) -> None:  # noqa: ANN401 - same
    with pytest.raises(ConfigError, match="session of another program"), local_session("x", NOWHERE):
        raise AssertionError


def test_the_token_of_another_run_is_refused(run: SparkRun) -> None:
    name = f"{run.catalog_name}_other"
    for key, value in {
        "": "org.apache.iceberg.spark.SparkCatalog",
        ".type": "rest",
        ".uri": run.served.uri,
        ".token": "x",
    }.items():
        run.spark.conf.set(f"spark.sql.catalog.{name}{key}", value)
    with pytest.raises(Exception, match="This is the catalog of another run"):
        run.spark.sql(f"select * from {name}.{run.layer}.mine").collect()


def test_two_runs_in_one_session_do_not_see_each_other(run: SparkRun, tmp_path: Path) -> None:
    from contextlib import ExitStack

    with ExitStack() as stack:
        other = SparkRun(tmp_path / "other", stack)
        other.connect(run.spark)
        other.sql("insert into {mine} values (5)")
        assert sorted(other.sql("select * from {mine}")) == [(1,), (5,)]
        assert run.sql("select * from {mine}") == [(1,)]
        run.check_published()
        other.check_published()


@pytest.mark.parametrize(
    ("packages", "why"),
    [
        pytest.param((), "does not have the jar of Iceberg", id="no-jar"),
        pytest.param((RUNTIME,), "tables are on S3, and it does not have Iceberg's jar for it", id="no-s3"),
        pytest.param(("org.example:none:1",), "most often org.example:none:1 cannot be found", id="nowhere"),
    ],
)
def test_a_session_without_a_jar_is_refused_and_leaves_nothing(packages: tuple[str, ...], why: str) -> None:
    """In a process of its own, because Java starts once with its jars."""
    program = (
        "from slipway.engines.spark.local_session import local_session\n"
        "from slipway.run_catalog.rest_server import Served\n"
        "try:\n"
        f"    with local_session('x', Served('http://127.0.0.1:9', 't'), on_s3=True, packages={packages}):\n"
        "        raise SystemExit('it began')\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT, timeout=300
    )
    assert done.stdout.startswith("ConfigError "), done.stdout + done.stderr[-2000:]
    assert why in done.stdout
    assert len(done.stdout.splitlines()) == 1
