"""``slipway canary``: two versions of the code on the same inputs, built and compared."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.cli.conftest import World

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

WEIGHT_MODEL = "models/serving/depot_weights.sql"
FIRST_DAY = ("--vars", "{slice: {from: 2024-05-01, to: 2024-05-02}}")


@pytest.fixture(scope="module")
def released(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The project at a commit, published once in dev."""
    workshop = new_workshop(tmp_path_factory.mktemp("canary"))
    # a key is in the model's config, as tolerances and expected changes are
    workshop.edit(WEIGHT_MODEL, "select\n", "{{ config(compare_key=['depot']) }}\n\nselect\n")
    workshop.commit()
    workshop.run()
    return workshop


def canary(workshop: Workshop, *arguments: str, code: int) -> dict[str, Any]:
    """The report of a canary, which leaves no trace."""
    before = workshop.locations(), workshop.releases(), workshop.git("status", "--porcelain")
    done = workshop.slipway("canary", *arguments, "--output", "json")
    assert done.code == code, done
    assert (workshop.locations(), workshop.releases(), workshop.git("status", "--porcelain")) == before
    assert no_trace(workshop)
    report: dict[str, Any] = json.loads(done.out)
    assert report["passed"] is (code == 0)
    return report


def no_trace(workshop: Workshop) -> bool:
    trees = workshop.git("worktree", "list", "--porcelain").count("worktree ")
    return trees == 1 and not list(workshop.temporary.glob("slipway-*"))


def table(report: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in report["tables"] if item["name"] == name)
    return found


def verdicts(report: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["verdict"] for item in report["tables"]}


def test_a_changed_value_is_found_in_its_column_and_row(published: Workshop) -> None:
    base = published.git("rev-parse", "HEAD")
    # S has one parcel of 2 kg on the first day, N one of 1.5 kg: twice as much in one depot
    published.edit(WEIGHT_MODEL, "sum(kg) as kg", "sum(kg) * case when depot = 'S' then 2 else 1 end as kg")
    head = published.commit()
    report = canary(published, "--base", base, "--max-slowdown", "1000", *FIRST_DAY, code=1)
    assert (report["base"], report["head"]) == (base[:12], head[:12])
    assert report["costs"]["slowdowns"] == []
    measured = ("seconds", "cpu_seconds", "bytes_read", "bytes_written", "peak_memory_bytes")
    for side in ("base", "head"):
        assert all(report["costs"][side][name] > 0 for name in measured)
        for one in report["tables"]:
            # by one thread of dbt, so that each table has a time of its own
            assert None not in [one[side][name] for name in measured], one["name"]
        of_tables = sum(one[side]["cpu_seconds"] for one in report["tables"])
        assert 0 < of_tables < report["costs"][side]["cpu_seconds"]
    assert verdicts(report) == {
        "curated.weights": "identical",
        "quarantine.weights": "identical",
        "reference.depots": "identical",
        "serving.depot_weights": "different",
    }
    found = table(report, "serving.depot_weights")
    assert found["rows"] == {"added": 0, "removed": 0, "changed": 1, "within_tolerance": 0, "identical": 1}
    assert (found["base"]["rows"], found["head"]["rows"]) == (2, 2)
    assert (found["edited"], found["because_of"]) == (True, [])
    assert (found["coverage"]["method"], found["coverage"]["key"]) == ("key", ["depot"])
    column = next(item for item in found["columns"] if item["name"] == "kg")
    assert (column["compared"], column["matching"]) == (2, 1)
    assert (float(column["largest_absolute_change"]), float(column["largest_relative_change"])) == (2, 1)
    (example,) = column["examples"]
    assert (example["key"], float(example["base"]), float(example["head"])) == ({"depot": "S"}, 2, 4)
    assert "2024-05-01" in report["context"]["slice"]
    # the slice is of the first day; both days are published
    rows = {one["name"]: (one["base"]["rows"], one["coverage"]["whole_rows"]) for one in report["tables"]}
    assert rows["curated.weights"] == (2, published.table("curated.weights").scan().count())
    assert rows["serving.depot_weights"] == (2, 2)
    assert any("of curated.weights, which is covered least, 2 of " in one for one in report["remarks"])
    raw = published.table("raw.parcels").current_snapshot()
    assert raw is not None
    assert f"raw.parcels at snapshot {raw.snapshot_id}" in report["context"]["inputs"]


