"""``slipway canary --engine`` where no engine is compared: what is refused, and that nothing was compared. Spark itself is in tests/integration/spark."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

WEIGHTS = "models/serving/depot_weights.sql"


@pytest.mark.parametrize("option", [("--base", "HEAD"), ("--record",)])
def test_the_work_tree_is_compared_with_itself(workshop: Workshop, option: tuple[str, ...]) -> None:
    done = workshop.slipway("canary", "--engine", "spark", *option)
    assert done.code == 2
    assert f"{option[0]} does not go with --engine, which compares the work tree with itself." in done.err


def test_nothing_was_compared_where_the_engine_can_compute_no_other_model(workshop: Workshop) -> None:
    workshop.run()
    before = workshop.locations()
    said = workshop.refusal("canary", "--engine", "duckdb", code=1)
    assert said == (
        "Nothing was compared: DuckDB can compute none of the selected models that another engine computes. "
        "Select other models, or compare with another engine."
    )
    workshop.edit(WEIGHTS, "sum(kg) as kg", "median(kg) as kg")
    said = workshop.refusal(
        "canary", "--engine", "spark", "--select", "depot_weights", code=1, JAVA_HOME="/nowhere"
    )
    assert "serving.depot_weights (the function median (line" in said
    assert "is not known to have the same result there as in DuckDB)" in said
    assert workshop.locations() == before


def test_a_side_that_needs_spark_says_that_there_is_no_java(workshop: Workshop) -> None:
    workshop.run()
    said = workshop.refusal("canary", "--engine", "spark", code=1, JAVA_HOME="/nowhere")
    missing = "JAVA_HOME is /nowhere" if find_spec("pyspark") else "the package pyspark is not installed"
    assert said.startswith(f"head does not build: Spark cannot be started: {missing}")


def test_a_model_that_reads_replaced_files_stays_with_duckdb(workshop: Workshop) -> None:
    workshop.edit(
        "contracts/parcels.odcs.yaml",
        "format: csv\n",
        "format: csv\n    customProperties: [{property: fileMode, value: replace}]\n",
    )
    workshop.run()
    said = workshop.refusal(
        "canary", "--engine", "spark", "--select", "weights", code=1, JAVA_HOME="/nowhere"
    )
    assert "curated.weights (it reads raw.parcels, whose files replace earlier ones, and only DuckDB" in said
