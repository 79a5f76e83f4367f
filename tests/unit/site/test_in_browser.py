"""The site in a real browser, opened from a folder: nothing is refused, asked for or overflowing; search, lineage and themes work."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from benchmarks.site import build, described, gathered
from dbt.task import docs

from slipway.governance.column_lineage import TableLineage
from slipway.records.landed_files import Outstanding
from slipway.runs.landed_now import FeedNow, LandedNow
from slipway.site import site_folder
from slipway.site.columns_shown import ColumnLineage
from slipway.site.dbt_page import page_of
from slipway.site.runs_shown import FeedShown

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.long, pytest.mark.server]
PAGES = ("index", "tables", "lineage", "releases", "runs", "quality", "landing", "comparisons")
TABLE = "serving.product_channel_0008"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        if os.environ.get("SLIPWAY_REQUIRE_SERVERS") == "1":
            pytest.fail("chromium is required and not installed")
        pytest.skip("chromium is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


def made(folder: Path) -> Path:
    """A site with something to say on every page."""
    found = gathered(folder, models=12, columns=5, runs=4)
    found.runs[0] = replace(
        found.runs[0], feeds=[FeedShown("landing.files", "2024-01-02T06:00:00Z", 60, 120)]
    )
    found.landing = LandedNow(
        "prod",
        [],
        [FeedNow("files", 3, [], [])],
        [
            Outstanding(
                feed="files", path="files/late.csv", reason="its header has another column", blocks=True
            )
        ],
        fails_runs=True,
    )
    table, parent = found.tables[-1], found.tables[-1].reads[0]
    first, second = (one.name for one in table.columns[:2])
    lineage = TableLineage(
        table=table.name,
        parents=[parent],
        columns={first: {parent: ["a<b>"]}, second: {}},
        rows={parent: ["n"]},
    )
    found.columns = ColumnLineage({table.name: lineage}, {table.name: ""})
    build(found, folder)
    manifest, catalog = described(12, 5, 6)
    template = Path(docs.__file__).parent / "index.html"
    (folder / "dbt.html").write_text(
        page_of(template.read_text(encoding="utf-8"), manifest, catalog), encoding="utf-8"
    )
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same where pages share files, and with dbt's page compressed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site_folder, "PACK_FROM", 3)
        patch.setattr("slipway.site.dbt_page._LARGE", 100)
        return made(tmp_path_factory.mktemp("packed"))


@dataclass
class Seen:
    """What a browser complained about, and what it asked for."""

    problems: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


def opened(browser: Browser, width: int = 1280, scheme: str = "light") -> tuple[Page, Seen]:
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
    )
    context.set_default_timeout(10_000)
    page, seen = context.new_page(), Seen()
    page.on("console", lambda said: seen.problems.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: seen.problems.append(str(error)))
    page.on("request", lambda request: seen.asked.append(request.url))
    return page, seen


def overflow(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_opens(browser: Browser, site: Path, width: int, scheme: str) -> None:
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    page, seen = opened(browser, width, scheme)
    run = next((site / "run").iterdir()).stem
    for name in (*PAGES, f"table/{TABLE}", "release/2", f"run/{run}"):
        page.goto((site / f"{name}.html").as_uri())
        assert page.locator("h1").count() == 1, name
        assert overflow(page) <= 0, name
        assert seen.problems == [], name
        page.evaluate(axe)
        found = page.evaluate("axe.run()")["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [(one["id"], one["nodes"][0]["html"]) for one in serious] == [], name
        seen.problems.clear()  # axe asks for the style sheets, which the policy refuses
    assert [url for url in seen.asked if not url.startswith(site.as_uri())] == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    chosen = page.evaluate("document.documentElement.dataset.theme")
    assert chosen == ("light" if scheme == "dark" else "dark")
    page.goto((site / "index.html").as_uri())
    assert page.evaluate("document.documentElement.dataset.theme") == chosen
    page.context.close()


def test_search_leads_to_tables_columns_and_runs(browser: Browser, site: Path) -> None:
    page, seen = opened(browser)
    page.goto((site / "release" / "1.html").as_uri())
    page.keyboard.press("/")
    page.keyboard.type("product channel")
    page.locator("#found li").first.wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url("**/table/serving.product_channel_0008.html")
    page.locator("#search").fill("customer_1")  # no table has it in its name
    small = page.locator("#found li small").first
    small.wait_for()
    assert "column" in small.inner_text()
    page.locator("#search").fill("nothing like it")
    page.get_by_text("Nothing has this name.").wait_for()
    page.keyboard.press("Escape")
    assert page.locator("#found").is_hidden()
    assert seen.problems == []
    page.context.close()


def test_columns_are_followed(browser: Browser, site: Path) -> None:
    (lineage,) = json.loads((site / "api" / "column_lineage.json").read_bytes())
    (parent,), table = lineage["parents"], lineage["table"]
    first, second = lineage["columns"]
    page, seen = opened(browser)
    page.goto((site / "table" / f"{table}.html").as_uri())
    page.locator(".made a", has_text="a<b>").click()
    page.get_by_role("heading", name=f"{table}.{first} is made from").wait_for()
    assert page.locator("#columnlineage li").all_inner_texts() == [f"{parent}: a<b>"]
    near = page.locator("#whole .box.is-near").evaluate_all("all => all.map((one) => one.dataset.id)")
    assert set(near) == {table, parent}
    page.locator("#columnsearch").fill(f"{parent}.n")
    page.get_by_role("heading", name=f"{parent}.n is used for").wait_for()
    assert page.locator("#columnlineage li").all_inner_texts() == [f"{table}: which rows there are"]
    page.locator("#columnsearch").fill(f"{table}.{second}")
    page.get_by_role("heading", name=f"{table}.{second} is made from: nothing").wait_for()
    assert seen.problems == []
    page.context.close()


def test_lineage_is_followed_to_a_table(browser: Browser, site: Path) -> None:
    page, seen = opened(browser)
    page.goto((site / "lineage.html").as_uri())
    assert page.locator(".box").count() == 12 + 2
    box = page.locator(f'.box[data-id="{TABLE}"]')
    box.click()
    near = page.locator(".box.is-near").count()
    assert 1 < near < 14
    assert "related" in page.locator("#chosen").inner_text()
    box.click()
    page.wait_for_url(f"**/table/{TABLE}.html")
    parent = page.locator('.box:not(.centre)[href*="serving"], .box:not(.centre)[href*="curated"]').first
    name = parent.get_attribute("data-id")
    parent.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/table/{name}.html")
    page.goto((site / "lineage.html").as_uri() + f"#{TABLE}")
    assert page.locator(".box.is-chosen").get_attribute("data-id") == TABLE
    assert seen.problems == []
    page.context.close()


def inside(page: Page, graph: str, boxes: str) -> list[bool]:
    """Whether each box is in the part of a graph that can be seen."""
    edge = page.locator(graph).bounding_box()
    assert edge is not None
    places = [box.bounding_box() for box in page.locator(boxes).all()]
    return [
        place is not None
        and place["x"] >= edge["x"] - 1
        and place["x"] + place["width"] <= edge["x"] + edge["width"] + 1
        for place in places
    ]


def test_a_graph_that_fits_is_shown_as_a_whole_and_one_box_can_be_read_on_a_phone(
    browser: Browser, site: Path
) -> None:
    page, _ = opened(browser)
    for address in (f"table/{TABLE}.html", f"lineage.html#{TABLE}"):
        name, _, place = address.partition("#")
        page.goto((site / name).as_uri() + (f"#{place}" if place else ""))
        seen = inside(page, ".graph", ".graph .box.feed, .graph .box.exposure")
        assert seen
        assert all(seen), address
    page.context.close()
    page, _ = opened(browser, 390)
    page.goto((site / "lineage.html").as_uri())
    box = page.locator(".box.feed").first.bounding_box()
    assert box is not None
    assert box["width"] > 120
    page.context.close()


def test_lists_are_filtered_and_ordered(browser: Browser, site: Path) -> None:
    page, seen = opened(browser)
    page.goto((site / "tables.html").as_uri())
    page.locator("[data-filter=tables]").fill("serving")
    assert page.locator("#tables tbody tr:visible").count() == 4
    page.locator("[data-filter=tables]").fill("")
    page.locator("#tables th", has_text="Rows").locator("button").click()
    rows = [
        int(cell.replace(",", "")) for cell in page.locator("#tables tbody td:nth-child(7)").all_inner_texts()
    ]
    assert rows == sorted(rows)
    assert len(rows) == 12
    assert seen.problems == []
    page.context.close()


def test_long_lists_show_their_first_rows_and_what_is_asked_for(browser: Browser, tmp_path: Path) -> None:
    build(gathered(tmp_path, models=620, columns=2, runs=2), tmp_path)
    page, seen = opened(browser)
    page.goto((tmp_path / "tables.html").as_uri())
    page.get_by_text("500 of 620 are shown").wait_for()
    assert page.locator("#tables tbody tr:visible").count() == 500
    page.locator("[data-filter=tables]").fill("_0619")
    assert page.locator("#tables tbody tr:visible").count() == 1
    page.locator("[data-filter=tables]").fill("")
    page.locator("#tables th", has_text="Rows").locator("button").click()
    page.locator("#tables th", has_text="Rows").locator("button").click()
    assert page.locator("#tables tbody tr:visible td:nth-child(7)").first.inner_text() == "619,017"
    assert page.locator("#tables tbody tr:visible").count() == 500
    assert seen.problems == []
    page.context.close()


def test_what_is_late_is_so_by_the_clock_of_the_reader(browser: Browser, site: Path) -> None:
    page, _ = opened(browser)
    for moment, late in (("2024-01-02T06:01:00Z", False), ("2024-01-02T06:03:00Z", True)):
        page.clock.set_fixed_time(moment)
        page.goto((site / "index.html").as_uri())
        assert page.locator("li[data-late]").is_visible() is late
        assert page.locator("[data-late-count]").inner_text() == str(int(late))
        page.goto((site / "landing.html").as_uri())
        assert ("is-late" in str(page.locator(".state").get_attribute("class"))) is late
    assert page.get_by_text("its header has another column").is_visible()
    page.context.close()


def test_pages_that_share_files_are_put_together(browser: Browser, packed: Path) -> None:
    page, seen = opened(browser, 390)
    page.goto((packed / "tables.html").as_uri())
    page.get_by_role("link", name=TABLE).click()
    page.locator("h1", has_text=TABLE.rpartition(".")[2]).wait_for()
    assert page.title().startswith(TABLE)
    assert overflow(page) <= 0
    assert page.locator("#columnlist tbody tr").count() == 5
    page.locator(".facts dd a").first.click()
    page.locator("h1", has_text="Release").wait_for()
    page.locator(".facts a").first.click()
    page.locator("h2", has_text="Timings").wait_for()
    page.goto((packed / "table.html").as_uri() + "#serving.<img src=x onerror=alert(1)>")
    page.get_by_text("There is no page about serving.<img").wait_for()
    assert seen.problems == []
    page.context.close()


def test_the_docs_of_dbt_open_when_they_are_compressed(browser: Browser, packed: Path, site: Path) -> None:
    for folder in (site, packed):
        page, seen = opened(browser)
        page.goto((folder / "dbt.html").as_uri() + "#!/model/model.shop.product_channel_0008")
        page.get_by_role("heading", name="product_channel_0008").first.wait_for()
        refused = [text for text in seen.problems if "Content Security Policy" in text]
        assert refused == []
        page.get_by_role("link", name="Back to the site").click()
        page.wait_for_url("**/index.html")
        page.context.close()
    assert "model.shop.product_channel_0008" not in (packed / "dbt.html").read_text(encoding="utf-8")


def test_it_can_be_read_without_scripts_and_on_paper(browser: Browser, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "table" / f"{TABLE}.html").as_uri())
    assert page.locator("#columnlist tbody tr").count() == 5
    page.emulate_media(media="print")
    assert page.locator("nav.menu").is_hidden()
    assert page.locator("h1").is_visible()
    context.close()
