"""Columns and values that a feed's contract does not expect, by whole runs: each setting does what it says, and nothing is lost."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.harness.feed_versions import VERSIONS, Sent, Version, contract_text

if TYPE_CHECKING:
    from tests.harness.projects import Meters

MODELS = {
    "models/raw/_orders.yml": "sources: [{name: landing2, schema: landing, tables: [{name: orders}]}]\n",
    "models/raw/orders.sql": (
        "{{ config(materialized='incremental', incremental_strategy='append') }}\n"
        "select * from {{ source('landing2', 'orders') }}\n"
    ),
    "models/curated/typed_orders.sql": (
        "select * exclude (_original) from ({{ typed('orders') }}) where rule_id is null\n"
        "qualify row_number() over (partition by _row_key order by _source_file, _source_line) = 1\n"
    ),
    "models/quarantine/bad_orders.sql": (
        "{{ config(schema='quarantine', conserves={'raw': 'raw.orders', 'curated': 'curated.typed_orders'}) }}\n"
        "select * from ({{ quarantined('orders') }})\n"
    ),
}
SELECTION = ("-s", "orders", "typed_orders", "bad_orders")
CONTRACT = "contracts/orders.odcs.yaml"


def prepare(project: Meters) -> None:
    for name, text in MODELS.items():
        project.write(name, text)


def said(project: Meters, code: int = 0) -> str:
    done = project.slipway("run", *SELECTION)
    assert done.code == code, done
    return done.out + done.err


def conserved(manifest: dict[str, Any]) -> dict[str, int]:
    (books,) = [one for one in manifest["conservation"] if one["raw"] == "raw.orders"]
    assert (books["unaccounted"], books["doubled"], books["counted"]) == (0, 0, "rows")
    numbers = {key: books[key] for key in ("landed", "curated_rows", "quarantined_rows", "deduplicated")}
    assert numbers["landed"] == sum(numbers.values()) - numbers["landed"]
    return numbers


@pytest.mark.long
def test_each_setting_does_what_it_says(project: Meters) -> None:
    prepare(project)
    project.write(CONTRACT, contract_text(["id", "kg"], {}))
    project.put("orders/1.csv", "id,kg\na,1.5\n")
    project.put("orders/2.csv", "id,kg,note\nb,2,7\nc,3,x\n")
    output = said(project)
    assert (
        "set aside orders/2.csv: header differs: unknown note; schemaContract of the contract has columns: freeze"
        in output
    )
    assert project.rows("raw.orders", "id") == [("a",)]

    # the new column comes to the table that is there, and the rows that are there stay
    project.write(CONTRACT, contract_text(["id", "kg"], {"columns": "evolve"}))
    output = said(project)
    assert (
        "orders/2.csv brings note, which the contract does not name: raw.orders has a column for it now"
        in output
    )
    assert sorted(project.rows("raw.orders", "id", "note"), key=str) == [("a", None), ("b", "7"), ("c", "x")]
    assert conserved(project.manifests()[-1])["curated_rows"] == 3

    # values that landed before the contract named their column are typed; one that does not fit is NULL, and known
    modes = {"columns": "discard_value", "data_type": "discard_value"}
    project.write(CONTRACT, contract_text(["id", "kg", "note"], modes))
    project.put("orders/3.csv", "id,kg,note,Neu 1\nd,4,8,new\ne,4,8,\n")
    output = said(project)
    assert (
        "orders/3.csv brings Neu 1, which the contract does not name: its values are kept in _extra" in output
    )
    found = sorted(project.rows("curated.typed_orders", "id", "note", "_discarded", "_extra"), key=str)
    assert found == [
        ("a", None, None, None),
        ("b", 7, None, None),
        ("c", None, '{"note_not_integer":"x"}', None),
        ("d", 8, None, '{"Neu 1":"new"}'),
        ("e", 8, None, None),
    ]
    assert conserved(project.manifests()[-1])["quarantined_rows"] == 0

    # the same rows break rules where rows are discarded, and are as they landed
    project.write(CONTRACT, contract_text(["id", "kg", "note"], {"columns": "discard_row"}))
    said(project)
    found = sorted(project.rows("quarantine.bad_orders", "id", "note", "_extra", "rule_id"))
    assert found == [
        ("c", "x", None, "note_not_integer"),
        ("d", "8", '{"Neu 1":"new"}', "unknown_columns"),
    ]
    assert conserved(project.manifests()[-1])["quarantined_rows"] == 2

    # named, the values that were kept are those of the column
    names = ["id", "kg", "note", "Neu 1"]
    project.write(CONTRACT, contract_text(names, {"columns": "discard_row"}))
    said(project)
    assert ("d", 8, "new") in project.rows("curated.typed_orders", "id", "note", "Neu 1")

    before = project.published()
    project.write(CONTRACT, contract_text(names, {"data_type": "freeze"}))
    project.put("orders/4.csv", "id,kg\nf,5\n")
    output = said(project, code=1)
    assert (
        "note is not a whole number that fits integer (note_not_integer), and schemaContract has data_type: freeze"
        in output
    )
    assert "in 2.csv, line 3" in output
    assert project.published() == before


@pytest.mark.long
@pytest.mark.usefixtures("commands")
@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.lists(VERSIONS.filter(lambda one: one.data_type != "freeze"), min_size=3, max_size=3))
def test_no_value_is_lost_by_whole_runs(
    new_meters: Callable[[Path], Meters], versions: list[Version]
) -> None:
    """The same as in ``tests/unit/landing``, for a few histories."""
    with tempfile.TemporaryDirectory() as folder:
        project = new_meters(Path(folder))
        prepare(project)
        sent: dict[str, Sent] = {}
        for now in versions:
            project.write(CONTRACT, now.text)
            for header, rows in now.files:
                name = f"{len(sent)}.csv"
                text, sent[name] = Sent.of(len(sent), header, rows)
                project.put(f"orders/{name}", text)
            project.put("orders/.keep", "")
            full = ("--full-refresh",) if now.is_anew else ()
            project.run(*SELECTION, *full)
            for one in sent.values():
                one.is_accepted |= now.takes(one.header)
            names = [field.name for field in project.table("raw.orders").schema().fields]
            raw = [dict(zip(names, row, strict=True)) for row in project.rows("raw.orders", *names)]
            accepted = {name: one for name, one in sent.items() if one.is_accepted}
            assert len(raw) == sum(len(one.rows) for one in accepted.values())
            for row in raw:
                accepted[row["_source_file"]].check(row)
            assert conserved(project.manifests()[-1])["landed"] == len(raw)
