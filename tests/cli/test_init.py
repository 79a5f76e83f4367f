"""``slipway init``, and what a newcomer and a team with a project of its own do after it, by nothing but the printed texts."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.harness.newcomer import Newcomer

if TYPE_CHECKING:
    from tests.harness.commands import Commands

BAKERY = Path(__file__).parent / "bakery"


@pytest.fixture
def newcomer(commands: Commands, tmp_path: Path) -> Newcomer:
    return Newcomer(commands, tmp_path)


def test_an_empty_folder_runs_at_once(newcomer: Newcomer) -> None:
    printed = newcomer.types("slipway init 'bike shop'").out
    folder = newcomer.folder / "bike shop"
    run, query = newcomer.next_commands(printed)
    assert run == "cd 'bike shop' && slipway run"
    (commit,) = (line.strip() for line in printed.splitlines() if " add --all" in line)
    people = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    newcomer.exported.update(dict.fromkeys(people, "ada@example.org"))
    newcomer.types(commit)
    assert "[WARNING]" not in newcomer.types("dbt --log-format text parse --no-partial-parse", folder).out
    first = newcomer.types(run.partition(" && ")[2], folder)
    assert "Published release 1, 4 tables in dev." in first.out
    assert "cannot be replayed" not in first.err
    lines = newcomer.types(query, folder).out.splitlines()
    assert [line.split() for line in lines[2:]] == [
        ["2025-03-01", "Castle", "1", "31.25"],
        ["2025-03-01", "Harbour", "2", "21.50"],
        ["2025-03-02", "Castle", "1", "22.75"],
        ["2025-03-02", "Harbour", "1", "14.00"],
    ]
    again = newcomer.types("slipway init", folder).out
    assert again.startswith("Nothing was written: everything is there.")
    assert newcomer.types("slipway init --check", folder).out == "9 files: nothing to do.\n"
    (folder / ".github/workflows/slipway.yml").unlink()
    checked = newcomer.types("slipway init --check", folder, code=1)
    assert re.search(r"^\.github/workflows/slipway\.yml +it is not there", checked.out, re.MULTILINE)


def test_a_bare_project_takes_its_first_feed(newcomer: Newcomer) -> None:
    printed = newcomer.types("slipway init --bare shop").out
    folder = newcomer.folder / "shop"
    assert not (folder / "models").exists()
    assert "slipway feed add FILES --name NAME --project-dir shop" in printed
    sales = "\n".join(["sold_on,town,amount", *(f"2025-03-0{day},Bath,{day}.50" for day in range(1, 9)), ""])
    (newcomer.folder / "sales.csv").write_text(sales, encoding="utf-8")
    newcomer.types("slipway feed add sales.csv --name sales --copy --project-dir shop")
    assert "Published release 1" in newcomer.types("slipway run", folder).out
    refused = newcomer.types("slipway init --bare --example other", code=2)
    assert "--example and --bare exclude each other" in refused.err


@pytest.mark.long
def test_a_project_of_other_origin_adopts_slipway(newcomer: Newcomer) -> None:
    """Seeds, views, an incremental model, a Python model, dispatched macros and all kinds of tests; none of it is changed."""
    folder = Path(shutil.copytree(BAKERY, newcomer.folder / "bakery"))
    printed = newcomer.types("slipway init", folder).out
    assert "To do by hand" not in printed
    run, show = newcomer.next_commands(printed)
    assert run == "slipway run --target lake"
    first = newcomer.types(run, folder)
    assert "tests: 8 expected, 8 executed, 0 carried from an earlier run, 0 failed" in first.out
    assert "Published release 1, 5 tables in lake." in first.out
    assert "serving.town_ranks" in newcomer.types(show, folder).out
    assert "Nothing changed in lake: no release." in newcomer.types(run, folder).out
    customers = newcomer.rows(folder, "lake", "serving.customers")
    assert {(row["customer_name"], str(row["lifetime_value"]), row["built_with"]) for row in customers} == {
        ("Ines", "22.40", "another"),
        ("Lars", "4.80", "another"),
        ("Mei", "21.00", "another"),
    }

    # a new order and a changed model
    seed = folder / "seeds" / "raw_orders.csv"
    seed.write_text(seed.read_text() + "5,2,2025-02-04,placed,300\n")
    model = folder / "models" / "marts" / "customers.sql"
    model.write_text(model.read_text().replace("count(orders.order_id)", "count(distinct orders.order_id)"))
    assert "Published release 2" in newcomer.types(run, folder).out
    assert len(newcomer.rows(folder, "lake", "serving.orders")) == 5
    lars = next(row for row in newcomer.rows(folder, "lake", "serving.customers") if row["customer_id"] == 2)
    assert (lars["number_of_orders"], str(lars["lifetime_value"])) == (2, "7.80")

    newcomer.types("slipway rollback --to 1 --target lake --yes", folder)
    assert len(newcomer.rows(folder, "lake", "serving.orders")) == 4

    # what worked before, works
    refused = newcomer.types("slipway run", folder, code=2)
    assert "type: slipway" in refused.err
    newcomer.types("dbt --quiet build", folder)
