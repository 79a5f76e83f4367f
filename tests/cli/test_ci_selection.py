"""Slim CI misses nothing: after any edit it finds what a full build finds, and builds only what depends on the edit."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

# model: the models that it reads; all of them count and sum weights
MODELS = {
    "first": ("weights",),
    "second": ("weights",),
    "both": ("first", "second"),
    "of_both": ("both",),
    "of_macro": ("first",),
    "of_var": ("second",),
    "seen": ("of_macro",),  # a view
    "of_view": ("seen",),
    "added": ("weights",),  # incremental
    "of_added": ("added",),
}
READS = {**MODELS, "depot_weights": ("weights",)}
EXPRESSIONS = ("sum(n)", "sum(n) + 1", "sum(n + 1)", "sum(n) * 2", "max(n)", "sum(n) + 0", "sum( n )")


def sql_of(name: str, expression: str = "sum(n)", note: str = "") -> str:
    reads = MODELS[name]
    config = {
        "seen": "materialized='view'",
        "added": "materialized='incremental', incremental_strategy='append'",
    }
    head = f"{{{{ config({config[name]}) }}}}\n" if name in config else ""
    tail = "{% if is_incremental() %}where n < 0{% endif %}" if name == "added" else ""
    more = {"of_macro": " + {{ more() }}", "of_var": " + {{ var('more') }}"}.get(name, "")
    rows = " union all ".join(
        f"select {'kg' if one == 'weights' else 'n'} as n from {{{{ ref('{one}') }}}}" for one in reads
    )
    return f"{head}{note}select {expression}{more} as n from ({rows}) as read {tail}\n"


def below(edited: set[str]) -> set[str]:
    """The edited models and all that read them, also through others."""
    found = set(edited)
    while more := {name for name, reads in READS.items() if found & set(reads)} - found:
        found |= more
    return found


def edit(workshop: Workshop, chance: random.Random) -> set[str]:
    """Make one edit; returns the models that it touches."""
    name = chance.choice(sorted(MODELS))
    path = f"models/serving/{name}.sql"
    match chance.choice(("expression", "note", "macro", "var", "weights", "new", "test")):
        case "expression":
            workshop.write(path, sql_of(name, chance.choice(EXPRESSIONS)))
        case "note":
            workshop.write(path, sql_of(name, note=f"-- {chance.random()}\n"))
        case "macro":
            workshop.write(
                "macros/more.sql", f"{{% macro more() %}} {chance.randrange(3)} {{% endmacro %}}\n"
            )
            return {"of_macro"}
        case "var":
            workshop.edit("dbt_project.yml", "  more: 1\n", f"  more: {chance.randrange(3)}\n")
            return {"of_var"}
        case "weights":
            workshop.edit("models/curated/weights.sql", "kg is not null", f"kg > {chance.random():.2f}")
            return {"weights"}
        case "new":
            workshop.write("models/serving/new.sql", f"select n from {{{{ ref('{name}') }}}}\n")
            return {"new"}
        case "test":
            workshop.write("tests/dbt/more.sql", f"select * from {{{{ ref('{name}') }}}} where n is null\n")
            return set()
    return {name}


def looked_at(workshop: Workshop, *options: str) -> dict[str, Any]:
    folder = workshop.folder / "ci"
    done = workshop.slipway("ci", *options, "--output-dir", str(folder))
    assert done.code in (0, 1), done
    found: dict[str, Any] = json.loads((folder / "ci.json").read_text(encoding="utf-8"))
    return found


def differing(*reports: dict[str, Any] | None) -> set[str]:
    tables = [one for report in reports for one in (report["tables"] if report else ())]
    return {one["name"] for one in tables if one["verdict"] not in ("identical", "no_evidence")}


@pytest.fixture(scope="module")
def released(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    workshop = new_workshop(tmp_path_factory.mktemp("selection"))
    for name in MODELS:
        workshop.write(f"models/serving/{name}.sql", sql_of(name))
    workshop.write("macros/more.sql", "{% macro more() %} 1 {% endmacro %}\n")
    workshop.edit("dbt_project.yml", "vars:\n", "vars:\n  more: 1\n")
    workshop.run()
    return workshop


@pytest.mark.long
@pytest.mark.parametrize("seed", range(50))
def test_nothing_is_missed_and_no_more_is_built_than_depends_on_it(released: Workshop, seed: int) -> None:
    with released.restored():
        edited = edit(released, random.Random(seed))
        slim, full = looked_at(released), looked_at(released, "--full")
        reports = [slim["comparison"], slim["rebuild_comparison"]]
        compared = {one["name"] for report in reports for one in (report["tables"] if report else ())}
        assert differing(full["comparison"]) <= compared
        # a full build makes also those rows of an incremental model anew that a run leaves because only what it reads was edited
        left = {f"serving.{name}" for name in below({"added"})}
        assert differing(full["comparison"]) - left == differing(*reports) - left
        runs = [slim["run"], slim["rebuild_run"]]
        built = {node["unique_id"].rpartition(".")[2] for run in runs if run for node in run["nodes"]}
        # a view that a built model reads is made for it
        assert built - {"seen"} <= below(edited)
