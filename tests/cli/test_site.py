"""``slipway site build``: pages about what is published, which open offline, and dbt's own docs next to them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dbt.task.docs as task_docs
import pytest
from tests.harness.projects import TABLES

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

# a browser asks its maker for updates and the time; that is not the page
MAKER = re.compile(r"https?://([\w-]+\.)*(google\.com|googleapis\.com|gvt1\.com|gstatic\.com)/")


class Sources(HTMLParser):
    """What a page loads by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        is_icon = tag == "link" and values.get("rel") == "canonical"  # named, not loaded
        for name in ("src", "href", "data"):
            if tag in ("script", "img", "iframe", "link", "object") and values.get(name) and not is_icon:
                self.found.append(str(values[name]))


@pytest.fixture(scope="module")
def site(
    new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workshop, Path]:
    workshop = new_workshop(tmp_path_factory.mktemp("site"))
    # more than a thousand rows, which are written with a separator
    workshop.land("many.csv", [f"q{number},N,2024-05-03,1" for number in range(1200)])
    workshop.run()
    folder = workshop.folder / "a folder" / "site"
    printed = workshop.answer("site", "build", "--output-dir", str(folder))
    assert printed.startswith(f"{folder / 'index.html'}: 5 tables, 1 release, 1 run; ")
    return workshop, folder


def embedded(page: str, name: str) -> dict[str, Any]:
    """dbt's manifest or catalog in the page."""
    start = re.search(rf"[{{,]{name}:{{", page)
    assert start is not None
    found: dict[str, Any] = json.JSONDecoder().raw_decode(page, start.end() - 1)[0]
    return found


def test_there_is_a_page_for_everything(site: tuple[Workshop, Path]) -> None:
    workshop, folder = site
    (run,) = workshop.manifests()
    assert {path.stem for path in (folder / "table").iterdir()} == TABLES
    assert [path.name for path in (folder / "release").iterdir()] == ["1.html"]
    assert [path.name for path in (folder / "run").iterdir()] == [f"{run['run_id']}.html"]
    table = (folder / "table" / "serving.depot_weights.html").read_text(encoding="utf-8")
    rows = len(workshop.rows("serving.depot_weights"))
    assert f"<dt>Rows</dt><dd>{rows}</dd>" in table
    assert "from iceberg_scan(" in table
    quarantine = (folder / "table" / "quarantine.weights.html").read_text(encoding="utf-8")
    ((rule, count),) = run["conservation"][0]["by_rule"].items()
    assert re.search(rf"{rule}</th><td class=\"n\">{count}<", quarantine)
    release = (folder / "release" / "1.html").read_text(encoding="utf-8")
    assert release.count('<td><a href="../table/') == 5
    assert "day-1.csv" in (folder / "landing.html").read_text(encoding="utf-8")


def test_nothing_is_loaded_from_elsewhere(site: tuple[Workshop, Path]) -> None:
    _, folder = site
    pages = [path for path in folder.rglob("*.html") if path.name != "dbt.html"]
    assert len(pages) == 8 + 5 + 1 + 1
    for path in pages:
        page = path.read_text(encoding="utf-8")
        assert "Content-Security-Policy" in page
        assert "unsafe" not in page.partition("</head>")[0]
        for source in Sources(page).found:
            assert (path.parent / source).is_file(), (path.name, source)
        assert not re.search(r"<script(?![^>]* src=)|\son\w+=|\sstyle=", page), path.name
        for href in re.findall(r'href="([^"#]+)[^"]*"', page):
            assert (path.parent / href).is_file(), (path.name, href)


