"""Eight runs at once on one environment: disjoint ones all publish, overlapping ones go one after the other."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.commands import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.harness.commands import Output, Running
    from tests.harness.projects import Workshop

MANY = [pytest.param(3, id="three"), pytest.param(8, id="eight", marks=pytest.mark.long)]
# holds every run that comes to it until the file is there
WAITING_MODEL = """
import time
from pathlib import Path


def model(dbt, session):
    dbt.config(materialized="table")
    folder = Path("{folder}")
    (folder / "arrived").touch()
    while not (folder / "go").exists():
        time.sleep(0.01)
    return dbt.ref("depots").df()
"""


def start(workshop: Workshop, number: int, *argv: str, program: str = "slipway", **settings: str) -> Running:
    """Start a command with a target folder of its own, as two of dbt's at once need."""
    target = {
        "DBT_TARGET_PATH": f"{workshop.folder}/target-{number}",
        "DBT_LOG_PATH": f"{workshop.folder}/logs-{number}",
    }
    return workshop.start(*argv, program=program, **{**target, **settings})


def all_of(running: Sequence[Running]) -> list[Output]:
    return [command.wait(240) for command in running]


def leases(workshop: Workshop, target: str = "dev") -> list[Path]:
    return sorted((workshop.warehouse(target) / "_slipway" / "leases").glob("*.json"))


def add_parts(workshop: Workshop, many: int) -> None:
    for number in range(many):
        workshop.write(
            f"models/serving/part_{number}.sql",
            f"select {number} as part, count(*) as n from {{{{ ref('weights') }}}}\n",
        )


def consistent(releases: list[dict[str, Any]], published: dict[str, str]) -> list[dict[str, Any]]:
    """Releases in the order of publication, each of which shows what the one before showed but for its own tables."""
    releases = sorted(releases, key=lambda release: str(release["published_at"]))
    shown: dict[str, str] = {}
    for release in releases:
        now = {name: table["snapshot_id"] for name, table in release["tables"].items()}
        changed = {name for name, table in release["tables"].items() if table["changed"]}
        assert {name for name in now if now[name] != shown.get(name)} == changed, release["number"]
        assert shown.keys() <= now.keys()
        shown = now
    last = releases[-1]["tables"]
    assert {name: table["metadata_location"] for name, table in last.items()} == published
    return releases


def released(workshop: Workshop) -> list[dict[str, Any]]:
    return consistent(workshop.releases(), workshop.published())


@pytest.mark.long
@pytest.mark.parametrize("many", MANY)
def test_disjoint_runs_all_publish(built: Workshop, many: int) -> None:
    add_parts(built, many)
    running = [start(built, number, "run", "--select", f"part_{number}") for number in range(many)]
    done = all_of(running)
    assert [output.code for output in done] == [0] * many, done
    assert not any("waits for" in output.err for output in done)
    releases = released(built)
    assert len(releases) == many + 1
    for number in range(many):
        assert built.table(f"serving.part_{number}").scan().to_arrow().to_pylist() == [
            {"part": number, "n": 4}
        ]
    assert leases(built) == []


@pytest.mark.long
@pytest.mark.parametrize("many", MANY)
def test_the_same_run_at_once_serializes(workshop: Workshop, many: int) -> None:
    """From nothing: catalog, namespaces and ledger are made at once, too."""
    done = all_of([start(workshop, number, "run") for number in range(many)])
    assert [output.code for output in done] == [0] * many, done
    assert len(released(workshop)) == 1
    outcomes = sorted(run["outcome"] for run in workshop.manifests())
    assert outcomes == ["published", *["unchanged"] * (many - 1)]
    assert workshop.table("raw.parcels").scan().to_arrow().num_rows == 5
    ledger = workshop.table("ops.landed_files").scan().to_arrow().to_pylist()
    assert sorted((entry["path"], entry["verdict"]) for entry in ledger) == [
        ("parcels/day-1.csv", "accepted"),
        ("parcels/day-2.csv", "accepted"),
    ]
    assert leases(workshop) == []


