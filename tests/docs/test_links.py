"""What the pages point to is there."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.harness.example import of_example

if TYPE_CHECKING:
    from tests.docs.conftest import Page

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
PLACES = r"\.ci|\.github|contracts|docs|macros|models|python_models|scripts|seeds|tests"
PATH = re.compile(rf"`((?:{PLACES})/[\w./-]+)`")
IN_SOURCES = re.compile(r"\bdocs/[\w/-]+\.md\b")

# files that a how-to has its reader write
YOURS = {
    ".github/workflows/slipway.yml",
    ".github/workflows/slipway-comment.yml",
    ".github/workflows/slipway-main.yml",
    ".github/workflows/slipway-nightly.yml",
    ".github/workflows/slipway-release.yml",
    ".github/workflows/scheduled-run.yml",
    "contracts/parcels.odcs.yaml",
    "models/raw/parcels.sql",
    "models/serving/weekday_revenue.sql",
    "python_models/serving/revenue_outliers.py",
    "scripts/analytics/outliers.py",
}


def links(page: Page) -> list[str]:
    return [found for found in LINK.findall(page.prose) if "://" not in found]


def anchors(page: Page) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def target(page: Page, link: str) -> str:
    """The file that a link names, relative to the project."""
    path = link.partition("#")[0]
    return posixpath.normpath(posixpath.join(posixpath.dirname(page.name), path)) if path else page.name


def test_links_lead_to_files(pages: dict[str, Page], files: list[str]) -> None:
    broken = [
        f"{page.name}: {link}"
        for page in pages.values()
        for link in links(page)
        if target(page, link) not in files
    ]
    assert broken == []


def test_anchors_lead_to_headings(pages: dict[str, Page]) -> None:
    broken = [
        f"{page.name}: {link}"
        for page in pages.values()
        for link in links(page)
        if "#" in link and link.partition("#")[2] not in anchors(pages[target(page, link)])
    ]
    assert broken == []


def test_paths_in_the_text_exist(pages: dict[str, Page]) -> None:
    named = {path for page in pages.values() for path in PATH.findall(page.prose)}
    assert {path for path in named - YOURS if not (ROOT / path).exists() and not of_example(path)} == set()
    assert {path for path in YOURS if (ROOT / path).exists()} == set()
    assert {path for page in pages.values() for path in PATH.findall(page.text)} >= YOURS


def test_pages_that_the_sources_name_exist(files: list[str]) -> None:
    missing = {
        f"{name}: {path}"
        for name in files
        if name.endswith((".py", ".sql", ".yml", ".yaml", ".toml", ".in", ".sh"))
        or name.startswith("scripts/")
        for path in IN_SOURCES.findall((ROOT / name).read_text(encoding="utf-8"))
        if path not in files
    }
    assert missing == set()


def test_every_page_is_in_the_index(pages: dict[str, Page]) -> None:
    listed = {target(pages["docs/index.md"], link) for link in links(pages["docs/index.md"])}
    assert {name for name in pages if name.startswith("docs/")} - listed == {"docs/index.md"}


def test_decisions_are_numbered_and_have_the_same_parts(pages: dict[str, Page]) -> None:
    decisions = sorted(name for name in pages if name.startswith("docs/decisions/"))
    numbers = [int(Path(name).name[:4]) for name in decisions]
    assert len(set(numbers)) == len(numbers)
    for name in decisions:
        assert pages[name].text.startswith(f"# {Path(name).name[:4]}: "), name
        headings = re.findall(r"^## (.+)$", pages[name].prose, re.MULTILINE)
        assert headings[0] == "Context", name
        assert headings[-1] == "How it was checked", name


def test_a_row_of_a_table_is_one_line_with_the_cells_of_its_heading(pages: dict[str, Page]) -> None:
    wrong = []
    for name, page in pages.items():
        width = 0
        for line in page.prose.splitlines():
            cells = len(re.split(r"(?<!\\)\|", line.strip())) - 2 if line.startswith("|") else 0
            if cells and not (line.rstrip().endswith("|") and cells == (width or cells)):
                wrong.append(f"{name}: {line[:80]}")
            width = cells
    assert wrong == []