ALWAYS_FAILS = "tests/dbt/no_depot_has_parcels.sql"


def failing(report: dict[str, Any]) -> dict[str, str]:
    return {test["name"]: test["fails_on"] for test in report["tests"]["failing"]}


@pytest.mark.long
def test_failing_tests_do_not_end_the_comparison(published: Workshop) -> None:
    published.write(ALWAYS_FAILS, "select * from {{ ref('depot_weights') }} where parcels > 0")
    published.commit()
    # dbt builds no depot_weights after this test of weights has failed
    published.edit(
        "models/curated/weights.sql",
        "try_cast(kg as decimal(9, 3)) as kg",
        "-try_cast(kg as decimal(9, 3)) as kg",
    )
    report = canary(published, "--base", "HEAD", *FIRST_DAY, code=1)
    assert failing(report) == {"weights_are_positive": "head", "no_depot_has_parcels": "both"}
    # two on weights, one on depot_weights, and two in files
    assert [
        (report["tests"][side]["executed"], report["tests"][side]["failed"]) for side in ("base", "head")
    ] == [(5, 1), (5, 2)]
    weights = table(report, "serving.depot_weights")
    assert weights["rows"]["changed"] == 2
    assert weights["because_of"] == ["curated.weights"]
    assert weights["origins"] == "decided by column lineage"


@pytest.mark.long
def test_a_test_that_fails_on_both_sides_or_on_base_is_no_fault_of_the_change(published: Workshop) -> None:
    published.write(ALWAYS_FAILS, "select * from {{ ref('depot_weights') }} where parcels > 0")
    published.write("tests/dbt/no_weights.sql", "select * from {{ ref('weights') }}")
    published.commit()
    published.remove("tests/dbt/no_weights.sql")
    done = published.slipway("canary", "--base", "HEAD", *FIRST_DAY)
    assert done.code == 0, done
    assert "1 data test fails on both sides: no_depot_has_parcels" in done.out
    assert "1 data test fails on base only: no_weights" in done.out
    assert "Canary: passed" in done.out


@pytest.mark.long
def test_a_unit_test_that_fails_on_head_only(published: Workshop) -> None:
    """dbt would not build the model of a unit test that fails, nor run other tests of it."""
    published.write(
        "models/_unit_tests.yml",
        """
unit_tests:
  - name: sums_parcels
    model: depot_weights
    given:
      - input: ref('weights')
        rows: [{depot: N, kg: 2}, {depot: N, kg: 3}]
      - input: ref('depots')
        rows: [{depot: N, city: Narvik}]
    expect:
      rows: [{depot: N, kg: 5}]
""",
    )
    published.commit()
    published.edit(WEIGHT_MODEL, "sum(kg) as kg", "max(kg) as kg")
    report = canary(published, "--base", "HEAD", *FIRST_DAY, code=1)
    assert failing(report) == {"sums_parcels": "head"}
    assert report["tests"]["head"]["not_run"] == 0
    assert report["tests"]["head"]["executed"] == report["tests"]["base"]["executed"] == 5
    done = published.slipway("canary", "--base", "HEAD", *FIRST_DAY, "--output", "markdown")
    assert "1 unit test fails on head only: sums\\_parcels" in done.out


@pytest.mark.long
def test_with_what_is_published(published: Workshop) -> None:
    published.edit(WEIGHT_MODEL, "sum(kg) as kg", "sum(kg) * case when depot = 'S' then 2 else 1 end as kg")
    report = canary(published, "--base", "published", code=1)
    assert report["base"] == "release 1 of dev"
    assert verdicts(report) == {
        "curated.weights": "identical",
        "quarantine.weights": "identical",
        "reference.depots": "identical",
        "serving.depot_weights": "different",
    }
    found = table(report, "serving.depot_weights")
    assert (found["edited"], found["rows"]["changed"]) == (True, 1)
    # nothing is built for base, whose tests passed before it was published
    assert report["tests"]["base"] is None
    assert report["tests"]["head"]["executed"] == 4