def test_what_it_says_is_there_as_json(site: tuple[Workshop, Path]) -> None:
    workshop, folder = site
    (run,) = workshop.manifests()
    found = {path.stem: json.loads(path.read_bytes()) for path in (folder / "api").iterdir()}
    assert {table["name"]: table["rows"] for table in found["tables"]} == {
        name: workshop.table(name).scan().count() for name in TABLES
    }
    assert [one["run_id"] for one in found["runs"]] == [run["run_id"]]
    assert [(one["number"], one["is_current"]) for one in found["releases"]] == [(1, True)]
    edges = {(parent, node["id"]) for node in found["lineage"] for parent in node["reads"]}
    assert {("landing.parcels", "raw.parcels"), ("reference.depots", "serving.depot_weights")} <= edges
    assert {one["path"] for one in found["landing"]["files"]} == {
        entry["path"] for entry in workshop.ledger()
    }
    assert found["quality"]["books"][0]["by_rule"] == run["conservation"][0]["by_rule"]


@pytest.mark.long
def test_the_docs_of_dbt_are_one_file_that_needs_no_other(site: tuple[Workshop, Path]) -> None:
    _, folder = site
    page = (folder / "dbt.html").read_text(encoding="utf-8")
    assert [source for source in Sources(page).found if not source.startswith(("data:", "${"))] == []
    # dbt docs would report visits to its makers
    assert embedded(page, "manifest")["metadata"]["send_anonymous_usage_stats"] is False


def test_rows_and_snapshots_are_those_of_the_published_tables(site: tuple[Workshop, Path]) -> None:
    workshop, folder = site
    catalog = embedded((folder / "dbt.html").read_text(encoding="utf-8"), "catalog")
    described = {
        f"{node['metadata']['schema']}.{node['metadata']['name']}": node for node in catalog["nodes"].values()
    }
    assert described.keys() == workshop.published().keys()
    for name, node in described.items():
        table = workshop.table(name)
        read = table.scan().to_arrow()
        values = {key: stat["value"] for key, stat in node["stats"].items()}
        files = [task.file.file_path.removeprefix("file://") for task in table.scan().plan_files()]
        assert (float(values["row_count"]), float(values["files"])) == (read.num_rows, len(files)), name
        assert float(values["size"]) == sum(Path(path).stat().st_size for path in files), name
        assert values["snapshot"] == f"#{table.metadata.current_snapshot_id}"
        assert values["engine"] == "duckdb"
        assert values["run"] == workshop.manifests()[0]["run_id"]
        assert [column["name"] for column in sorted(node["columns"].values(), key=lambda c: c["index"])] == (
            read.column_names
        )
    assert float(described["raw.parcels"]["stats"]["row_count"]["value"]) == 1205


def test_the_lineage_is_in_it(site: tuple[Workshop, Path]) -> None:
    _, folder = site
    manifest = embedded((folder / "dbt.html").read_text(encoding="utf-8"), "manifest")
    assert set(manifest["parent_map"]["model.parcels.depot_weights"]) == {
        "model.parcels.weights",
        "seed.parcels.depots",
    }
    assert manifest["parent_map"]["model.parcels.parcels_raw"] == ["source.parcels.landing.parcels"]


HOSTILE = (
    "</script><script>document.title = 'taken'</script> <!-- <script> \u2028 \"CATALOG.JSON INLINE DATA\" "
    "<img src=x onerror=\"document.title = 'taken'\"> [x](javascript:document.title='taken')"
)


