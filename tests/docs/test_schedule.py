"""What the page on schedulers has its reader write is understood by them, and its script does what the page says."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from pathlib import Path

    from tests.docs.conftest import Page

PAGE = "docs/how-to/schedule-it.md"
RUN = "run --target staging --wait 3600\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder in which ``slipway`` ends with the codes of a file, and ``mail`` and ``sleep`` write down their arguments."""
    for name, text in {
        ".venv/bin/slipway": 'echo "$@" >> runs; code=$(head -n 1 codes); sed -i 1d codes; exit "$code"',
        "bin/mail": 'echo "$@" >> "${0%/bin/mail}/mails"; cat >> "${0%/bin/mail}/mails"',
        "bin/sleep": 'echo "$@" >> "${0%/bin/sleep}/pauses"',
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("codes", "pauses", "mail"),
    [
        ([0], [], ""),
        ([1], [], "data-team@example.org\nnothing was published: slipway show latest --target staging"),
        ([6], [], "operations@example.org\nneeds repair: slipway doctor --target staging"),
        ([70], [], "operations@example.org\ndid not run: see its log"),
        ([5, 4, 0], [300, 900], ""),
        ([4, 1], [300], "data-team@example.org\nnothing was published: slipway show latest --target staging"),
        ([4, 5, 5], [300, 900, 0], "operations@example.org\ndid not run: see its log"),
        ([143], [], ""),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, list) and value else "",
)
def test_the_script(
    pages: dict[str, Page], project: Path, codes: list[int], pauses: list[int], mail: str
) -> None:
    script = pages[PAGE].block("bash", "scheduled.sh TARGET").replace("/srv/shop", str(project))
    (project / "codes").write_text("".join(f"{code}\n" for code in codes), encoding="utf-8")
    path = f"{project}/bin:/usr/bin:/bin"
    done = subprocess.run(["bash", "-c", script, "scheduled.sh", "staging"], env={"PATH": path}, check=False)
    assert done.returncode == codes[-1]

    def written(name: str) -> str:
        return (project / name).read_text(encoding="utf-8") if (project / name).exists() else ""

    assert written("runs") == RUN * len(codes)
    assert [int(line) for line in written("pauses").split()] == pauses
    subject = f"--subject slipway run of staging ended with {codes[-1]} "
    assert written("mails") == (f"{subject}{mail}\n" if mail else "")


def test_codes_that_are_tried_again(pages: dict[str, Page]) -> None:
    """The table, the script, the unit and the workflow agree, and the table knows every code."""
    rows = pages[PAGE].rows("code", "it means", "try again?", "inform")
    codes = {int(code): row[2].startswith("yes") for row in rows for code in row[0].split(", ")}
    again = {code for code, yes in codes.items() if yes and code < 100}
    unit = pages[PAGE].block("ini", "RestartPreventExitStatus")
    assert again == {4, 5}
    assert (
        f"RestartPreventExitStatus={' '.join(str(c) for c in codes if 0 < c < 100 and c not in again)}"
        in unit
    )
    assert "4 | 5) sleep" in pages[PAGE].block("bash", "scheduled.sh TARGET")
    assert "case $code in 4 | 5) sleep" in pages[PAGE].block("yaml", "Scheduled run")
    known = pages["docs/reference/exit-codes.md"].rows("code", "error", "when")
    assert {int(code) for row in known for code in row[0].split(", ")} - {130} == set(codes)


def test_systemd_takes_the_units(pages: dict[str, Page], project: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    units = [block.text for block in pages[PAGE].blocks if block.language == "ini"]
    for name, text in zip(("slipway.service", "slipway.timer", "slipway-alert.service"), units, strict=True):
        (project / name).write_text(text.replace("/srv/shop", str(project)), encoding="utf-8")
    names = ["slipway.service", "slipway.timer", "slipway-alert.service"]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_workflow_has_what_a_schedule_needs(pages: dict[str, Page]) -> None:
    workflow = yaml.safe_load(pages[PAGE].block("yaml", "Scheduled run"))
    (when,) = workflow[True]["schedule"]  # YAML 1.1 reads the key `on` as true
    assert len(when["cron"].split()) == 5
    assert workflow["concurrency"]["cancel-in-progress"] is False
    assert all({"uses", "run"} & step.keys() for step in workflow["jobs"]["run"]["steps"])
