"""``slipway feed add`` in a project of other origin: odd names come through, later rows that do not fit go to quarantine, no row is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.harness.commands import ROOT
from tests.harness.newcomer import Newcomer

if TYPE_CHECKING:
    from tests.harness.commands import Commands

BAKERY = Path(__file__).parent / "bakery"
HEADER = 'order,Größe (cm),a,a,,"say ""x""",reason,preis'


@pytest.mark.long
def test_files_with_odd_names_are_a_feed_at_once(commands: Commands, tmp_path: Path) -> None:
    newcomer = Newcomer(commands, tmp_path)
    folder = Path(shutil.copytree(BAKERY, newcomer.folder / "bakery"))
    newcomer.types("slipway init", folder)
    sample = newcomer.folder / "odd files" / "odd 1.csv"
    sample.parent.mkdir()
    lines = [f'{n},{n * 3},x{n},y{n},z{n},"q, {n}",why {n},{n}.{n:02}' for n in range(1, 31)]
    sample.write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    command = "slipway feed add 'odd files' --name odd --target lake --project-dir bakery"
    assert "Nothing was written" in newcomer.types(f"{command} --dry-run").err
    assert {path for path in folder.rglob("*") if path.is_file()} == set(before)
    said = json.loads(newcomer.types(f"{command} --copy --output json").out)
    assert (said["rows"], said["pattern"], said["set_aside"]) == (30, "odd *.csv", [])
    assert {path: path.read_bytes() for path in before} == before
    landed = folder / "landing" / "odd"
    assert [path.name for path in landed.iterdir()] == [sample.name]
    assert newcomer.types("slipway contracts lint", folder).err.startswith("1 contract, 0 problems, ")

    run = newcomer.types("slipway run --target lake --select +curated.odd", folder).out
    assert "rows: 30 in raw.odd = 30 in curated.odd + 0 quarantined + 0 deduplicated" in run
    assert "guesses of contracts/odd.odcs.yaml yet:" in run
    assert "columns are taken by their place" in run
    # the adapter that the project had before knows of no feed
    assert "odd" not in newcomer.types("dbt --quiet ls --resource-type model", folder).out

    # later rows: one without a number, and one without a key
    later = landed / "odd 2.csv"
    later.write_text(
        f"{HEADER}\n31,tall,x,y,z,q,why,1\n,5,x,y,z,q,why,1\n32,5,x,y,z,q,why,7.5\n", encoding="utf-8"
    )
    run = newcomer.types("slipway run --target lake --select +curated.odd", folder).out
    assert "rows: 33 in raw.odd = 31 in curated.odd + 2 quarantined" in run
    curated = newcomer.rows(folder, "lake", "curated.odd")
    names = ("order_value", "grosse_cm", "a", "a_2", "column_5", "say_x", "reason_value", "preis")
    written = [
        (n, n * 3, f"x{n}", f"y{n}", f"z{n}", f"q, {n}", f"why {n}", f"{n}.{n:02}") for n in range(1, 31)
    ]
    found = [(*(row[name] for name in names[:-1]), str(row["preis"])) for row in curated]
    assert sorted(found) == sorted([*written, (32, 5, "x", "y", "z", "q", "why", "7.50")])
    refused = newcomer.rows(folder, "lake", "quarantine.odd")
    assert sorted((row["rule_id"], row["order_value"], row["grosse_cm"], row["reason_value"]) for row in refused) == [
        ("grosse_cm_not_integer", "31", "tall", "why"),
        ("order_value_missing", None, "5", "why"),
    ]  # fmt: skip


@pytest.mark.long
def test_what_is_written_into_this_repository_passes_its_lint(tmp_path: Path) -> None:
    """sqlfluff as scripts/test runs it, on the models of a feed with names that need quotes, and one with names of quarantine's own columns."""
    clone = tmp_path / "clone"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, clone / name)
    (tmp_path / "landing").mkdir()
    programs = Path(sys.executable).parent
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(clone / "scripts"),
        "SLIPWAY_HOME": str(tmp_path / "home"),
        "SLIPWAY_LANDING": str(tmp_path / "landing"),
    }

    def types(*command: str) -> str:
        done = subprocess.run(
            command, cwd=clone, env=environment, capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    models = []
    for name, header in (
        ("quoted", "Größe (cm),Straße,order,2024"),
        ("reasons", "id,Größe (cm),reason,rule_id"),
    ):
        sample = tmp_path / name / "1.csv"
        sample.parent.mkdir()
        sample.write_text(f"{header}\n" + "".join(f"{n},a{n},b,{n}\n" for n in range(30)), encoding="utf-8")
        types("slipway", "feed", "add", str(sample), "--name", name, "--copy")
        models += [f"models/raw/{name}.sql", f"models/curated/{name}"]
    types("slipway", "run", "--select", "+curated.quoted", "+curated.reasons")
    assert "Skipped file" not in types("sqlfluff", "lint", "--disable-progress-bar", *models)
    assert "0 problems, " in types("slipway", "contracts", "lint")
