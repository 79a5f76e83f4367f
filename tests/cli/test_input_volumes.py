"""How much a run reads of a feed is compared with its contract: a warning where people try things, a gate where others rely on data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

MODEL = "models/serving/depot_weights.sql"
CONTRACT = "contracts/parcels.odcs.yaml"
BOUNDS = """
customProperties:
  - {property: inputRowsPerRun, value: {min: 2, max: 3}}
  - {property: inputBytesPerRun, value: {max: 100000}}
"""
FEW = "Feed parcels brought 1 row in 1 file, and inputRowsPerRun of parcels.odcs.yaml expects at least 2"


def volumes(run: dict[str, Any]) -> dict[str, int]:
    return {one["unit"]: one["found"] for one in run["input_volumes"]}


@pytest.mark.long
def test_a_run_that_reads_less_than_expected_warns_and_is_published(workshop: Workshop) -> None:
    workshop.write(CONTRACT, workshop.read(CONTRACT) + BOUNDS)
    first = workshop.run()
    assert volumes(first) == {}  # a history has no expected number of rows
    assert volumes(workshop.run()) == {}
    workshop.land("few.csv", ["p91,north,2024-05-09,1.5"])
    done = workshop.slipway("run")
    assert done.code == 0, done
    assert f"warning: {FEW}" in done.out
    shown = workshop.answer("show", workshop.manifests()[-1]["run_id"])
    assert f"warning: {FEW}" in shown
    size = (workshop.landing / "parcels" / "few.csv").stat().st_size
    assert volumes(workshop.manifests()[-1]) == {"rows": 1, "bytes": size}
    # what raw holds already is not new when it is written again
    again = workshop.run("--force", "--select", "parcels")
    assert volumes(again) == {}


@pytest.mark.long
def test_a_scheduled_run_that_reads_more_than_expected_is_not_published(workshop: Workshop) -> None:
    workshop.write(CONTRACT, workshop.read(CONTRACT) + BOUNDS)
    workshop.run("--target", "ci")
    before = workshop.published("ci")
    workshop.land("many.csv", [f"p9{n},north,2024-05-09,1.5" for n in range(4)])
    # files that landed without a run count in the run that reads them
    workshop.answer("land", "--target", "ci")
    for _ in range(2):
        failed = workshop.run("--target", "ci", code=1)
        assert failed["outcome"] == "failed"
        assert failed["reason"].startswith(
            "Feed parcels brought 4 rows in 1 file, and inputRowsPerRun of parcels.odcs.yaml expects at most 3: ask the producer"
        )
        assert volumes(failed)["rows"] == 4
    assert workshop.published("ci") == before
    workshop.edit(CONTRACT, "max: 3", "max: 4")
    assert workshop.run("--target", "ci")["outcome"] == "published"


@pytest.mark.long
def test_a_retry_tells_what_the_run_before_it_read(workshop: Workshop) -> None:
    workshop.write(CONTRACT, workshop.read(CONTRACT) + BOUNDS)
    workshop.run()
    good = workshop.read(MODEL)
    workshop.write(MODEL, "select error('broken') as depot")
    workshop.land("few.csv", ["p91,north,2024-05-09,1.5"])
    workshop.dbt("build", code=1)
    assert volumes(workshop.manifests()[-1])["rows"] == 1
    workshop.write(MODEL, good)
    # raw, which the retry takes over, does not hold it
    workshop.land("later.csv", ["p92,north,2024-05-09,1.5", "p93,north,2024-05-09,1.5"])
    assert f"warning: {FEW}" in workshop.dbt("retry")
    assert volumes(workshop.manifests()[-1])["rows"] == 1
    assert volumes(workshop.run())["rows"] == 2