class Scripts(HTMLParser):
    """The script elements of a page, as a browser finds them, and its policy."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.policy = ""
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag == "meta" and values.get("http-equiv") == "Content-Security-Policy":
            assert not self.texts  # it counts for what comes after it
            self.policy = str(values["content"])
        if tag == "script":
            assert not values.get("src")
            self.texts.append("")
        self._inside = tag == "script"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.texts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "script"


def test_texts_of_the_project_are_data_in_it(workshop: Workshop, tmp_path: Path) -> None:
    models = workshop.path / "models" / "_models.yml"
    text = models.read_text(encoding="utf-8")
    reported = re.search(r"- name: depot_weights\n(    description: .*\n)?", text)
    assert reported
    hostile = f"- name: depot_weights\n    description: {json.dumps(HOSTILE)}\n"
    models.write_text(text.replace(reported[0], hostile), encoding="utf-8")
    workshop.answer("site", "build", "--output-dir", str(tmp_path / "site"))
    index = tmp_path / "site" / "dbt.html"
    page = index.read_text(encoding="utf-8")
    manifest = embedded(page, "manifest")
    assert manifest["nodes"]["model.parcels.depot_weights"]["description"].strip() == HOSTILE.strip()
    template = Path(task_docs.__file__).parent / "index.html"
    scripts, own = Scripts(page), Scripts(template.read_text(encoding="utf-8"))
    assert len(scripts.texts) == len(own.texts) > 0
    assert [text for text in scripts.texts if text in own.texts] == [
        text for text in own.texts if "INLINE DATA" not in text
    ]
    allowed = re.findall(r"'sha256-([^']+)'", scripts.policy)
    assert allowed == [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts.texts
    ]
    assert "unsafe-inline" not in scripts.policy
    if found := shutil.which("chromium") or shutil.which("google-chrome"):
        shown_page = shown(found, f"{index.as_uri()}#!/model/model.parcels.depot_weights", tmp_path)
        assert "depot_weights" in shown_page
        assert "<title>taken" not in shown_page
        assert "document.title = 'taken'" in shown_page  # as text


@pytest.mark.long
def test_secrets_are_not_in_it(workshop: Workshop, tmp_path: Path) -> None:
    """Compiled SQL may hold a value that a secret has, too, and variables that were given to a run."""
    secret, given = "opens-the-lake-7", "only-for-this-run-8"
    model = workshop.path / "models" / "serving" / "depot_weights.sql"
    text = model.read_text(encoding="utf-8")
    comment = "-- {{ env_var('OPENED_BY') }} {{ var('noted', '') }} postgresql://ana:" + "word@host/lake\n"
    model.write_text(f"{comment}{text}", encoding="utf-8")
    env = {"OPENED_BY": secret, "DBT_ENV_SECRET_LAKE": secret}
    assert workshop.slipway("run", "--vars", f"noted: {given}", **env).code == 0
    assert workshop.slipway("site", "build", "--output-dir", str(tmp_path / "site"), **env).code == 0
    page = (tmp_path / "site" / "dbt.html").read_text(encoding="utf-8")
    compiled = embedded(page, "manifest")["nodes"]["model.parcels.depot_weights"]["compiled_code"]
    assert compiled.splitlines()[0].split() == ["--", "***", "postgresql://***:***@host/lake"]
    written = [path.read_text(encoding="utf-8") for path in (tmp_path / "site").rglob("*.*")]
    assert [value for value in (secret, given, "ana:word") for text in written if value in text] == []


@pytest.mark.long
def test_building_it_changes_nothing_that_is_published(site: tuple[Workshop, Path]) -> None:
    workshop, folder = site
    before = workshop.locations(), len(workshop.manifests())
    workshop.land("later.csv", ("q,N,2024-05-04,1",))
    workshop.answer("site", "build", "--output-dir", str(folder))  # over the old one
    assert (workshop.locations(), len(workshop.manifests())) == before
    landing = json.loads((folder / "api" / "landing.json").read_bytes())
    assert "later.csv" not in str(landing["files"])  # nobody has looked at it yet


def test_only_what_has_changed_is_written(site: tuple[Workshop, Path]) -> None:
    workshop, folder = site
    workshop.answer("site", "build", "--output-dir", str(folder))
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    pages = {path: path.stat().st_mtime_ns for path in before if path.name != "dbt.html"}
    workshop.answer("site", "build", "--output-dir", str(folder))
    assert {path: path.read_bytes() for path in folder.rglob("*.*") if path in pages} == {
        path: before[path] for path in pages
    }
    assert {path: path.stat().st_mtime_ns for path in pages} == pages


def test_figures_are_of_the_release_that_readers_see(workshop: Workshop, tmp_path: Path) -> None:
    """A run that failed is shown as one: its rows are in no balance, and its failing test is not one of the release."""
    workshop.run()
    workshop.land("later.csv", ("q1,S,2024-05-03,-4", "q2,S,2024-05-03,heavy"))
    failed = workshop.run(code=1)
    assert failed["conservation"][0]["landed"] == 7
    workshop.answer("site", "build", "--output-dir", str(tmp_path))
    quality = json.loads((tmp_path / "api" / "quality.json").read_bytes())
    (counted,) = json.loads(workshop.answer("books", "parcels", "-o", "json"))["totals"]
    assert counted["landed"] == 5
    assert [{name: book[name] for name in book.keys() & counted.keys()} for book in quality["books"]] == [
        {name: counted[name] for name in quality["books"][0].keys() & counted.keys()}
    ]
    name = "test.parcels.weights_are_positive"
    assert quality["tests"][name]["status"] == "pass"
    assert quality["not_published"]["run_id"] == failed["run_id"]
    assert [test["unique_id"] for test in quality["not_published"]["failing"]] == [name]
    pages = {page: (tmp_path / f"{page}.html").read_text(encoding="utf-8") for page in ("index", "quality")}
    assert "failed</b>" not in pages["index"]  # the tile of tests is next to that of the release
    assert f"in run {failed['run_id']}, which was not published." in pages["index"]
    assert f'run/{failed["run_id"]}.html#failing">weights_are_positive of curated.weights' in pages["index"]
    assert "In the last run, which was not published" in pages["quality"]
    quarantine = (tmp_path / "table" / "quarantine.weights.html").read_text(encoding="utf-8")
    assert "<dt>Rows</dt><dd>1</dd>" in quarantine
    assert "5 in raw.parcels = 4 in curated.weights + 1 quarantined" in quarantine
    run = (tmp_path / "run" / f"{failed['run_id']}.html").read_text(encoding="utf-8")
    assert f"slipway sql --run {failed['run_id']}" in run


def test_releases_have_sums_of_serving_tables(workshop: Workshop, tmp_path: Path) -> None:
    table = "serving.depot_weights"

    def build() -> tuple[list[dict[str, Any]], str]:
        workshop.answer("site", "build", "--output-dir", str(tmp_path))
        page = (tmp_path / "release" / "2.html").read_text(encoding="utf-8")
        found = json.loads((tmp_path / "api" / "releases.json").read_bytes())
        return [one for release in found for one in release["sums"].get(table, ())], page

    def published() -> dict[str, Any]:
        rows = workshop.table(table).scan().to_arrow().to_pylist()
        return {column: sum(row[column] for row in rows) for column in ("parcels", "kg")}

    workshop.run()
    before = published()
    workshop.land("later.csv", ("q1,S,2024-05-03,4.25",))
    workshop.run()
    after = published()
    shown, page = build()
    assert shown == [
        {
            "column": name,
            "before": str(before[name]),
            "after": str(after[name]),
            "difference": str(after[name] - before[name]),
        }
        for name in after
    ] + [{"column": name, "before": None, "after": str(before[name]), "difference": None} for name in before]
    assert f'<td class="n">{after["kg"]}</td>' in page
    # what has been classified since then is not taken over from the earlier build
    workshop.edit("contracts/parcels.odcs.yaml", "{name: kg, ", "{name: kg, classification: internal, ")
    shown, page = build()
    assert [one["column"] for one in shown] == ["parcels", "parcels"]
    assert str(after["kg"]) not in page


def starts(workshop: Workshop) -> int:
    """How often dbt was started so far."""
    log = (workshop.folder / "logs" / "dbt.log").read_text(encoding="utf-8")
    return log.count("MainReportVersion") or log.count("Running with dbt=")


@pytest.mark.long
def test_dbt_is_started_only_for_other_code(workshop: Workshop, tmp_path: Path) -> None:
    """A release changes what is shown of tables, and nothing that dbt would have to look at."""
    build = ("site", "build", "--output-dir", str(tmp_path))
    workshop.run()
    log = workshop.folder / "logs" / "dbt.log"
    before = log.stat().st_size
    workshop.answer(*build)
    parsed = log.read_bytes()[before:].decode()
    assert "Partial parsing enabled, no changes found" in parsed  # the run has parsed it
    assert "Unable to do partial parsing" not in parsed
    workshop.land("later.csv", ("q,N,2024-05-04,1",))
    workshop.run()
    counted = starts(workshop)
    workshop.answer(*build)
    assert starts(workshop) == counted
    catalog = embedded((tmp_path / "dbt.html").read_text(encoding="utf-8"), "catalog")
    rows = catalog["nodes"]["model.parcels.parcels_raw"]["stats"]["row_count"]["value"]
    assert rows == workshop.table("raw.parcels").scan().count()
    workshop.edit("models/_models.yml", "name: depot_weights", "name: depot_weights\n    group:")
    workshop.answer(*build)
    assert starts(workshop) == counted + 1
    (kept,) = (workshop.home / "docs").iterdir()
    (kept / "manifest.json").write_text("{}", encoding="utf-8")
    workshop.answer(*build)
    assert starts(workshop) == counted + 2


@pytest.mark.long
def test_the_catalog_is_that_of_dbt(site: tuple[Workshop, Path]) -> None:
    workshop, folder = site
    workshop.answer("site", "build", "--output-dir", str(folder))
    ours = embedded((folder / "dbt.html").read_text(encoding="utf-8"), "catalog")
    workshop.dbt("docs", "generate")
    dbts = json.loads((workshop.target / "catalog.json").read_bytes())
    assert ours["nodes"] == dbts["nodes"]
    assert ours["sources"] == dbts["sources"]
    assert ours.keys() == dbts.keys()
    assert ours["metadata"].keys() == dbts["metadata"].keys()


def test_before_anything_is_published(workshop: Workshop) -> None:
    printed = workshop.answer("site", "build")
    assert "site/index.html: 5 tables, 0 releases, 0 runs; " in printed
    page = (workshop.path / "site" / "index.html").read_text(encoding="utf-8")
    assert "There is no run yet" in page
    assert "nothing is published yet" in page
    assert (workshop.path / "site" / "index.html").is_file()
    assert workshop.published() == {}


def test_code_that_does_not_parse(workshop: Workshop) -> None:
    workshop.write("models/serving/depot_weights.sql", "select {{ ref('nothing_like_it') }}")
    (workshop.folder / "file").touch()
    message = workshop.refusal("site", "build", "--output-dir", str(workshop.folder / "file" / "sub"), code=2)
    assert message.startswith(f"--output-dir {workshop.folder}/file/sub cannot be made")
    message = workshop.refusal("site", "build", "--output-dir", str(workshop.folder / "site"), code=1)
    assert "nothing_like_it" in message
    assert not list((workshop.folder / "site").iterdir())


@pytest.fixture
def browser() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        if os.environ.get("SLIPWAY_REQUIRE_SERVERS") == "1":
            pytest.fail("chromium is required and not installed")
        pytest.skip("chromium is not installed: apt-get install chromium")
    return found


@pytest.mark.long
@pytest.mark.server
def test_a_browser_shows_it_without_a_network(
    site: tuple[Workshop, Path], browser: str, tmp_path: Path
) -> None:
    _, folder = site
    table = shown(browser, f"{(folder / 'dbt.html').as_uri()}#!/model/model.parcels.parcels_raw", tmp_path)
    assert "dev.raw.parcels" in table
    assert re.search(r"<dd[^>]*>\s*1,205\s*</dd>|>\s*1,205\s*<", table)  # rows
    assert re.search(r">\s*#\d{15,}\s*<", table)  # snapshot
    assert re.search(r">\s*\d+ (bytes|KB)\s*<", table)


def shown(browser: str, address: str, folder: Path) -> str:
    """The page as a browser builds it; the page asked nobody for anything."""
    log = folder / "net.json"
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={folder / 'profile'}",
        f"--log-net-log={log}",
        "--virtual-time-budget=10000",
        "--dump-dom",
        address,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    asked = set(re.findall(r'"url":"(https?://[^"]+)"', log.read_text(encoding="utf-8")))
    assert {url for url in asked if not MAKER.match(url)} == set()
    return done.stdout