@pytest.mark.long
def test_a_declaration_covers_what_follows_from_it(published: Workshop) -> None:
    rows = published.read("models/curated/weights.sql").replace("try_cast(kg as", "2 * try_cast(kg as")
    declared = "{{ config(compare_expected=[{'reason': 'both scales', 'propagates': %s}]) }}\n\n"
    for propagates, passed in (("false", False), ("true", True)):
        published.write("models/curated/weights.sql", declared % propagates + rows)
        report = canary(published, "--base", "HEAD", code=int(not passed))
        found = {table["name"]: table for table in report["tables"]}
        assert found["curated.weights"]["verdict"] == "explained"
        below = found["serving.depot_weights"]
        assert below["because_of"] == ["curated.weights"]
        assert below["verdict"] == ("explained" if passed else "different")
    (reason,) = {one["explained_by"] for one in below["differences"]}
    assert reason == "follows from curated.weights: both scales"


@pytest.mark.long
def test_published_tables_of_other_inputs_are_no_base(built: Workshop) -> None:
    """What differs would be the other rows, and not the change."""
    built.commit()
    built.land("day-3.csv", ("p6,S,2024-05-03,10",))
    before = built.table("raw.parcels").current_snapshot()
    built.run("--select", "parcels_raw")
    assert before is not None
    message = built.refusal("canary", "--base", "published", code=1)
    assert message.startswith(
        "What dev shows cannot be the base: curated.weights was built from raw.parcels at snapshot"
    )
    assert (
        f"at snapshot {before.snapshot_id}, which is not the published one any more; and so it is for 2 more tables"
        in message
    )
    with built.catalog() as catalog:  # what another program may do
        catalog.drop_table("curated.weights")
    message = built.refusal("canary", "--base", "published", code=1)
    assert "cannot be the base: the catalog does not have curated.weights any more" in message


@pytest.mark.long
def test_published_tables_of_the_same_inputs_are_a_base_next_to_others(built: Workshop) -> None:
    built.commit()
    built.land("day-3.csv", ("p6,S,2024-05-03,10",))
    built.run("--select", "parcels_raw")
    # this one was built from a file of the project
    report = canary(built, "--base", "published", "--select", "depots", code=0)
    assert verdicts(report) == {"reference.depots": "identical"}
    weights = ("--base", "published", "--select", "weights")
    assert "cannot be the base" in built.refusal("canary", *weights, code=1)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("--max-slowdown", "2"),
            2,
            "--max-slowdown cannot be used with --base published: nothing but head is built",
        ),
        (FIRST_DAY, 2, "A slice cannot be compared with what is published"),
        (
            ("--vars", "{as_of: 2024-05-01}"),
            1,
            'built it with no --vars, and this canary has --vars \'{"as_of": "2024-05-01"}\'',
        ),
    ],
    ids=["a bound of time", "a slice", "other variables"],
)
def test_what_is_published_is_no_base_for(
    published: Workshop, arguments: tuple[str, ...], code: int, message: str
) -> None:
    assert message in published.refusal("canary", "--base", "published", *arguments, code=code)


@pytest.mark.long
def test_with_what_is_published_and_compacted_and_of_a_removed_model(built: Workshop) -> None:
    built.commit()
    small_files = "alias='parcels', table_properties={'write.target-file-size-bytes': '4000'}"
    built.edit("models/raw/parcels_raw.sql", "alias='parcels'", small_files)
    built.land("day-3.csv", ("p6,S,2024-05-03,10",))
    built.run()
    of_run = built.locations()["raw.parcels"]
    built.slipway("maintain")
    assert built.locations()["raw.parcels"] != of_run
    assert set(verdicts(canary(built, "--base", "published", code=0)).values()) == {"identical"}
    built.remove(WEIGHT_MODEL)
    built.edit(
        "models/_models.yml",
        "  - name: depot_weights\n    columns:\n      - name: depot\n        data_tests: [unique]\n",
        "",
    )
    report = canary(built, "--base", "published", code=1)
    assert table(report, "serving.depot_weights")["differences"][0]["kind"] == "table_removed"
    # a selection says nothing about the other tables
    canary(built, "--base", "published", "--select", "weights", code=0)


@pytest.mark.parametrize("factor", ["0.99", "0", "-1", "nan", "inf", "twice", ""])
def test_no_bound_of_time(published: Workshop, factor: str) -> None:
    done = World.of(published).slipway("canary", "--max-slowdown", factor)
    assert (done.code, done.out) == (2, "")
    assert "Invalid value for '--max-slowdown'" in done.err


