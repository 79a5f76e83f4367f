"""Where a Spark Connect server is said to be, and what is refused before it is asked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from slipway.engines.spark import connect_session, spark_versions
from slipway.engines.spark.connect_session import Remote, check_client
from slipway.engines.spark.spark_of_run import check_place
from slipway.engines.spark.spark_versions import check_same
from slipway.environments.environment import Environment, Mode
from slipway.errors import ConfigError
from slipway.secrets import hide
from slipway.settings import Settings


@pytest.mark.parametrize(
    ("uri", "host", "port", "is_here"),
    [
        pytest.param("sc://localhost", "localhost", 15002, True, id="default-port"),
        pytest.param("sc://127.0.0.1:9001", "127.0.0.1", 9001, True, id="port"),
        pytest.param("sc://[::1]:9001/;user_id=ada", "::1", 9001, True, id="ipv6"),
        pytest.param(
            "sc://spark.example.org/;use_ssl=true", "spark.example.org", 15002, False, id="encrypted"
        ),
        pytest.param(
            "sc://spark.example.org/;use_ssl=false", "spark.example.org", 15002, False, id="not-encrypted"
        ),
        pytest.param(
            "sc://spark.example.org/;token=opaque-value", "spark.example.org", 15002, False, id="token"
        ),
    ],
)
def test_a_server_is_found(uri: str, host: str, port: int, is_here: bool) -> None:
    assert Remote.of(Settings(spark_remote=uri)) == (found := Remote(uri, host, port))
    assert found.is_here is is_here


def test_no_setting_is_a_session_of_the_run() -> None:
    assert Remote.of(Settings()) is None


@pytest.mark.parametrize("uri", ["spark://a:7077", "sc://", "localhost:15002", "sc://a:port", "sc://a/;=x"])
def test_what_is_no_connection_string_is_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match="it is no connection string of Spark Connect"):
        Remote.of(Settings(spark_remote=uri))


def test_another_machine_needs_encryption() -> None:
    with pytest.raises(ConfigError, match=r"would be sent to it as plain text. Add /;use_ssl=true"):
        Remote.of(Settings(spark_remote="sc://spark.example.org:15002"))


def test_a_token_is_shown_nowhere() -> None:
    settings = Settings(spark_remote="sc://spark.example.org/;token=b7d0-of%2Fnobody")
    Remote.of(settings)
    assert "nobody" not in repr(settings)
    assert "nobody" not in hide("token b7d0-of/nobody")


def test_a_server_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_versions, "version", lambda _: "4.1.4")
    check_same("4.1.4")
    check_same("4.1.4-amzn-0")
    for found in ("4.1.3", "4.0.1", "4.1.41"):
        with pytest.raises(
            ConfigError, match=f"it is Spark {re.escape(found)}, and the package pyspark is 4.1.4"
        ):
            check_same(found)


def test_a_client_without_grpc_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_versions, "version", lambda _: "4.1.4")
    monkeypatch.setattr(connect_session, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"grpcio-status are not installed. .*dbt-slipway\[spark\]"):
        check_client()


def test_a_server_elsewhere_does_not_see_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_SPARK_REMOTE", "sc://spark.example.org/;use_ssl=true")
    check_place(Environment("prod", Mode.PRODUCTION, "s3://lake/prod", {}, "", tmp_path))
    with pytest.raises(ConfigError, match=r"which the server spark.example.org does not see"):
        check_place(Environment("prod", Mode.PRODUCTION, "file:///data", {}, "", tmp_path))
