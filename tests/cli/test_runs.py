"""``slipway runs`` and ``slipway releases``."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.cli.conftest import World


def listed(world: World, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(world.answer(*arguments, "--output", "json"))
    return found


def test_runs_are_listed_newest_first(world: World) -> None:
    runs = listed(world, "runs")
    names = ("killed", "failed", "second", "same", "first")  # the slice is not a run of this environment
    assert [run["run_id"] for run in runs] == [world.runs[name] for name in names]
    outcomes = {name: (run["outcome"], run["release"]) for name, run in zip(names, runs, strict=True)}
    assert outcomes == {
        "killed": ("incomplete", None),
        "failed": ("failed", None),
        "second": ("published", 2),
        "same": ("unchanged", None),
        "first": ("published", 1),
    }
    assert [run["run_id"] for run in listed(world, "runs", "--limit", "2")] == [
        run["run_id"] for run in runs[:2]
    ]


def test_runs_count_tables_and_tests(world: World) -> None:
    runs = {run["run_id"]: run for run in listed(world, "runs")}

    def tables(name: str) -> tuple[int, int]:
        run = runs[world.runs[name]]
        return run["tables_built"], run["tables_unchanged"]

    def tests(name: str) -> tuple[int, ...]:
        run = runs[world.runs[name]]
        return tuple(run[f"tests_{how}"] for how in ("passed", "warned", "failed", "carried", "not_run"))

    # raw, reference, curated, quarantine and serving; two unique, one not_null and one singular test
    assert (tables("first"), tests("first")) == ((5, 0), (4, 0, 0, 0, 0))
    assert (tables("same"), tests("same")) == ((0, 5), (0, 0, 0, 4, 0))
    # the new file has no bad row, so quarantine is as it was; its tests depend on what was built
    assert (tables("second"), tests("second")) == ((3, 2), (4, 0, 0, 0, 0))
    # depot_weights comes after the test that fails, so neither it nor its test is run
    assert (tables("failed"), tests("failed")) == ((2, 2), (2, 0, 1, 0, 1))
    assert runs[world.runs["killed"]]["seconds"] is None
    assert runs[world.runs["failed"]]["reason"] == "1 of 9 nodes failed: weights_are_positive"


def test_runs_as_text_give_way_on_a_narrow_terminal(world: World) -> None:
    wide, narrow = world.answer("runs", COLUMNS="140"), world.answer("runs", COLUMNS="80")
    assert wide.splitlines()[0].split() == [
        *("run", "started", "(UTC)", "outcome", "release", "built", "same"),
        *("pass", "warn", "fail", "carried", "seconds", "commit"),
    ]
    assert max(map(len, narrow.splitlines())) <= 80
    assert narrow.splitlines()[0].split() == [
        "run",
        "outcome",
        "release",
        "built",
        "same",
        "pass",
        "fail",
        "commit",
    ]
    assert narrow.splitlines()[5].split() == [
        world.runs["first"],
        "published",
        "1",
        "5",
        "0",
        "4",
        "0",
        "none",
    ]
    # no terminal, no limit
    assert world.answer("runs") == wide


def test_releases_say_what_changed_and_what_readers_may_rely_on(world: World) -> None:
    second, first = listed(world, "releases")
    assert (first["number"], first["run_id"], first["tables"]) == (1, world.runs["first"], 5)
    assert (second["number"], second["run_id"], second["tables"]) == (2, world.runs["second"], 5)
    assert len(first["changed"]) == 5
    assert {"raw.parcels", "curated.weights", "serving.depot_weights"} <= set(second["changed"])
    assert "reference.depots" not in second["changed"]
    assert first["guarantee"] == "all tables in one database transaction"
    assert datetime.fromisoformat(first["published_at"]) < datetime.fromisoformat(second["published_at"])

    done = world.slipway("releases")
    assert [line.split()[0] for line in done.out.splitlines()] == ["release", "2", "1"]
    assert done.err == "The catalog guarantees: all tables in one database transaction\n"


def test_an_environment_without_runs_says_so(empty: World) -> None:
    for command, message in (
        ("runs", "There is no run yet. Start one with slipway run.\n"),
        ("releases", "There is no release yet. Publish one with slipway run.\n"),
    ):
        done = empty.slipway(command)
        assert (done.code, done.out, done.err) == (0, "", message)
        assert listed(empty, command) == []
    assert not empty.home.exists()


def test_a_manifest_that_cannot_be_read_does_not_hide_the_others(empty: World) -> None:
    runs = empty.warehouse() / "_slipway" / "runs" / "2024-05-01"
    for run_id, text in {
        "20240501T000000Z-aaaaaaaa": '{"schema_version": 999}',
        "20240501T010000Z-bbbbbbbb": "{",
    }.items():
        (runs / run_id).mkdir(parents=True)
        (runs / run_id / "run_manifest.json").write_text(text, encoding="utf-8")
    newer, older = listed(empty, "runs")
    assert (newer["outcome"], older["outcome"]) == ("unreadable", "unreadable")
    assert "has schema version 999" in older["reason"]
    assert "has schema version 999" in empty.refusal("show", "aaaaaaaa", code=6)


def test_a_target_that_is_not_there_is_refused(world: World) -> None:
    line = world.refusal("runs", "--target", "moon", code=2)
    assert line.startswith("No target moon in profiles.yml. Use one of dev, ci, staging, prod")


def test_a_folder_without_a_project_is_refused(world: World) -> None:
    line = world.refusal("runs", code=3, DBT_PROJECT_DIR=str(world.home))
    assert line.startswith("No dbt project at ")
