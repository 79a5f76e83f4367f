"""Tests and rows on the site are those of the release that readers see."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from benchmarks.site import build, described, gathered
from tests.harness.records import NOW, manifest, node, release, released

from slipway.alerts.service_clocks import Clock
from slipway.cli.figures import balance
from slipway.contracts.contract_files import read_contract
from slipway.records.conservation import Conservation
from slipway.records.landed_files import LandedFile
from slipway.records.node_results import Status, TestResult, Tests
from slipway.records.run_manifest import Outcome, RunManifest
from slipway.site.releases_shown import ChangedTable
from slipway.site.runs_shown import BooksShown, RunShown, TestShown
from slipway.site.site_facts import TestStatus, _statuses
from slipway.site.tables_shown import Project, TableTest
from slipway.site.views import durations

BOOK = Conservation(
    raw="raw.a", curated="curated.a", quarantine="quarantine.a", landed=2004, curated_rows=1991, quarantined_rows=9, deduplicated=4,
    superseded=501, by_rule={},
)  # fmt: skip


def ran(number: int, snapshots: dict[str, str], outcome: Outcome, **statuses: Status) -> RunManifest:
    """A run that staged tables and looked at one test of each: ``a`` is of ``raw.a``."""
    results = [
        TestResult(unique_id=f"test.shop.{name}.1", status=status, tables=[f"raw.{name}"])
        for name, status in statuses.items()
    ]
    tests = Tests(
        expected=len(results),
        executed=len(results),
        carried=0,
        not_run=0,
        failed=0,
        warned=0,
        results=results,
    )
    nodes = [node(table, candidate_snapshot=snapshot) for table, snapshot in snapshots.items()]
    given = {"run_id": f"run-{number}", "outcome": outcome, "started_at": NOW + timedelta(hours=number)}
    return manifest(*nodes, tests=tests, **given)


def test_a_test_counts_in_the_run_that_looked_at_the_tables_as_readers_see_them() -> None:
    first = ran(1, {"raw.a": "1", "raw.b": "1"}, Outcome.PUBLISHED, a=Status.PASS, b=Status.WARN)
    second = ran(2, {"raw.a": "2", "raw.b": "2"}, Outcome.PUBLISHED, a=Status.WARN, b=Status.PASS)
    failed = ran(4, {"raw.a": "3", "raw.b": "1"}, Outcome.FAILED, a=Status.FAIL, b=Status.PASS)
    newest = [failed, second, first]

    def statuses(**more: object) -> dict[str, tuple[str, str]]:
        current = release(3, {name: released(*at) for name, at in tables.items()}, **more)
        return {
            name.split(".")[2]: (one.status, one.run_id) for name, one in _statuses(newest, current).items()
        }

    tables = {"raw.a": ("1", "a"), "raw.b": ("1", "b")}
    back = {"rolls_back": True, "returns_to": 1, "run_id": "run-1"}
    assert statuses(**back) == {"a": ("pass", "run-1"), "b": ("pass", "run-4")}
    tables = {"raw.a": ("2", "a"), "raw.b": ("2", "b")}
    assert statuses(run_id="run-2") == {"a": ("warn", "run-2"), "b": ("pass", "run-2")}


def test_rows_that_newer_files_replaced_are_one_of_the_places(tmp_path: Path) -> None:
    assert balance(BOOK) == (
        "rows: 2,505 in raw.a = 1,991 in curated.a + 9 quarantined + 4 deduplicated + 501 replaced by newer files"
    )
    found = gathered(tmp_path, models=6, columns=2, runs=2)
    name = found.tables[0].name
    found.books = [replace(BooksShown.of(BOOK), raw=name)]
    found.not_counted = {"raw.other": "no quarantine <model> reads it"}
    build(found, tmp_path / "site")
    quality = (tmp_path / "site" / "quality.html").read_text(encoding="utf-8")
    assert "<dt>Landed</dt><dd>2,505</dd>" in quality
    assert "<dt>Replaced by newer files</dt><dd>501</dd>" in quality
    assert "Its rows are not counted: no quarantine &lt;model&gt; reads it." in quality
    table = (tmp_path / "site" / "table" / f"{name}.html").read_text(encoding="utf-8")
    said = f"2,505 in {name} = 1,991 in curated.a + 9 quarantined + 4 deduplicated + 501 replaced by newer files."
    assert said in table


def test_singular_tests_have_their_names_and_are_shown_once(tmp_path: Path) -> None:
    found = gathered(tmp_path, models=6, columns=2, runs=2)
    run = found.runs[0]
    tests = [TableTest(f"test.shop.{name}", name, "singular", "") for name in ("on_time", "in_order")]
    found.tables[:2] = [replace(table, tests=tests) for table in found.tables[:2]]
    found.statuses |= {test.unique_id: TestStatus("fail", 1, run.run_id, carried=False) for test in tests}
    first = found.tables[0].name
    build(found, tmp_path / "site")
    index = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    for name in ("on_time", "in_order"):
        said = f'href="run/{run.run_id}.html#failing">{name} of {first} fails with 1 failure.'
        assert index.count(said) == 1
        assert index.count(f"{name} of") == 1
        for page in ("quality.html", f"table/{first}.html"):
            text = (tmp_path / "site" / page).read_text(encoding="utf-8")
            assert f">{name}<" in text, page


def test_failures_of_a_run_that_was_not_published_are_shown_separately(tmp_path: Path) -> None:
    found = gathered(tmp_path, models=6, columns=2, runs=2)
    failing = [TestShown("test.shop.x.1", "x", "fail", 2, ["raw.a"])]
    found.runs[0] = replace(found.runs[0], outcome="failed", failing=failing, books=[BooksShown.of(BOOK)])
    build(found, tmp_path / "site")
    pages = [
        (tmp_path / "site" / name).read_text(encoding="utf-8") for name in ("index.html", "quality.html")
    ]
    assert (
        f"x of raw.a fails with 2 failures in run {found.runs[0].run_id}, which was not published."
        in pages[0]
    )
    assert "failed</b>" not in pages[0]
    assert "In the last run, which was not published" in pages[1]
    assert "2,505" not in pages[1]


def test_rows_are_shown_by_layer_and_only_those_that_were_counted(tmp_path: Path) -> None:
    found = gathered(tmp_path, models=6, columns=2, runs=2)
    found.history.releases[0] = replace(
        found.history.releases[0],
        changed=[
            ChangedTable("raw.a", 2505, 2004, 501, 0),
            ChangedTable("curated.a", 30, 20, 30, 20),
            ChangedTable("serving.a", 7, 7, 2, 2),
        ],
    )
    build(found, tmp_path / "site")
    index, releases, newest = (
        (tmp_path / "site" / name).read_text(encoding="utf-8")
        for name in ("index.html", "releases.html", "release/2.html")
    )
    assert "(rows: curated +10, raw +501)" in index
    assert "<td>curated&nbsp;+10, raw&nbsp;+501</td>" in releases
    assert newest.count("rewritten as a whole") == 1
    assert "slipway diff 1 2" in newest
    found.history.releases[0] = replace(
        found.history.releases[0], changed=[ChangedTable("raw.a", 2004, 2505)]
    )
    build(found, tmp_path / "site")
    back = (tmp_path / "site" / "release" / "2.html").read_text(encoding="utf-8")
    assert ">Difference<" in back
    assert ">Added<" not in back


@pytest.mark.parametrize(
    ("mode", "replaced"),
    [("append", []), ("replace", ["a 1"]), ("full", ["a 1", "b 2"])],
)
def test_files_that_newer_ones_replaced_are_marked(tmp_path: Path, mode: str, replaced: list[str]) -> None:
    found = gathered(tmp_path, models=6, columns=2, runs=2)
    written = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "files-of-the-shop",  # not the name of the feed
        "version": "1.0.0",
        "servers": [
            {
                "server": "landing",
                "type": "local",
                "path": "files/*.csv",
                "format": "csv",
                "customProperties": [{"property": "fileMode", "value": mode}],
            }
        ],
        "schema": [{"name": "files", "properties": [{"name": "id", "logicalType": "string"}]}],
    }
    contract, problems = read_contract(yaml.safe_dump(written), "files.odcs.yaml")
    assert contract is not None, problems
    found.project = Project(*described(6, 2, 2), [contract], {})
    found.landed = [landed("a", 1), landed("b", 2), landed("a", 3), landed("a", 4, verdict="rejected")]
    build(found, tmp_path / "site")
    files = json.loads((tmp_path / "site" / "api" / "landing.json").read_bytes())["files"]
    assert [f"{one['path']} {one['rows']}" for one in files[::-1] if one["replaced"]] == replaced
    page = (tmp_path / "site" / "landing.html").read_text(encoding="utf-8")
    assert page.count("replaced by a newer file") == len(replaced)


def landed(path: str, hour: int, verdict: str = "accepted") -> LandedFile:
    return LandedFile(
        feed="files", path=path, size_bytes=1, etag="", sha256=str(hour), rows=hour, verdict=verdict, reason="",
        landed_at=NOW + timedelta(hours=hour), run_id="r1",
    )  # fmt: skip


def test_a_file_that_waits_is_no_second_service_level(tmp_path: Path) -> None:
    found = gathered(tmp_path, models=6, columns=2, runs=2)
    fresh = Clock(
        contract="files",
        level="freshness",
        table="raw.files",
        since=NOW - timedelta(days=900),
        allowed=timedelta(hours=1),
        what="It came {ago}, and its",
    )
    found.clocks = [fresh, replace(fresh, level="waiting files", promises="freshness")]
    build(found, tmp_path / "site")
    index = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "<b data-late-count>1</b>" in index
    assert "and 1 service level<" in index


def test_runs_of_one_day_are_named_by_their_times_and_measured_in_a_unit_that_fits() -> None:
    def ran_at(moment: str, seconds: float) -> RunShown:
        return RunShown(moment, moment, "published", seconds=seconds)

    same = [ran_at("2024-05-01T10:00:00Z", 30.0), ran_at("2024-05-01T11:30:00Z", 45.0)]
    assert durations(same) == ("Seconds", [("10:00", 30), ("11:30", 45)])
    later = [*same, ran_at("2024-05-02T10:00:00Z", 600.0)]
    assert durations(later) == ("Minutes", [("05-01", 0.5), ("11:30", 0.75), ("05-02", 10)])
