"""Whatever is missing for Spark, or has another version, is reported in one line."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from slipway.engines.spark import spark_versions
from slipway.engines.spark.session_settings import EXTENSIONS, catalog_properties, check_session
from slipway.engines.spark.spark_versions import ICEBERG, RUNTIME, SPARK, Installed, installed
from slipway.errors import ConfigError
from slipway.run_catalog.rest_server import Served

ROOT = Path(__file__).parents[4]


def java(folder: Path, said: str, code: int = 0) -> Path:
    """A program in the place of Java, which says its version on stderr as Java does."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit {code}\n", encoding="utf-8")
    program.chmod(0o755)
    return program


@pytest.fixture
def has_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_versions, "version", lambda _: f"{SPARK}.4")


@pytest.mark.parametrize(
    ("said", "version"),
    [
        pytest.param('openjdk version "17.0.15" 2025-04-15', 17, id="17"),
        pytest.param('java version "21" 2023-09-19 LTS', 21, id="21"),
    ],
)
def test_a_java_that_can_be_used(
    has_spark: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, version: int
) -> None:
    program = java(tmp_path, said)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert installed() == Installed(f"{SPARK}.4", program, version)
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    assert installed().java == program


@pytest.mark.parametrize(
    ("said", "code", "why"),
    [
        pytest.param('java version "1.8.0_392"', 0, "is Java 8, and Spark 4.1 needs 17 or 21", id="8"),
        pytest.param('openjdk version "11.0.2"', 0, "is Java 11", id="11"),
        pytest.param("hello", 0, "is Java of an unknown version", id="no-java"),
        pytest.param("broken", 3, "does not start", id="broken"),
    ],
)
def test_another_java_is_refused(
    has_spark: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, code: int, why: str
) -> None:
    java(tmp_path, said, code)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=re.escape(why)) as refused:
        installed()
    assert "\n" not in refused.value.line()


def test_no_java_is_refused(has_spark: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="has no bin/java"):
        installed()
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="Java is not installed"):
        installed()


@pytest.mark.parametrize("found", ["4.2.0", "3.5.8", "4.10.1"])
def test_another_spark_is_refused(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    monkeypatch.setattr(spark_versions, "version", lambda _: found)
    with pytest.raises(ConfigError, match=f"it is version {found}"):
        installed()


def test_no_pyspark_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> str:
        raise PackageNotFoundError

    monkeypatch.setattr(spark_versions, "version", missing)
    with pytest.raises(ConfigError, match=r"pip install 'dbt-slipway\[spark\]'"):
        installed()


def test_one_version_is_named_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (wanted,) = project["optional-dependencies"]["spark"]
    package = wanted.replace("[connect]", "")
    assert f"{package} \\" in (ROOT / "requirements-spark.lock").read_text(encoding="utf-8")
    assert package.startswith(f"pyspark=={SPARK}.")
    assert f"-{SPARK}_2.13:" in RUNTIME


class Session:
    """The settings and versions of a session, of which nothing is computed here."""

    def __init__(
        self,
        version: str = f"{SPARK}.4",
        jars: tuple[str, str] | None = ("2.13.17", ICEBERG),
        has_s3: bool = True,
        **changed: str,
    ) -> None:
        self.version, self._jars, self._has_s3 = version, jars, has_s3
        self._settings = {
            "spark.sql.ansi.enabled": "true",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.caseSensitive": "false",
            "spark.sql.extensions": EXTENSIONS,
        } | {key.replace("__", "."): value for key, value in changed.items()}
        self.conf: Any = self

    def get(self, key: str, default: str = "") -> str:
        return self._settings.get(key, default)

    def sql(self, text: str) -> Session:
        """A query that calls static methods of Java."""
        if self._jars is None or ("awssdk" in text and not self._has_s3):
            raise RuntimeError("class not found")
        return self

    def collect(self) -> list[tuple[str, str]]:
        assert self._jars is not None
        return [self._jars]


def test_a_session_of_a_server_can_be_used() -> None:
    check_session(Session())  # type: ignore[arg-type,unused-ignore]
    check_session(Session(has_s3=False))  # type: ignore[arg-type,unused-ignore]
    check_session(Session(), on_s3=True)  # type: ignore[arg-type,unused-ignore]


@pytest.mark.parametrize(
    ("session", "why"),
    [
        pytest.param(Session("3.5.8"), "it is version 3.5.8", id="version"),
        pytest.param(
            Session(spark__sql__ansi__enabled="false"), "spark.sql.ansi.enabled is false", id="ansi"
        ),
        pytest.param(
            Session(spark__sql__session__timeZone="Europe/Berlin"), "timeZone is Europe/Berlin", id="zone"
        ),
        pytest.param(Session(spark__sql__extensions=""), "without Iceberg's extensions", id="extensions"),
        pytest.param(Session(jars=None), "does not have the jar of Iceberg", id="no-jar"),
        pytest.param(
            Session(jars=("2.13.17", "1.10.1")), "its jars are Iceberg 1.10.1 and Scala 2.13.17", id="old-jar"
        ),
        pytest.param(Session(jars=("2.12.20", ICEBERG)), "and Scala 2.12.20", id="other-scala"),
        pytest.param(
            Session(has_s3=False), "tables are on S3, and it does not have Iceberg's jar for it", id="no-s3"
        ),
    ],
)
def test_a_session_that_computes_something_else_is_refused(session: Session, why: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(why)):
        check_session(session, on_s3=True)  # type: ignore[arg-type,unused-ignore]


def test_the_settings_of_a_run_are_those_of_one_catalog() -> None:
    found = catalog_properties("prod", Served("https://runner:8181", "t"), {"s3.endpoint": "https://store"})
    assert found == {
        "spark.sql.catalog.prod": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.prod.type": "rest",
        "spark.sql.catalog.prod.uri": "https://runner:8181",
        "spark.sql.catalog.prod.token": "t",
        "spark.sql.catalog.prod.cache-enabled": "false",
        "spark.sql.catalog.prod.s3.endpoint": "https://store",
    }
