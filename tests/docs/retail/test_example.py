"""What the README and the how-to pages have their reader do with the example."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.docs.conftest import Shop, copied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.docs.conftest import Page
    from tests.harness.commands import Commands

ROOT = Path(__file__).parents[3]
# tests/cli/test_scripts.py starts these from a fresh clone, and the second cannot start itself
SCRIPTS = ("./scripts/run", "./scripts/test", "source .venv/bin/activate")


def test_every_command_works_on_a_fresh_clone(pages: dict[str, Page], shop: Shop) -> None:
    lines = [
        line
        for block in pages["README.md"].blocks
        if block.language == "bash"
        for line in block.text.splitlines()
    ]
    assert set(SCRIPTS) <= set(lines)
    printed = {}
    for line in lines:
        if line not in SCRIPTS:
            done = shop.start(*shlex.split(line))
            assert done.code == 0, (line, done)
            printed[line] = done.out
    assert "Nothing changed in dev: no release." in printed["slipway run"]


def test_the_first_run_looks_as_the_readme_shows_it(pages: dict[str, Page], shop: Shop) -> None:
    """Rows and words of the tables shown; how long it took and how large the files became differ between machines."""
    excerpt = pages["README.md"].block("text", "serving.daily_revenue ")
    shown = [line.split()[:5] for line in excerpt.splitlines() if re.match(r"\w+\.\w+ ", line)]
    assert len(shown) > 3
    printed = [line.split()[:5] for line in shop.first.out.splitlines()]
    assert [line for line in shown if line not in printed] == []
    last = excerpt.strip().splitlines()[-1]
    assert last in shop.first.out


@pytest.fixture
def written(shop: Shop, pages: dict[str, Page]) -> Iterator[Shop]:
    """The example with the pages' SQL model and Python model, for as long as a test takes."""
    model, notebook = pages["docs/how-to/add-a-model.md"], pages["docs/how-to/notebook-to-model.md"]
    texts = {
        "models/serving/weekday_revenue.sql": model.block("sql", "isodow"),
        "models/serving/_weekday_revenue.yml": model.block("yaml", "weekday_revenue"),
        "scripts/analytics/__init__.py": "",
        "scripts/analytics/outliers.py": notebook.block("python", "def outliers"),
        "python_models/serving/revenue_outliers.py": notebook.block("python", "def model"),
        "python_models/serving/_revenue_outliers.yml": notebook.block("yaml", "slipway_contract"),
    }
    for name, text in texts.items():
        shop.write(name, text)
    yield shop
    for name in texts:
        (shop.folder / name).unlink()


def test_a_model_and_a_python_model(written: Shop) -> None:
    models = ["weekday_revenue", "revenue_outliers"]
    command = [sys.executable, "-m", "slipway.cli.main", "run", "--select", *models]
    env = written.env() | {"PYTHONPATH": str(written.folder / "scripts")}
    done = subprocess.run(command, cwd=written.folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    query = "select sum(trading_days) as days from serving.weekday_revenue"
    landed = len(list((ROOT / "seeds/landing/online_retail").glob("*.csv")))
    assert written.start("slipway", "sql", "--output", "csv", query).out.split() == ["days", str(landed)]


@pytest.mark.long
@pytest.mark.parametrize("data", ["sample", "real"])
def test_the_example_replays_identical(
    files: list[str], commands: Commands, tmp_path: Path, data: str
) -> None:
    """Forecasts included, and although the run that is replayed built increments on what was there."""
    source = ROOT / "seeds/landing" if data == "sample" else ROOT.parent / "shared/data"
    landed = sorted((source / "online_retail").glob("*.csv"))
    if not landed:
        pytest.skip(f"the real files are not in {source}: put the online_retail folder there")
    shop, landing = Shop(commands, copied(files, tmp_path / "clone")), tmp_path / "landing"
    for command in (
        ("init", "--quiet"),
        ("add", "--all"),
        ("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "--message", "all"),
    ):
        subprocess.run(["git", "-C", str(shop.folder), *command], check=True)
    # the copy's own functions: those of the checkout that runs this test are in no commit of the copy
    packages = str(shop.folder / "scripts")
    settings = {"SLIPWAY_LANDING": str(landing), "HOME": str(tmp_path), "PYTHONPATH": packages}
    (landing / "online_retail").mkdir(parents=True)
    for part in (landed[: -len(landed) // 4], landed[-len(landed) // 4 :]):
        for path in part:
            shutil.copy(path, landing / "online_retail")
        done = shop.start("slipway", "run", **settings)
        assert done.code == 0, done
    done = shop.start("slipway", "replay", "latest", "--output", "json", **settings)
    assert done.code == 0, done
    found = {table["table"]: table["verdict"] for table in json.loads(done.out)["tables"]}
    assert set(found.values()) == {"identical"}
    built = {
        path.stem
        for folder in ("models/serving", "python_models/serving")
        for path in (ROOT / folder).glob("*.[sp][qy]*")
    }
    assert {f"serving.{name}" for name in built} <= found.keys()
