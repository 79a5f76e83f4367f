"""Every symptom of the runbook is made, and the commands below it are run as printed; afterwards all is well.

The page speaks of the example; here its names stand for those of a small project.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.harness.projects import append

if TYPE_CHECKING:
    from tests.docs.conftest import Page
    from tests.harness.commands import Output
    from tests.harness.projects import Workshop

RUNBOOK = "docs/how-to/runbook.md"
WEIGHTS = "serving.depot_weights"
NAMES = {
    "serving.daily_revenue": WEIGHTS,
    "revenue_date = '2011-08-05'": "depot = 'S'",
    "diff 41 42": "diff 1 2",
}
DAY_3, DAY_4, REPAIRED = (
    ("p6,S,2024-05-03,10.125",),
    ("p7,N,2024-05-04,-1",),
    ("p7,N,2024-05-04,1",),
)
KILOGRAMS = "17.875"


@pytest.fixture(scope="module")
def lived(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Two releases of one commit, as they were before every symptom."""
    workshop = new_workshop(tmp_path_factory.mktemp("lived"))
    workshop.keep_locally("prod")
    workshop.commit()
    workshop.run()
    workshop.land("day-3.csv", DAY_3)
    workshop.run()
    workshop.keep("home", "landing")
    return workshop


@pytest.fixture
def workshop(lived: Workshop) -> Workshop:
    lived.put_back()
    lived.settings.pop("DBT_TARGET", None)
    return lived


def nothing(_: Workshop) -> None:
    """The commands are for looking."""


def a_failed_run(workshop: Workshop) -> None:
    """Somebody repairs the file afterwards."""
    workshop.land("day-4.csv", DAY_4)
    assert workshop.run(code=1)["outcome"] == "failed"
    workshop.land("day-4.csv", REPAIRED)


def a_killed_run(workshop: Workshop) -> None:
    workshop.land("day-4.csv", REPAIRED)
    assert workshop.start("run", kill_before="slipway.dbt.session:conclude").wait().code is None


def another_run(workshop: Workshop) -> None:
    """A lease of a machine that is gone."""
    lease = workshop.lease()
    os.utime(lease, (time.time() - 600, time.time() - 600))
    workshop.land("day-4.csv", REPAIRED)


def a_table_that_moved(workshop: Workshop) -> None:
    """What another program appended, and what a run would be refused for that began before."""
    append(workshop, WEIGHTS)
    assert workshop.slipway("doctor").code == 6


def bad_files(workshop: Workshop) -> None:
    workshop.land("no-header.csv", ("p9,N",), header="parcel,depot")
    assert workshop.slipway("run").code == 0


def waiting_for_approval(workshop: Workshop) -> None:
    workshop.settings["DBT_TARGET"] = "prod"
    assert workshop.run()["outcome"] == "staged"


def damaged(workshop: Workshop) -> None:
    record = workshop.warehouse() / "_slipway" / "releases" / "000002.json"
    record.write_bytes(record.read_bytes()[:100])


def not_recorded(workshop: Workshop) -> None:
    workshop.land("day-4.csv", REPAIRED)
    killed = workshop.start("run", kill_before="slipway.records.store:Records.write_release").wait()
    assert killed.code is None


SYMPTOMS: dict[str, Callable[[Workshop], None]] = {
    "First": nothing,
    "A wrong number is published": nothing,
    "A run failed": a_failed_run,
    "A run was killed, or its machine died": a_killed_run,
    "A run waits for another, or is refused because of it": another_run,
    "A run is refused: a table moved (exit code 4)": a_table_that_moved,
    "Files were set aside, or rows quarantined": bad_files,
    "A run waits for approval": waiting_for_approval,
    "Disk or bucket fill up": nothing,
    "The catalog or the store cannot be reached (exit code 5)": not_recorded,
    "A record is damaged": damaged,
    "Does the code still give the published number?": nothing,
    "`Unexpected …` (exit code 70)": nothing,
    "What `slipway doctor` finds and repairs": nothing,
}


# whose commands other tests run, too
LONG = {name: [pytest.mark.long] for name in SYMPTOMS if name != "A record is damaged"}


def commands(section: Page) -> list[list[str]]:
    """The commands of a section, as they would be typed in the small project."""
    text = "".join(block.text for block in section.blocks)
    for name, here in NAMES.items():
        text = text.replace(name, here)
    return [shlex.split(line) for line in text.splitlines()]


def weight(workshop: Workshop) -> str:
    target = workshop.settings.get("DBT_TARGET", "dev")
    return str(sum(row["kg"] for row in workshop.table(WEIGHTS, target).scan().to_arrow().to_pylist()))


def test_every_section_has_its_symptom(pages: dict[str, Page]) -> None:
    titles = [line.removeprefix("## ") for line in pages[RUNBOOK].text.splitlines() if line.startswith("## ")]
    assert titles == list(SYMPTOMS)


@pytest.mark.parametrize("title", [pytest.param(name, marks=LONG.get(name, [])) for name in SYMPTOMS])
def test_commands_help(pages: dict[str, Page], workshop: Workshop, title: str) -> None:
    SYMPTOMS[title](workshop)
    for command in commands(pages[RUNBOOK].section(title)):
        done: Output = workshop.slipway(*command[1:])
        looks = command[:2] == ["slipway", "doctor"] and "--fix" not in command
        differs = command[:2] == ["slipway", "diff"]
        assert done.code in ((0, 6) if looks else (1,) if differs else (0,)), (command, done)
        if command[:2] == ["slipway", "rollback"]:
            assert weight(workshop) == (KILOGRAMS if "--dry-run" in command else "7.750")
    landed = (workshop.folder / "landing" / "parcels" / "day-4.csv").exists()
    assert weight(workshop) == ("18.875" if landed else KILOGRAMS)
    assert json.loads(workshop.slipway("doctor", "--deep", "--output", "json").out)["findings"] == []
