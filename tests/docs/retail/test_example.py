"""What the README and the how-to pages have their reader do with the example."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.docs.conftest import committed_copy, reader
from tests.docs.console import commands, compare, matches
from tests.harness.projects import write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.docs.conftest import Page
    from tests.harness.commands import Commands, Output
    from tests.harness.newcomer import Newcomer

ROOT = Path(__file__).parents[3]
# tests/cli/test_scripts.py starts these from a fresh clone, and the second cannot start itself
SCRIPTS = ("./scripts/run", "./scripts/test", "source .venv/bin/activate")


def test_every_command_works_on_a_fresh_clone(pages: dict[str, Page], shop: Newcomer) -> None:
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
            printed[line] = shop.types(line).out
    assert "Nothing changed in dev: no release." in printed["slipway run"]


def test_pages_show_what_is_printed(pages: dict[str, Page], begun: tuple[Newcomer, Output]) -> None:
    """Blocks on the example after its first run."""
    shop, first = begun
    ((command, shown),) = commands(pages["README.md"].block("console", "./scripts/run"))
    assert command == "./scripts/run"
    assert matches(shown, first.out), first.out
    compare(shop, pages["docs/explanation/lineage.md"].block("console", "slipway show"))


@pytest.mark.long
def test_pages_show_what_comparisons_print(pages: dict[str, Page], shop: Newcomer) -> None:
    """A canary and a pull request that change who is a champion, and a rollback after a day more has landed."""
    model, landing = (
        shop.folder / "models/serving/customer_value.sql",
        shop.folder / "seeds/landing/online_retail",
    )
    text = model.read_text(encoding="utf-8")
    changed = text.replace(" and monetary_score >= 4 then 'champion'", " then 'champion'")
    assert changed != text
    model.write_text(changed, encoding="utf-8")
    compare(shop, pages["docs/how-to/slices-and-canary.md"].block("console", "slipway canary"))
    compare(shop, pages["docs/how-to/check-pull-requests.md"].block("console", "slipway ci"))
    model.write_text(text, encoding="utf-8")
    last = max(landing.glob("*.csv"))
    added = landing / "2025-06-30.csv"
    added.write_text(last.read_text(encoding="utf-8").replace(last.stem, added.stem), encoding="utf-8")
    shop.types("slipway run")
    compare(shop, pages["docs/how-to/roll-back.md"].block("console", "slipway rollback"))


@pytest.fixture
def written(shop: Newcomer, pages: dict[str, Page]) -> Iterator[Newcomer]:
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
        write(shop.folder / name, text)
    yield shop
    for name in texts:
        (shop.folder / name).unlink()


@pytest.mark.long
def test_a_model_and_a_python_model(written: Newcomer, pages: dict[str, Page]) -> None:
    preview = pages["docs/how-to/add-a-model.md"].block("sh", "dbt show").splitlines()[0].strip()
    assert "day_of_week" in written.types(preview).out  # its table does not exist yet
    models = ["weekday_revenue", "revenue_outliers"]
    command = [sys.executable, "-m", "slipway.cli.main", "run", "--select", *models]
    done = subprocess.run(
        command, cwd=written.folder, env=written.env(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    query = "select sum(trading_days) as days from serving.weekday_revenue"
    landed = len(list((ROOT / "seeds/landing/online_retail").glob("*.csv")))
    printed = written.types(f"slipway sql --output csv '{query}'").out
    assert printed.split() == ["days", str(landed)]


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
    shop = reader(commands, committed_copy(files, tmp_path / "clone"))
    landing = tmp_path / "landing"
    shop.exported["SLIPWAY_LANDING"] = str(landing)
    (landing / "online_retail").mkdir(parents=True)
    for part in (landed[: -len(landed) // 4], landed[-len(landed) // 4 :]):
        for path in part:
            shutil.copy(path, landing / "online_retail")
        shop.types("slipway run")
    done = shop.types("slipway replay latest --output json")
    found = {table["table"]: table["verdict"] for table in json.loads(done.out)["tables"]}
    assert set(found.values()) == {"identical"}
    built = {
        path.stem
        for folder in ("models/serving", "python_models/serving")
        for path in (ROOT / folder).glob("*.[sp][qy]*")
    }
    assert {f"serving.{name}" for name in built} <= found.keys()
