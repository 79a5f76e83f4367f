"""A table that is added to keeps rows of the code before: that is said, and nothing hides it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

DAILY = "models/serving/daily.sql"
CODE = """\
{{ config(materialized='incremental', incremental_strategy='append') }}
select weighed_on, sum(kg) as kg from {{ ref('weights') }}
{% if is_incremental() %} where weighed_on > (select max(weighed_on) from {{ this }}) {% endif %}
group by weighed_on
"""
OLD, NEW = "sum(kg) as", "sum(kg - 0.25) as"
KEEP = "'append', on_code_change={'keep': 'billed  as they were'}"
DAY_3 = ("p6,S,2024-05-03,10.125",)


def rows(workshop: Workshop, target: str) -> dict[str, float]:
    read = workshop.table("serving.daily", target).scan().to_arrow().to_pylist()
    return {str(row["weighed_on"]): float(row["kg"]) for row in read}


def daily(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in manifest["nodes"] if one["table"] == "serving.daily")
    return found


def commits(manifest: dict[str, Any]) -> list[str]:
    return [one["commit"] for one in daily(manifest)["made_by"]]


@pytest.mark.long
def test_a_gated_target_refuses_rows_of_other_code(workshop: Workshop) -> None:
    """The first day weighs 3.5 in two parcels, the second 4.25 in two; the new code takes 0.25 off each."""
    workshop.write(DAILY, CODE)
    old = workshop.commit()
    first = workshop.run("--target", "ci")
    assert (daily(first)["stale"], commits(first)) == ("", [old])
    workshop.edit(DAILY, OLD, NEW)
    workshop.commit()
    before = workshop.locations("ci")

    failed = workshop.slipway("run", "--target", "ci")
    assert failed.code == 1, failed
    assert "serving.daily          stale" in failed.out  # not "same content"
    assert (
        f"serving.daily is stale: it has rows that were made by other code: commit {old[:12]}" in failed.out
    )
    assert "slipway run --target ci --full-refresh --select daily+" in failed.out
    assert workshop.locations("ci") == before
    refused = workshop.manifests("ci")[-1]
    assert commits(refused) == [old]
    assert daily(refused)["definition_key"] != daily(refused)["made_by"][0]["key"]

    folder = workshop.folder / "ci"
    assert workshop.slipway("ci", "--target", "ci", "--output-dir", str(folder)).code == 1
    message = json.loads((folder / "ci.json").read_text(encoding="utf-8"))
    assert list(message["stale"]) == ["serving.daily"]
    # what is published has the new day's code only after a full refresh
    for part, verdict in (("comparison", "identical"), ("rebuild_comparison", "different")):
        assert [t["verdict"] for t in message[part]["tables"] if t["name"] == "serving.daily"] == [verdict]
    assert "What the release needs" in (folder / "ci.md").read_text(encoding="utf-8")

    workshop.edit(DAILY, "'append'", KEEP)  # which itself is no other code
    new = workshop.commit()
    workshop.land("day-3.csv", DAY_3)
    kept = workshop.run("--target", "ci")
    assert daily(kept)["definition_key"] == daily(refused)["definition_key"]
    assert daily(kept)["kept"].endswith("kept: billed as they were")
    assert commits(kept) == [old, new]
    assert rows(workshop, "ci") == {"2024-05-01": 3.5, "2024-05-02": 4.25, "2024-05-03": 9.875}


@pytest.mark.long
def test_it_lasts_until_no_such_row_is_left(workshop: Workshop) -> None:
    workshop.write(DAILY, CODE)
    old = workshop.commit()
    workshop.run()
    workshop.edit(DAILY, OLD, NEW)
    new = workshop.commit()

    # nothing landed: the content is the same, and so is what made it
    second = workshop.run()
    assert (second["outcome"], daily(second)["change"], commits(second)) == (
        "published",
        "same_content",
        [old],
    )
    assert "stale: serving.daily" in workshop.answer("releases")
    assert f"stale      it has rows that were made by other code: commit {old[:12]}" in workshop.answer(
        "show", "serving.daily"
    )
    assert json.loads(workshop.answer("runs", "--output", "json"))[0]["tables_stale"] == 1

    # the next day adds rows of the new code; a run without news, plain dbt and a compaction change nothing of that
    workshop.land("day-3.csv", DAY_3)
    third = workshop.run()
    assert commits(third) == [old, new]
    assert rows(workshop, "dev") == {"2024-05-01": 3.5, "2024-05-02": 4.25, "2024-05-03": 9.875}
    assert "stale: serving.daily: it has rows" in workshop.dbt("build")
    workshop.answer("maintain")
    assert daily(workshop.run())["stale"]

    # back to the old code there are rows of the new one; back to the old rows there are none
    workshop.edit(DAILY, NEW, OLD)
    assert f"commit {new[:12]}" in daily(workshop.run())["stale"]
    workshop.answer("rollback", "--to", "1", "--yes")
    assert (daily(workshop.run())["stale"], rows(workshop, "dev")["2024-05-03"]) == ("", 10.125)

    workshop.edit(DAILY, OLD, NEW)
    assert daily(workshop.run())["stale"]
    last = workshop.run("--full-refresh", "--select", "daily+")
    assert (daily(last)["stale"], len(commits(last))) == ("", 1)
    assert rows(workshop, "dev") == {"2024-05-01": 3.0, "2024-05-02": 3.75, "2024-05-03": 9.875}
