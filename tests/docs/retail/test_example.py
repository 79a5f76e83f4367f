"""What the README and the how-to pages have their reader do with the example."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.docs.conftest import committed_copy, reader
from tests.docs.console import commands, compare, matches
from tests.harness.projects import write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.docs.conftest import Page
    from tests.harness.commands import Commands, Output
    from tests.harness.newcomer import Newcomer

ROOT = Path(__file__).parents[3]
MIGRATION = "docs/how-to/migrate-a-notebook.md"
# tests/cli/test_scripts.py starts these from a fresh clone, and the second cannot start itself
SCRIPTS = ("./scripts/run", "./scripts/test", "source .venv/bin/activate")


@pytest.mark.long
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


@pytest.mark.long
def test_pages_show_what_is_printed(pages: dict[str, Page], begun: tuple[Newcomer, Output]) -> None:
    """Blocks on the example after its first run."""
    shop, first = begun
    ((command, shown),) = commands(pages["README.md"].block("console", "./scripts/run"))
    assert command == "./scripts/run"
    assert matches(shown, first.out), first.out
    compare(shop, pages["docs/explanation/lineage.md"].block("console", "slipway show"))


# the lines of the sample that only the notebook counts, by day (all of the United Kingdom): what they add to gross revenue, orders, units
NOTEBOOK_ONLY = {
    "2025-02-09": (6.7 * 0.85, 0, 6.7),  # other lines of this invoice are right
    "2025-02-27": (12 * 2.55555 + 4 * 0.55, 1, 16),
    "2025-03-11": (3.75, 0, 1),  # no invoice number
    "2025-03-30": (6 * 1.25, 1, 6),
}


@pytest.fixture(scope="session")
def migrating(begun: tuple[Newcomer, Output], pages: dict[str, Page]) -> Newcomer:
    """Someone who has run the notebook from a clean kernel, as the page on migrations says."""
    begun[0].types(pages[MIGRATION].block("sh", "jupyter execute"))
    return begun[0]


@pytest.mark.long
def test_a_notebook_and_the_table_that_replaces_it(migrating: Newcomer, pages: dict[str, Page]) -> None:
    """They differ in what the notebook rounds, and in the lines that break a rule; the page shows it."""
    page = pages[MIGRATION]
    compare(migrating, page.block("console", "slipway diff"))
    compare(migrating, page.block("console", "slipway sql"))
    columns = "gross_revenue, orders, units"
    printed = migrating.types(
        f'slipway sql -o json "select revenue_date, country, {columns} from serving.daily_revenue"'
    )
    table = {(row["revenue_date"], row["country"]): row for row in json.loads(printed.out)}
    with (migrating.folder / "notebooks/daily_revenue.csv").open(encoding="utf-8") as file:
        saved = {(row["revenue_date"], row["country"]): row for row in csv.DictReader(file)}
    assert saved.keys() == table.keys()
    for (day, country), row in saved.items():
        extra = NOTEBOOK_ONLY.get(day, (0, 0, 0)) if country == "United Kingdom" else (0, 0, 0)
        for column, more in zip(columns.split(", "), extra, strict=True):
            rounding = 0.0051 if column == "gross_revenue" else 1e-9
            expected = float(table[day, country][column]) + more
            assert float(row[column]) == pytest.approx(expected, abs=rounding), (day, country)


@pytest.mark.long
def test_a_migration_week_by_week(migrating: Newcomer, pages: dict[str, Page]) -> None:
    """The page from top to bottom; what it has its reader add to the entry of the model is added."""
    path = migrating.folder / "models/serving/_serving__models.yml"
    before = path.read_text(encoding="utf-8")
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    passed = []
    try:
        for block in pages[MIGRATION].blocks:
            if block.language == "yaml":
                described = yaml.safe_load(path.read_text(encoding="utf-8"))
                add(
                    described["models"],
                    yaml.safe_load(block.text.replace("2027-03-31", f"{tomorrow}"))["models"],
                )
                path.write_text(yaml.safe_dump(described), encoding="utf-8")
            elif block.language == "sh":
                for line in block.text.splitlines():
                    printed = migrating.types(line).out
                    passed += [printed.partition("\n")[0]] * line.startswith("slipway diff")
    finally:
        path.write_text(before, encoding="utf-8")
        for name in [name for name in migrating.exported if "STAGING" in name]:
            del migrating.exported[name]
    assert passed == [
        "Difference: passed, 1 table (1 explained)",
        "Difference: passed, 7 tables (7 identical)",
    ]


def add(described: list[dict[str, Any]], more: list[dict[str, Any]]) -> None:
    """Add keys to the entries that have a name."""
    for one in more:
        (entry,) = (entry for entry in described if entry["name"] == one["name"])
        for key, value in one.items():
            if isinstance(value, dict):
                entry[key] = {**entry.get(key, {}), **value}
            elif isinstance(value, list):
                entry[key] = [*entry.get(key, []), *value]


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
    landed = len(list((written.folder / "seeds/landing/online_retail").glob("*.csv")))
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
