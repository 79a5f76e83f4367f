"""The folder of a site: what is written, what is taken as it is, and how pages share files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.site import site_folder
from slipway.site.site_folder import Page, SiteFolder, apart, bucket, bucket_count, packed, together, unpacked


def whole(title: str, part: str) -> str:
    return f"<title>{title}</title>{part}"


def build(folder: Path, pages: dict[str, str], made_with: str = "one") -> list[str]:
    """Write a site of pages of one kind, whose text is their input; the names of those that were rendered."""
    rendered = []

    def render(name: str) -> str:
        rendered.append(name)
        return f"<p>{pages[name]}"

    site = SiteFolder(folder, made_with)
    for name, text in pages.items():
        site.add("table", name, f"Table {name}", text, lambda name=name: render(name))  # type: ignore[misc]
    site.write_pages("table", whole)
    site.finish()
    return rendered


def test_a_page_is_rendered_again_only_when_its_inputs_change(tmp_path: Path) -> None:
    assert build(tmp_path, {"a": "1", "b": "1"}) == ["a", "b"]
    assert build(tmp_path, {"a": "1", "b": "1"}) == []
    assert build(tmp_path, {"a": "1", "b": "2"}) == ["b"]
    assert (tmp_path / "table" / "b.html").read_text() == "<title>Table b</title><p>2"
    assert build(tmp_path, {"a": "1", "b": "2"}, made_with="two") == ["a", "b"]


def test_what_is_gone_is_removed_and_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "CNAME").write_text("site.example")
    build(tmp_path, {"a": "1", "b": "1"})
    build(tmp_path, {"a": "1"})
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["a.html", "site.json"]
    assert (tmp_path / "CNAME").read_text() == "site.example"


def test_an_inventory_that_somebody_changed_removes_nothing_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("")
    build(tmp_path / "site", {"a": "1"})
    inventory = tmp_path / "site" / "api" / "site.json"
    found = json.loads(inventory.read_bytes())
    inventory.write_text(json.dumps({**found, "files": ["../kept", *found["files"]]}))
    build(tmp_path / "site", {"a": "1"})
    assert (tmp_path / "kept").exists()
    for broken in ("", "[]", '{"format": 1}'):
        inventory.write_text(broken)
        assert build(tmp_path / "site", {"a": "1"}) == ["a"]


def test_many_pages_share_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_folder, "PACK_FROM", 3)
    monkeypatch.setattr(site_folder, "_IN_A_PACK", 2)
    pages = {f"t{number}": str(number) for number in range(9)}
    assert sorted(build(tmp_path, pages)) == sorted(pages)
    files = {path.name: unpacked(path.read_text()) for path in (tmp_path / "data").iterdir()}
    assert len(files) == bucket_count(9) == 8
    for name in pages:
        page = apart(files[f"table-{bucket(name, 8):03d}.js"])[name]
        assert (page.title, page.part) == (f"Table {name}", f"<p>{name[1:]}")
        assert len(page.digest) == 16
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").iterdir()}
    assert build(tmp_path, {**pages, "t4": "four"}) == ["t4"]
    changed = [path.name for path in before if path.stat().st_mtime_ns != before[path]]
    assert changed == [f"table-{bucket('t4', 8):03d}.js"]
    build(tmp_path, {"t1": "1"})
    assert not (tmp_path / "data").exists()
    assert [path.name for path in (tmp_path / "table").iterdir()] == ["t1.html"]


@given(st.integers(0, 20_000))
def test_files_that_pages_share_are_a_power_of_two_and_not_large(pages: int) -> None:
    count = bucket_count(pages)
    assert count == 0 if pages <= site_folder.PACK_FROM else count & (count - 1) == 0
    assert pages <= site_folder.PACK_FROM or pages / count <= 64


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9)


@given(JSON)
def test_what_is_packed_comes_out_again_and_ends_no_script(value: object) -> None:
    script = packed("table-001", value)
    assert unpacked(script) == value
    assert "<" not in script


PAGES = st.dictionaries(
    st.text(), st.builds(Page, st.text(), st.text(), st.from_regex(r"(<section>|[a-z<])*", fullmatch=True))
)


@given(PAGES)
def test_pages_that_stand_together_come_apart_again(pages: dict[str, Page]) -> None:
    assert apart(together(pages)) == pages
