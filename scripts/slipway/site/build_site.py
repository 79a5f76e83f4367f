"""``slipway site build``: everything is gathered, each page is rendered if what it shows has changed, and dbt's own docs are put next to them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from slipway import __version__
from slipway.dbt.docs import documented
from slipway.environments.profiles import Profile
from slipway.errors import SlipwayError
from slipway.secrets import hide, hide_in
from slipway.site.dbt_page import page_of
from slipway.site.lineage_plot import draw, neighbours
from slipway.site.pages import ASSETS, Pages
from slipway.site.runs_shown import FEW_BARS, MOST_BARS, RunShown, timings
from slipway.site.site_facts import Gathered, gather
from slipway.site.site_folder import SiteFolder, bucket_count, packed
from slipway.site.tables_shown import TableShown
from slipway.site.views import Views, durations

LONG_PART = 250_000
"""Characters; a page that is longer is compressed in a file of its own, and unpacked by the browser."""
MOST_BOXES = 400
"""Tables, feeds and exposures that are drawn in one picture."""


@dataclass(frozen=True)
class SiteBuilt:
    """What was built: how many tables, releases and runs it describes, and how many files were written because they changed."""

    tables: int
    releases: int
    runs: int
    written: int


def build_site(project: Path, target: str | None, output_dir: Path) -> SiteBuilt:
    """Write the site, which opens without a server or a network.

    Args:
        project: folder of dbt_project.yml.
        target: the environment whose tables are shown.
        output_dir: it is there; other files in it stay.

    Raises:
        SlipwayError: dbt cannot generate the docs, or the records cannot be reached.
    """
    environment = Profile(project).environment(target)
    docs = documented(project, environment)
    folder = SiteFolder(output_dir, _made_with(environment.name))
    found = gather(project, environment, docs.manifest, docs.catalog, folder.earlier)
    site = Site(folder, found, str(docs.manifest["metadata"].get("project_name") or project.name))
    site.write()
    folder.write("dbt.html", page_of(docs.page, docs.manifest, docs.catalog))
    folder.finish()
    return SiteBuilt(len(found.tables), len(found.history.releases), len(found.runs), folder.written)


class Site:
    """Writes the pages of one site.

    Args:
        folder: where they go.
        found: what they tell.
        project: name of the dbt project.
    """

    def __init__(self, folder: SiteFolder, found: Gathered, project: str) -> None:
        counts = {
            "table": len(found.tables),
            "release": len(found.history.releases),
            "run": len(found.runs),
        }
        buckets = {kind: bucket_count(count) for kind, count in counts.items()}
        self._folder, self._found = folder, found
        self._pages = Pages(project, found.environment.name, found.as_of, buckets)
        self._views = Views(found, lambda kind, name: self._pages.link("", kind, name))
        self._frame = [project, {kind: bool(count) for kind, count in buckets.items()}]

    def write(self) -> None:
        """Write all but dbt's own page."""
        for path in sorted(ASSETS.iterdir()):
            self._folder.write(f"assets/{path.name}", path.read_bytes())
        views, found = self._views, self._found
        self._page("index.html", "Overview", "overview.html", **views.overview())
        self._page("tables.html", "Tables", "tables.html", tables=views.tables())
        self._lineage()
        releases = list(map(views.release_line, found.history.releases))
        guarantee = found.history.releases[0].guarantee if releases else ""
        self._page(
            "releases.html",
            "Releases",
            "releases.html",
            releases=releases,
            guarantee=f"The catalog guarantees: {guarantee}." if guarantee else "",
        )
        unit, times = durations([run for run in reversed(found.runs[:200]) if run.seconds is not None])
        self._page(
            "runs.html",
            "Runs",
            "runs.html",
            runs=list(map(views.run_line, found.runs)),
            times=times,
            unit=unit,
        )
        self._page("quality.html", "Quality", "quality.html", **views.quality())
        self._page("landing.html", "Landing", "landing.html", **views.landing())
        self._page("comparisons.html", "Comparisons", "comparisons.html", **views.comparisons())
        self._tables()
        self._releases()
        self._runs()
        for kind, title, at in (
            ("table", "Table", "tables.html"),
            ("release", "Release", "releases.html"),
            ("run", "Run", "runs.html"),
        ):
            self._write_pages(kind, title, at)
        self._search()
        self._api()

    def _write_pages(self, kind: str, title: str, at: str) -> None:
        if self._pages.is_packed(kind):
            self._folder.write(f"{kind}.html", self._pages.whole(title, "", at=at, pack=kind))
        self._folder.write_pages(kind, lambda name, part: self._pages.whole(name, part, at=at, root="../"))

    def _page(self, file: str, title: str, template: str, **given: Any) -> None:
        part = hide(self._pages.part(template, **given))
        name = ""
        if len(part) > LONG_PART:
            name = f"page-{file.partition('.')[0]}"
            self._folder.write(f"data/{name}.js", packed(name, part))
            part = ""
        self._folder.write(file, self._pages.whole(title, part, at=file, file=name))

    def _lineage(self) -> None:
        nodes = list(self._found.project.lineage.values())
        drawing = draw(nodes) if len(nodes) <= MOST_BOXES else None
        self._page(
            "lineage.html",
            "Lineage",
            "lineage.html",
            drawing=drawing,
            count=len(nodes),
            between=self._views.between_layers(),
            statuses=self._views.test_marks(),
            columns=bool(self._found.columns.tables),
        )
        self._folder.write("data/columns.js", packed("columns", hide_in(self._found.columns.shown())))

    def _tables(self) -> None:
        lineage = self._found.project.lineage
        read_by = {name: self._found.project.read_by(name) for name in lineage}
        marks = self._views.test_marks()

        def add(table: TableShown) -> None:
            view = self._views.table(table)
            near = neighbours(lineage, read_by, table.name)
            states = {one.id: dict(self._views.test_states[one.id]) for one in near}

            def render() -> str:
                part = self._pages.part("table.html", "table", **view, drawing=draw(near), statuses=marks)
                return hide(part)

            inputs = [view, near, states, self._frame]
            self._folder.add("table", table.name, table.name, inputs, render)

        for table in self._found.tables:
            add(table)

    def _releases(self) -> None:
        releases = self._found.history.releases
        for release, before in zip_longest(releases, releases[1:]):
            view = {
                "previous": before.number if before else None,
                "release": release,
                "known": self._views.known,
                "has_run": release.run_id in self._views.run_ids,
            }
            named = sorted(self._views.known.intersection(one.name for one in release.changed))

            def render(view: dict[str, Any] = view) -> str:
                return hide(self._pages.part("release.html", "release", **view))

            inputs = [release, view["previous"], view["has_run"], named, self._frame]
            self._folder.add("release", str(release.number), f"Release {release.number}", inputs, render)

    def _runs(self) -> None:
        for run in self._found.runs:
            failing = {test.unique_id for test in run.failing}
            compiled = {name: sql for name, sql in self._found.compiled.items() if name in failing}
            release = self._views.release_of(run)
            named = sorted(self._views.known.intersection(run.tables))

            def render(
                run: RunShown = run, compiled: dict[str, str] = compiled, release: int | None = release
            ) -> str:
                return hide(self._pages.part("run.html", "run", **self._run(run, compiled, release)))

            inputs = [run, compiled, release, named, self._frame]
            self._folder.add("run", run.run_id, f"Run {run.run_id}", inputs, render)

    def _run(self, run: RunShown, compiled: dict[str, str], release: int | None) -> dict[str, Any]:
        bars = []
        if run.seconds is not None and (manifest := self._found.manifest_of(run.run_id)):
            try:
                results = self._found.results_of(run.run_id)
            except SlipwayError:  # without them the plot does not say when a node began
                results = None
            bars = timings(manifest, results)
        same = [bar for bar in bars if bar.change in ("unchanged", "pinned")]
        all_drawn = len(bars) <= FEW_BARS
        if not all_drawn:  # what was built is what takes time
            bars = [bar for bar in bars if bar not in same]
        longest = {bar.name for bar in sorted(bars, key=lambda bar: -bar.seconds)[:MOST_BARS]}
        shown = [bar for bar in bars if bar.name in longest]
        return {
            "run": run,
            "compiled": compiled,
            "release": release,
            "known": self._views.known,
            "bars": shown,
            "left_out": len(bars) - len(shown),
            "same": 0 if all_drawn else len(same),
            "total": max((bar.begins + bar.seconds for bar in bars), default=0.0) or 1.0,
        }

    def _search(self) -> None:
        link = self._pages.link
        entries = [
            [
                table.name,
                table.kind,
                link("", "table", table.name),
                " ".join(one.name for one in table.columns),
            ]
            for table in self._found.tables
        ]
        entries += [
            [f"landing.{name}" if "." not in name else name, "feed", f"landing.html#{name}", ""]
            for name, node in self._found.project.lineage.items()
            if node.kind == "feed"
        ]
        entries += [
            [f"Release {one.number}", one.published_at[:10], link("", "release", one.number), one.run_id]
            for one in self._found.history.releases
        ]
        entries += [
            [run.run_id, run.outcome, link("", "run", run.run_id), run.commit] for run in self._found.runs
        ]
        self._folder.write("data/search.js", packed("search", hide_in(entries)))

    def _api(self) -> None:
        found, write = self._found, self._folder.write_json
        write("api/tables.json", _plain(found.tables))
        write("api/column_lineage.json", _plain(found.columns.record()))
        write("api/lineage.json", _plain(list(found.project.lineage.values())))
        write("api/releases.json", _plain(found.history.releases))
        write("api/runs.json", _plain(found.runs))
        quality = {
            "tests": dict(sorted(found.statuses.items())),
            "not_published": self._views.not_published(),
            "books": self._views.books(),
            "not_counted": found.not_counted,
        }
        write("api/quality.json", _plain(quality))
        landing = self._views.landing()
        write(
            "api/landing.json", _plain({name: landing[name] for name in ("outstanding", "files", "unknown")})
        )
        write("api/comparisons.json", _plain(self._views.comparisons()))
        overview = {
            "project": self._frame[0],
            "target": found.environment.name,
            "as_of": found.as_of,
            "attention": self._views.attention(),
            "feeds": self._views.feeds(),
            "levels": self._views.levels(),
        }
        write("api/overview.json", _plain(overview))


def _plain(value: object) -> object:
    """What JSON holds of records, in which values that are secrets are masked."""
    return hide_in(to_jsonable_python(value))


@cache
def _made_with(target: str) -> str:
    """A digest of the environment and of all files that decide how a page looks."""
    folder = Path(__file__).parent
    digest = hashlib.sha256(f"{__version__} {target}".encode())
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".py", ".html", ".css", ".js"):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
