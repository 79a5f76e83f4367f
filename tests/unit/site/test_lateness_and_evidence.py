"""What the site tells of service levels, of stale tables, and of the evidence of a promotion."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.site import build, gathered
from tests.harness.records import manifest, node, release, released

from slipway.alerts.service_clocks import Clock
from slipway.records.node_results import Change
from slipway.records.promotion_records import ApprovalRecord, Demand, Finding, Promotion
from slipway.records.run_manifest import Outcome, RunManifest
from slipway.signing.approval_rules import Approval, Author, judge
from slipway.site.releases_shown import PromotionShown
from slipway.site.site_facts import _stale
from slipway.site.tables_shown import ContractShown

AT = datetime(2024, 5, 3, 6, tzinfo=UTC)


def clock(table: str, since: datetime | None, hours: int) -> Clock:
    return Clock(
        contract="c",
        level="freshness",
        table=table,
        since=since,
        allowed=timedelta(hours=hours),
        what=f"{table} was made {{ago}}, and its contract",
        never="Nothing <came>, and its contract",
    )


def test_what_is_later_than_promised_is_on_the_first_page_and_on_that_of_the_table(tmp_path: Path) -> None:
    found = gathered(tmp_path, models=6, columns=2, runs=2)
    now = datetime.fromisoformat(found.as_of)
    kept, late = found.tables[0].name, found.tables[1].name
    found.clocks = [
        clock(kept, now - timedelta(hours=2), 3),
        clock(late, now - timedelta(hours=4), 3),
        clock("raw.none", None, 4),
    ]
    build(found, tmp_path / "site")
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    since = (now - timedelta(hours=4)).strftime("%Y-%m-%d %H:%M")
    said = f"{late} was made at {since} UTC, and its contract promises freshness within 3 hours."
    items = {line for line in page.splitlines() if line.startswith('<li class="bad" data-late=')}
    shown = {line for line in items if " hidden" not in line}
    assert len(items) == 3
    assert any(said in line and f"table/{late}.html" in line for line in shown)
    assert any(
        "Nothing &lt;came&gt;, and its contract promises freshness within 4 hours." in line for line in shown
    )
    assert len(shown) == 2
    assert "<b data-late-count>2</b>" in page
    pages = {
        name: (tmp_path / "site" / "table" / f"{name}.html").read_text(encoding="utf-8")
        for name in (kept, late)
    }
    assert {name: 'class="state is-late"' in text for name, text in pages.items()} == {
        kept: False,
        late: True,
    }
    assert said in pages[late]
    levels = json.loads((tmp_path / "site" / "api" / "overview.json").read_bytes())["levels"]
    assert {one["table"]: one["late"] for one in levels} == {kept: False, late: True, "raw.none": True}


def test_a_table_says_which_of_its_service_levels_are_not_judged(tmp_path: Path) -> None:
    found = gathered(tmp_path, models=6, columns=2, runs=2)
    due, judged = found.tables[0], found.tables[1]
    levels = [
        ["timeOfAvailability", "07:30", "", ""],
        ["freshness", "1", "d", ""],
        ["endOfLife", "2030-01-01", "", ""],
    ]
    contract = ContractShown("a.odcs.yaml", "1.0.0", "", "", levels, [], [], [])
    test = replace(next(one for table in found.tables for one in table.tests), kind="freshness_sla")
    found.tables[:2] = [
        replace(due, contract=contract, tests=[]),
        replace(judged, contract=contract, tests=[test]),
    ]
    build(found, tmp_path / "site")
    said = [
        re.findall(r"<dt>(\w+)</dt><dd>.*?<span class=\"faint\">((?:not )?judged[^<]*)</span>", text)
        for text in (
            (tmp_path / "site" / "table" / f"{one.name}.html").read_text(encoding="utf-8")
            for one in (due, judged)
        )
    ]
    between = ("freshness", "judged between runs")
    assert said == [
        [("timeOfAvailability", "not judged: no column has freshness_sla"), between],
        [("timeOfAvailability", "judged in runs by the test freshness_sla"), between],
    ]


def test_a_stale_table_has_a_badge_and_the_reason(tmp_path: Path) -> None:
    found = gathered(tmp_path, models=6, columns=2, runs=2)
    stale, other = found.tables[0].name, found.tables[1].name
    found.stale = {stale: "other <code> made its rows"}
    build(found, tmp_path / "site")
    pages = [
        (tmp_path / "site" / "table" / f"{name}.html").read_text(encoding="utf-8") for name in (stale, other)
    ]
    assert ["Stale: other &lt;code&gt; made its rows." in page for page in pages] == [True, False]


def ran(at: int, outcome: Outcome, *nodes: tuple[str, Change, str]) -> RunManifest:
    made = manifest(
        *(node(table, change=change, stale=why) for table, change, why in nodes),
        run_id=f"run-{at}",
        outcome=outcome,
    )
    return made.model_copy(update={"started_at": AT + timedelta(hours=at)})


def test_the_newest_run_that_looked_at_what_readers_see_says_whether_a_table_is_stale() -> None:
    newest = [
        ran(3, Outcome.FAILED, ("raw.a", Change.BUILT, ""), ("raw.b", Change.UNCHANGED, "other code")),
        ran(2, Outcome.UNCHANGED, ("raw.a", Change.UNCHANGED, "older code")),
        ran(
            1,
            Outcome.PUBLISHED,
            ("raw.a", Change.BUILT, ""),
            ("raw.b", Change.BUILT, ""),
            ("raw.c", Change.BUILT, "x"),
        ),
    ]
    assert _stale(newest, []) == {"raw.a": "older code", "raw.b": "other code", "raw.c": "x"}
    back = release(2, {"raw.c": released("1", "c1")}, rolls_back=True, returns_to=1)
    back = back.model_copy(update={"published_at": AT + timedelta(hours=1, minutes=30)})
    assert _stale(newest, [back]) == {"raw.a": "older code", "raw.b": "other code"}


def test_a_promotion_shows_its_evidence_and_which_approvals_count(tmp_path: Path) -> None:
    demand = Demand(count=1, roles=["steward"])
    promotion = Promotion(
        number=2,
        plan_id="plan-7",
        source="staging",
        source_release=4,
        evidence=[
            Finding(rule="canary", met=True, why="canary <x> passed"),
            Finding(rule="signed", met=False, why="Conversion Error: could not convert 'Ada'"),
        ],
        judged_at=AT,
        demands=[demand],
        approvals=[ApprovalRecord(key="k1", name="key-1", owner="Grace", roles=["steward"], approved_at="")],
        copied={},
    )
    given = [
        Approval("k1", "key-1", "Grace", frozenset({"steward"}), "2024-05-03T05:00:00Z"),
        Approval("k2", "key-2", "Ada", why_not="the key was revoked", is_broken=True),
    ]
    judged = judge([demand], given, [Author("made the plan", "Linus")])
    shown = PromotionShown.of(promotion, judged)
    found = gathered(tmp_path, models=6, columns=2, runs=2)
    newest = found.history.releases[0]
    object.__setattr__(newest, "promotion", shown)
    object.__setattr__(newest, "signed_by", "broken: the record is not what was signed")
    build(found, tmp_path / "site")
    page = (tmp_path / "site" / "release" / f"{newest.number}.html").read_text(encoding="utf-8")
    before = (tmp_path / "site" / "release" / f"{newest.number - 1}.html").read_text(encoding="utf-8")
    for said in (
        "plan-7",
        "canary &lt;x&gt; passed",
        ">not met<",
        "1 person with the role steward",
        "Grace",
        "the key was revoked",
        ">signature broken<",
    ):
        assert said in page, said
    assert "'Ada'" not in page  # a value of a row
    assert "Why it was promoted" not in before
    assert ">signature verified<" in before
    (promoted,) = (
        one
        for one in json.loads((tmp_path / "site" / "api" / "releases.json").read_bytes())
        if one["promotion"]
    )
    assert [one["why_not"] for one in promoted["promotion"]["approvals"]] == ["", "the key was revoked"]
