"""Pages of a made-up project: every text is data, and nothing but the site's own script runs."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from benchmarks.site import build, described, gathered

from slipway.site.pages import POLICY, prose
from slipway.site.site_facts import TestStatus
from slipway.site.site_folder import Page, apart, unpacked
from slipway.site.tables_shown import Project

HOSTILE = (
    """</script><script>alert(1)</script>"><img src=x onerror='alert(1)'> `code` {{ 7 * 7 }} & ]]> \u2028"""
)


class Elements(HTMLParser):
    """The elements and the text of a page, as a browser finds them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site in which everything that people write is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    found = gathered(folder, models=6, columns=3, runs=3)
    manifest, catalog = described(6, 3, 6)
    for node in manifest["nodes"].values():
        node["description"] = HOSTILE
        for column in node.get("columns", {}).values():
            column["description"] = HOSTILE
    manifest["exposures"]["exposure.shop.board"] |= {"description": HOSTILE, "label": HOSTILE, "url": HOSTILE}
    found.project = Project(manifest, catalog, [], {f"raw.{one}": [HOSTILE] for one in ("x",)})
    found.tables = found.project.tables()
    found.notes = [HOSTILE]
    found.outstanding_unknown = HOSTILE
    found.compiled = {"test.shop.t0": HOSTILE}
    build(found, folder)
    return folder


def test_texts_are_data_in_every_page(hostile: Path) -> None:
    pages = list(hostile.rglob("*.html"))
    assert len(pages) == 8 + 6 + 3 + 3
    seen = 0
    for path in pages:
        page = Elements(path.read_text(encoding="utf-8"))
        tags = [tag for tag, _ in page.found]
        assert tags.count("script") == 1, path.name
        assert "img" not in tags
        assert not [given for _, given in page.found if any(name.startswith("on") for name in given)]
        policy = next(given for tag, given in page.found if given.get("http-equiv"))
        assert policy["content"] == POLICY
        seen += "alert(1)" in page.text
    assert seen >= 6 + 2
    assert "unsafe" not in POLICY


def test_names_in_scripts_end_none(hostile: Path) -> None:
    assert "<" not in (hostile / "data" / "search.js").read_text(encoding="utf-8")


def test_prose_is_escaped_and_shows_code() -> None:
    assert prose("a `b<i>` c") == "a <code>b&lt;i&gt;</code> c"
    assert prose("a ` b <i>") == "a ` b &lt;i&gt;"


def test_the_same_records_make_the_same_site(tmp_path: Path) -> None:
    for name in ("one", "two"):
        build(gathered(tmp_path, models=12, columns=4, runs=4), tmp_path / name)
    one, two = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("one", "two")
    )
    assert one == two


def test_a_release_adds_its_page_and_leaves_those_of_others(tmp_path: Path) -> None:
    build(gathered(tmp_path, models=8, columns=3, runs=3), tmp_path / "site")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "site").rglob("*.html")}
    build(gathered(tmp_path, models=8, columns=3, runs=4), tmp_path / "site")
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "site").rglob("*.html")}
    names = {path.relative_to(tmp_path / "site").as_posix() for path in after.keys() - before.keys()}
    assert {name.partition("/")[0] for name in names} == {"release", "run"}
    kept = [path for path in before if path.parent.name == "run" and before[path] == after[path]]
    assert len(kept) == 3


def test_a_packed_site_has_every_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from slipway.site import site_folder

    monkeypatch.setattr(site_folder, "PACK_FROM", 5)
    build(gathered(tmp_path, models=9, columns=2, runs=6), tmp_path / "site")
    site = tmp_path / "site"
    assert {path.name for path in site.iterdir() if path.is_dir()} == {"api", "assets", "data"}
    pages: dict[str, Page] = {}
    for path in (site / "data").glob("table-*.js"):
        pages |= apart(unpacked(path.read_text(encoding="utf-8")))
    names = {table["name"] for table in json.loads((site / "api" / "tables.json").read_bytes())}
    assert pages.keys() == names
    links = {link for page in pages.values() for link in re.findall(r'href="(\w+\.html)#', page.part)}
    assert {"table.html", "lineage.html"} <= links
    assert 'data-pack="table" data-buckets="1"' in (site / "table.html").read_text(encoding="utf-8")


def test_a_failing_test_is_shown_whatever_it_reads(tmp_path: Path) -> None:
    found = gathered(tmp_path, models=6, columns=2, runs=2)
    (of_table, *_) = found.tables[0].tests
    for unique_id in (of_table.unique_id, "test.shop.of_an_ephemeral_model.1"):
        found.statuses[unique_id] = TestStatus("fail", 3, found.runs[0].run_id, carried=False)
    build(found, tmp_path / "site")
    overview = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    quality = (tmp_path / "site" / "quality.html").read_text(encoding="utf-8")
    link = f"run/{found.runs[0].run_id}.html#failing"
    assert f'href="{link}">not_null of {found.tables[0].name}' in overview
    for page in (overview, quality):
        assert "test.shop.of_an_ephemeral_model.1" in page
        assert "3 failures" in page
    assert "Nothing is late" in overview.partition("data-none hidden")[2]


def test_a_site_before_the_first_release(tmp_path: Path) -> None:
    build(gathered(tmp_path, models=6, columns=2, runs=0), tmp_path / "site")
    assert "There is no release yet" in (tmp_path / "site" / "releases.html").read_text(encoding="utf-8")