@pytest.mark.long
def test_a_head_that_takes_longer(published: Workshop) -> None:
    """The slow model takes seconds of processor time, whatever else runs, and gives what it gave."""
    base = published.commit()
    slow = "(select sum(hash(a.range, b.range)) * 0 from range(20000) as a, range(20000) as b)"
    published.edit(WEIGHT_MODEL, "sum(kg) as kg", f"sum(kg) + {slow} as kg")
    without = canary(published, "--base", base, *FIRST_DAY, code=0)
    assert without["costs"]["slowdowns"] == []
    report = canary(published, "--base", base, "--max-slowdown", "1.5", *FIRST_DAY, code=1)
    found = {one["name"]: one for one in report["costs"]["slowdowns"]}
    assert found.keys() == {"serving.depot_weights", "all"}
    assert found["all"]["measure"] == "processor time"
    assert found["all"]["head"] > found["all"]["base"] + 1
    done = published.slipway("canary", "--base", base, "--max-slowdown", "1.5", *FIRST_DAY)
    assert "failed, slower than 1.5 times base: serving.depot_weights: " in done.out.splitlines()[0]
    assert "times as much processor time" in done.out.splitlines()[0]


@pytest.mark.long
def test_the_same_code_is_identical(published: Workshop, tmp_path: Path) -> None:
    published.commit()
    folder = tmp_path / "reports"
    done = published.slipway("canary", "--base", "HEAD", "--output-dir", str(folder), "--output", "markdown")
    assert done.code == 0, done
    assert (folder / "canary.md").read_text(encoding="utf-8").strip() == done.out.strip()
    report = json.loads((folder / "canary.json").read_text(encoding="utf-8"))
    assert set(verdicts(report).values()) == {"identical"}
    # without a slice it is the whole input
    assert table(report, "curated.weights")["head"]["rows"] == 4
    assert no_trace(published)


@pytest.mark.long
def test_uncommitted_changes_are_part_of_the_head_and_may_be_declared(published: Workshop) -> None:
    published.edit(WEIGHT_MODEL, "sum(kg) as kg", "sum(kg) + 0.001 as kg")
    published.write("seeds/reference/depots.csv", "depot,city\nN,Narvik\nS,Siena\nW,Wells\n")
    published.edit(
        WEIGHT_MODEL,
        "compare_key=['depot']",
        "compare_key=['depot'], compare_tolerance={'kg': {'absolute': 0.01}}",
    )
    published.write(
        "seeds/reference/_seeds.yml",
        "seeds:\n  - name: depots\n    config:\n      compare_expected: [{rows: [added], reason: a depot opens}]\n",
    )
    declared = canary(published, *FIRST_DAY, code=0)
    assert declared["head"].endswith("with uncommitted changes")
    assert table(declared, "reference.depots")["rows"]["added"] == 1
    assert verdicts(declared)["serving.depot_weights"] == "within_tolerance"
    assert verdicts(declared)["reference.depots"] == "explained"
    assert table(declared, "serving.depot_weights")["rows"]["within_tolerance"] == 2


@pytest.mark.long
def test_added_and_removed_models_are_differences(published: Workshop) -> None:
    published.write("models/serving/cities.sql", "select city from {{ ref('depots') }}")
    (published.path / WEIGHT_MODEL).unlink()
    published.edit(
        "models/_models.yml",
        "  - name: depot_weights\n    columns:\n      - name: depot\n        data_tests: [unique]\n",
        "",
    )
    report = canary(published, *FIRST_DAY, code=1)
    added, removed = table(report, "serving.cities"), table(report, "serving.depot_weights")
    assert (added["base"]["exists"], added["head"]["exists"]) == (False, True)
    assert (removed["base"]["exists"], removed["head"]["exists"]) == (True, False)
    assert (added["verdict"], removed["verdict"]) == ("different", "different")
    for selected, exists in (
        ("cities", (False, True)),
        ("depot_weights", (True, False)),
    ):  # in only one version
        report = canary(published, "--select", selected, "--max-slowdown", "2", code=1)
        assert "No table is in both versions, so --max-slowdown was not judged" in report["remarks"]
        found = table(report, f"serving.{selected}")
        assert (found["base"]["exists"], found["head"]["exists"]) == exists
    assert "Nothing to do" in published.refusal("canary", "--select", "nothing", code=1)


@pytest.mark.long
def test_only_what_is_selected(published: Workshop) -> None:
    report = canary(published, "--base", "HEAD", "--select", "depots", code=0)
    assert verdicts(report) == {"reference.depots": "identical"}


