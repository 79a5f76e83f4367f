"""``slipway run --shadow`` and ``slipway runs --shadow``: head next to production, and a record of how it compares."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.cli.conftest import World

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.projects import Workshop

WEIGHT_MODEL = "models/serving/depot_weights.sql"
SHADOW = ("run", "--shadow")


def kept(workshop: Workshop) -> list[dict[str, Any]]:
    """Records of shadow runs, oldest first."""
    folder = workshop.warehouse() / "_slipway" / "shadows"
    return [json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))]


def state(workshop: Workshop) -> tuple[object, ...]:
    """Everything that readers, later runs and promotions look at."""
    root = workshop.warehouse() / "_slipway"
    own = {
        path for path in root.rglob("*") if path.is_file() and "shadows" not in path.relative_to(root).parts
    }
    return workshop.locations(), own, workshop.ledger()


def test_a_shadow_run_is_recorded_and_not_published(built: Workshop) -> None:
    built.commit()
    built.land("day-3.csv", ("p6,S,2024-05-03,10",))  # for the next run, not for this one
    built.edit(WEIGHT_MODEL, "sum(kg) as kg", "sum(kg) * case when depot = 'S' then 2 else 1 end as kg")
    head = built.commit()
    before = state(built)
    done = built.slipway(*SHADOW)
    assert done.code == 1, done
    assert done.out.startswith(
        "Shadow run: failed, 1 table differs, 0 declared; 4 tables (1 different, 3 identical)"
    )
    assert state(built) == before
    assert not list(built.temporary.glob("slipway-*"))
    (record,) = kept(built)
    assert f"recorded as shadow run {record['shadow_id']}; nothing was published" in done.err
    assert (record["outcome"], record["release"], record["code"]["commit"]) == ("failed", 1, head)
    assert record["verdicts"] == {
        "curated.weights": "identical",
        "quarantine.weights": "identical",
        "reference.depots": "identical",
        "serving.depot_weights": "different",
    }
    world = World.of(built)
    listed = world.answer("runs", "--shadow")
    assert record["shadow_id"] in listed
    assert listed.splitlines()[-1] == "1 shadow run on 1 day: 1 failed. The newest did not pass."
    assert json.loads(world.answer("runs", "--shadow", "-o", "json")) == [record]
    assert record["shadow_id"] not in world.answer("runs")
    assert "There is no run" in world.refusal("show", record["shadow_id"], code=3)


@pytest.mark.parametrize(
    ("option", "code", "message"),
    [
        (("--force",), 2, "--force does not go with --shadow"),
        (("--exclude", "depots"), 2, "--exclude does not go with --shadow"),
        (("--full-refresh",), 2, "--full-refresh does not go with --shadow"),
        (("--threads", "2"), 2, "--threads does not go with --shadow"),
        (("--wait", "0"), 2, "--wait does not go with --shadow"),
        (
            ("--event-time-start", "2024-05-01", "--event-time-end", "2024-05-02"),
            2,
            "--event-time-start does not go with --shadow",
        ),
        (("--vars", "{slice: {from: 2024-05-01}}"), 2, "A slice cannot be compared with what is published"),
        (("--vars", "{as_of: 2024-05-01}"), 1, "What dev shows cannot be the base"),
        (("--vars", "{api_key: x}"), 2, "The value of var api_key seems to be a secret"),
    ],
    ids=[
        "force",
        "exclude",
        "full refresh",
        "threads",
        "wait",
        "window",
        "slice",
        "other variables",
        "secret",
    ],
)
def test_what_does_not_go_with_a_shadow_run(
    built: Workshop, option: tuple[str, ...], code: int, message: str
) -> None:
    done = World.of(built).slipway(*SHADOW, *option)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert kept(built) == []


def test_a_shadow_run_needs_a_release(empty: World) -> None:
    assert empty.refusal(*SHADOW, code=3).startswith("dev has no release to compare with")
    assert "There is no shadow run yet" in empty.slipway("runs", "--shadow").err


@pytest.mark.long
def test_a_trial_of_several_days(built: Workshop) -> None:
    """A change that passes, one that does not build, and a day on which production is behind its own inputs."""
    good = built.commit()
    assert built.slipway(*SHADOW).code == 0
    built.edit(WEIGHT_MODEL, "sum(kg) as kg", "error('the scales are broken') as kg")
    built.commit()
    assert "the scales are broken" in built.refusal(*SHADOW, code=1)
    built.git("reset", "--quiet", "--hard", good)
    built.land("day-3.csv", ("p6,S,2024-05-03,10",))
    built.run("--select", "parcels_raw")
    assert "cannot be the base" in built.refusal(*SHADOW, code=1)
    built.run()
    assert built.slipway(*SHADOW).code == 0
    assert [(one["outcome"], one["release"]) for one in kept(built)] == [
        ("passed", 1),
        ("failed", 1),
        ("not compared", 2),
        ("passed", 3),
    ]
    assert "the scales are broken" in kept(built)[1]["reason"]
    assert "was built from raw.parcels at snapshot" in kept(built)[2]["reason"]
    listed = built.answer("runs", "--shadow", "--limit", "1")
    assert listed.count("passed") == 3  # the line of the last one, and the sentence
    assert "4 shadow runs on 1 day: 2 passed, 1 failed, 1 not compared. The newest passed" in listed


@pytest.mark.long
def test_a_shadow_run_that_is_killed_leaves_nothing_that_counts(built: Workshop) -> None:
    built.commit()
    before = state(built)
    for place in ("slipway.canary.compare_versions:compare_builds", "slipway.canary.shadow:keep_shadow_run"):
        built.killed(place, *SHADOW, program="slipway")
        assert state(built) == before
        assert kept(built) == []
    assert built.slipway(*SHADOW).code == 0
    assert [one["outcome"] for one in kept(built)] == ["passed"]
    built.answer("doctor", "--fix")
    assert not list(built.temporary.glob("slipway-*"))


@pytest.mark.long
def test_production_goes_on_during_a_shadow_run(built: Workshop) -> None:
    """It neither waits nor is waited for, and compares with the release that it began with."""
    built.commit()
    shadow = built.start(*SHADOW, stop_before="slipway.canary.compare_versions:compare_builds")
    shadow.stopped()
    built.land("day-3.csv", ("p6,S,2024-05-03,10",))
    assert built.run("--wait", "0")["release"] == 2
    done = shadow.resumed()
    assert done.code == 0, done
    assert [(one["outcome"], one["release"]) for one in kept(built)] == [("passed", 1)]


@pytest.mark.long
def test_maintenance_removes_old_results_and_damaged_ones_are_named(built: Workshop) -> None:
    built.commit()
    assert built.slipway(*SHADOW).code == 0
    folder = built.warehouse() / "_slipway" / "shadows"
    (newest,) = folder.iterdir()
    for name in ("20240101T000000Z-00000001", "20240102T000000Z-00000002"):
        _old(folder / f"{name}.json", json.loads(newest.read_bytes()) | {"shadow_id": name})
    _old(folder / "20240103T000000Z-00000003.json", {})
    done = built.slipway("runs", "--shadow")
    assert done.code == 6, done
    assert "20240103T000000Z-00000003.json" in done.err
    assert "3 shadow runs" in done.out
    built.answer("maintain")
    assert list(folder.iterdir()) == [newest]


def _old(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
    then = (datetime.now(UTC) - timedelta(days=100)).timestamp()
    os.utime(path, (then, then))
