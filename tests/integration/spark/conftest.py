"""Runs of Spark: each gets a catalog of its own in the one session."""

from __future__ import annotations

import gc
import itertools
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.catalog_runs import CatalogRun
from tests.harness.projects import Project

from slipway.engines.spark.session_settings import catalog_properties

if TYPE_CHECKING:
    from tests.integration.spark.both_engines import Both

_number = itertools.count(1)

QUICKLY = """\
spark.driver.extraJavaOptions -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
spark.sql.shuffle.partitions 2
"""
"""Spark's own settings for commands with tables of a few rows: a Java that starts soon."""


def starts_soon(project: Project) -> None:
    """Have the commands of a project start Spark with these settings."""
    project.put("../spark/spark-defaults.conf", QUICKLY)
    project.settings["SPARK_CONF_DIR"] = str(project.folder / "spark")


def java_of(project: Project) -> list[int]:
    """Processes of Java that have their temporary folder in that of the project's commands."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:  # it has ended meanwhile
            continue
        if b"java" in words[0] and any(os.fsencode(project.temporary) in word for word in words):
            found.append(int(entry.parent.name))
    return found


def left_behind(project: Project, seconds: float) -> list[int]:
    """The same, once they have had some time to end."""
    until = time.monotonic() + seconds
    while (found := java_of(project)) and time.monotonic() < until:
        time.sleep(0.2)
    return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what stands here."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.spark)
            # pyspark leaves closing to the collector of garbage
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))


def pytest_sessionfinish() -> None:
    """Collect what pyspark has left open before pytest does, which would take it for a failure of the session."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed <socket", ResourceWarning)
        gc.collect()


class SparkRun(CatalogRun):
    """A run that Spark computes for; ``catalog_name`` is what its tables are found under."""

    def connect(self, spark: Any) -> None:  # noqa: ANN401 - pyspark is an extra
        self.spark, self.catalog_name = spark, f"run_{next(_number)}"
        for key, value in catalog_properties(self.catalog_name, self.served).items():
            spark.conf.set(key, value)

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        """Rows of a statement in which ``{mine}`` is a table of the run, and ``{run}`` its catalog."""
        tables = {name: f"{self.catalog_name}.{self.layer}.{name}" for name in self.names}
        made = text.format(run=self.catalog_name, layer=self.layer, **tables)
        return [tuple(row) for row in self.spark.sql(made).collect()]


@pytest.fixture
def run(spark: Any, tmp_path: Path) -> Iterator[SparkRun]:  # noqa: ANN401 - pyspark is an extra
    """A run with its catalog in the session."""
    with ExitStack() as stack:
        made = SparkRun(tmp_path / "run", stack)
        made.connect(spark)
        yield made


@pytest.fixture
def both(run: SparkRun) -> Both:
    """A table that both engines write."""
    from tests.integration.spark.both_engines import Both

    return Both(run)