@pytest.mark.parametrize("side", ["head", "base"])
@pytest.mark.long
def test_a_version_that_does_not_build(published: Workshop, side: str) -> None:
    good = (published.path / WEIGHT_MODEL).read_text(encoding="utf-8")
    bad = "select error('the scales are broken') as depot"
    published.write(WEIGHT_MODEL, bad if side == "base" else good)
    published.commit()
    published.write(WEIGHT_MODEL, good if side == "base" else bad)
    message = published.refusal("canary", "--base", "HEAD", code=1)
    assert message.startswith(f"{side} does not build: ")
    assert "the scales are broken" in message
    assert no_trace(published)


@pytest.mark.long
def test_a_change_of_an_input_is_not_compared_and_that_is_reported(published: Workshop) -> None:
    published.write(
        "models/raw/parcels_raw.sql",
        (published.path / "models/raw/parcels_raw.sql").read_text() + "\nlimit 1\n",
    )
    report = canary(published, code=0)
    assert report["remarks"] == ["Not rebuilt, although its code differs: raw.parcels, an input"]


@pytest.mark.long
def test_an_empty_slice(published: Workshop) -> None:
    message = published.refusal("canary", "--base", "HEAD", "--vars", "{slice: {from: 2030-01-01}}", code=1)
    assert "holds no row" in message
    assert no_trace(published)


@pytest.mark.long
def test_the_scratch_environments_may_be_kept(published: Workshop) -> None:
    done = published.slipway("canary", "--base", "HEAD", "--select", "depots", "--keep")
    assert done.code == 0, done
    (folder,) = published.temporary.glob("slipway-canary-*")
    assert str(folder) in done.err
    assert {path.name for path in folder.iterdir() if path.is_dir()} >= {"base", "head"}
    # the work tree goes all the same
    assert not (folder / "code").exists()
    shutil.rmtree(folder)
    assert published.git("worktree", "list", "--porcelain").count("worktree ") == 1


def test_nothing_is_published(workshop: Workshop) -> None:
    assert workshop.refusal("canary", code=3).startswith("No input is published in dev")
    assert workshop.refusal("canary", "--base", "published", code=3).startswith(
        "dev has no release to compare with"
    )
    assert not list(workshop.temporary.iterdir())


def test_there_is_no_base(built: Workshop) -> None:
    assert "not a git repository" in built.refusal("canary", code=3)
    built.commit()
    assert built.refusal("canary", "--base", "nowhere", code=3).startswith("No commit nowhere")
    assert "No commit" in built.refusal("canary", code=3)  # there is one commit, and nothing changed since
    assert not list(built.temporary.iterdir())


def test_a_verdict_that_proves_nothing_is_not_recorded(published: Workshop) -> None:
    commit = published.git("rev-parse", "HEAD")[:12]
    for base in ("HEAD", "published"):
        refused = published.refusal("canary", "--record", "--base", base, code=2)
        assert refused.startswith(f"The verdict of a canary that compares commit {commit} with itself is not")
    refused = published.refusal("canary", "--record", "--select", "depot_weights", code=2)
    assert refused.startswith("--record and --select do not go together")
    assert not (published.warehouse() / "_slipway/comparisons").exists()


@pytest.mark.long
@pytest.mark.parametrize("to", ["everyone", "only the command"])
def test_interrupted(published: Workshop, to: str) -> None:
    """Ctrl-C in a terminal reaches the two builds, too; a signal from elsewhere does not."""
    published.write(
        WEIGHT_MODEL,
        "{{ config(compare_key=['depot']) }} "
        "select 'N' as depot, sum(hash(a.range, b.range)) as kg from range(1000000) as a, range(1000000) as b",
    )
    command = [sys.executable, "-m", "slipway.cli.main", "canary", "--base", "HEAD"]
    running = subprocess.Popen(
        command,
        cwd=published.path,
        env=published.env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        for _ in range(1200):
            if list(published.temporary.glob("slipway-canary-*/head/warehouse/curated/*/metadata")):
                break
            time.sleep(0.05)
        began = time.monotonic()
        if to == "everyone":
            os.killpg(running.pid, signal.SIGINT)
        else:
            os.kill(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
    assert time.monotonic() - began < 30
    assert (running.returncode, out) == (130, ""), err
    assert err.splitlines()[-1] == "slipway: Interrupted. Nothing was published."
    assert no_trace(published)