def hold(workshop: Workshop) -> Path:
    """Give the project a model that holds every run that comes to it; returns the folder to look in."""
    workshop.write("models/serving/held.py", WAITING_MODEL.format(folder=workshop.folder))
    return workshop.folder


def printed(running: Running, text: str) -> str:
    """Wait until a command that runs has said something."""
    for _ in range(3000):
        answer = running.printed()
        if text in answer:
            return answer
        time.sleep(0.01)
    raise TimeoutError(running.printed())


@pytest.mark.long
def test_a_run_waits_or_is_refused_while_another_is_on_its_tables(built: Workshop) -> None:
    folder = hold(built)
    first = start(built, 1, "run", "--select", "held")
    wait_for(folder / "arrived")
    message = built.refusal("run", "--select", "held", "depots", "--wait", "0", code=4)
    (run,) = leases(built)
    assert re.fullmatch(
        rf"A run in dev is refused: serving\.held is taken by run {run.stem} of \S+ on {socket.gethostname()}"
        rf" \(process {first.pid}\), since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC\."
        r" Wait longer with --wait or SLIPWAY_WAIT, or end that run\.",
        message,
    )
    assert "serving.held is taken" in built.refusal("run", "--select", "held", code=4, SLIPWAY_WAIT="0")
    assert "it is no number of seconds" in built.refusal("run", code=2, SLIPWAY_WAIT="long")
    assert built.run("--select", "depots", "--force")["outcome"] == "published"  # at the same time
    sliced = built.run(
        "--vars", "{slice: {from: 2024-05-01, to: 2024-05-02}}", "--exclude", "held", "--wait", "0"
    )
    assert sliced["outcome"] == "published"

    second = start(built, 2, "build", "--select", "held", program="dbt")
    assert f"waits for run {run.stem} of" in printed(second, "waits for")
    third = start(built, 3, "run")
    printed(third, "waits for")
    os.kill(third.pid, signal.SIGINT)
    assert third.wait().code == 130
    assert len(leases(built)) == 2
    (folder / "go").touch()
    one, two = all_of([first, second])
    assert (one.code, two.code) == (0, 0), (one, two)
    assert "nothing changed" in two.out
    assert leases(built) == []
    assert "serving.held" in released(built)[-1]["tables"]


@pytest.mark.long
def test_whoever_ends_lets_others_go_on(built: Workshop) -> None:
    folder = hold(built)
    for end, code in ((signal.SIGKILL, None), (signal.SIGINT, 130)):
        first = start(built, 1, "run", "--select", "held", "--force")
        wait_for(folder / "arrived")
        second = start(built, 2, "run", "--select", "depots", "held", "--force")
        printed(second, "waits for")
        os.kill(first.pid, end)
        (folder / "go").touch()  # dbt waits for its models also when it is interrupted
        assert first.wait().code == code
        assert second.wait().code == 0
        assert leases(built) == []
        for name in ("arrived", "go"):
            (folder / name).unlink()
    built.write("models/serving/held.py", "def model(dbt, session):\n    raise ValueError\n")
    assert built.slipway("run", "--select", "held").code == 1
    assert leases(built) == []


@pytest.mark.long
def test_a_paused_run_whose_lease_was_taken_does_no_harm(built: Workshop) -> None:
    built.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    folder = hold(built)
    first = start(built, 1, "run", "--exclude", "depots")
    wait_for(folder / "arrived")
    os.kill(first.pid, signal.SIGSTOP)
    (lease,) = leases(built)
    os.utime(lease, (time.time() - 3600,) * 2)  # as after an hour in which it was not renewed
    (folder / "go").touch()
    done = start(built, 2, "run", "--exclude", "depots", "--wait", "0").wait()
    assert done.code == 0, done.err
    before = built.published()
    os.kill(first.pid, signal.SIGCONT)
    woken = first.wait()
    assert woken.code == 4, woken
    assert re.search(
        r"Nothing was published: \S+ moved: its current snapshot is now \d+, not of this run", woken.err
    )
    assert built.published() == before
    assert built.table("raw.parcels").scan().to_arrow().num_rows == 6
    released(built)
    assert leases(built) == []
