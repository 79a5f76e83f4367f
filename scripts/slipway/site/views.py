"""What each page of the site is given: figures, plots and the state of things, worked out from what was gathered. Rules without input or output."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from slipway.alerts.service_clocks import judged_by
from slipway.contracts.model import FileMode
from slipway.counts import plural
from slipway.errors import ConfigError
from slipway.monitors.service_levels import length, words
from slipway.records.landed_files import LandedFile
from slipway.site.lineage_plot import BOX_WIDTH, Box
from slipway.site.releases_shown import ReleaseShown
from slipway.site.runs_shown import BooksShown, FeedShown, RunShown, moment, without_values
from slipway.site.site_facts import Gathered, TestStatus
from slipway.site.tables_shown import LANDING, TableShown, TableTest

_PLOTTED = 200
_FILES = 500
_EACH = 30
_SUMMARY = 160
_PIPS = 12
_UNITS = (("Hours", 3600), ("Minutes", 60), ("Seconds", 1))
_ORDER = ("serving", "curated", "quarantine", "raw", "reference")
_GOOD = ("pass",)


@dataclass(frozen=True)
class Attention:
    """Something that somebody should look at: ``state`` is ``bad`` or ``warn``."""

    state: str
    kind: str
    text: str
    link: str = ""
    command: str = ""


class Views:
    """The views of one site.

    Args:
        found: what was gathered.
        link: the address of a page by kind and name, from the first folder.
    """

    def __init__(self, found: Gathered, link: Callable[[str, object], str]) -> None:
        self._found, self._link = found, link
        self._complete = [run for run in found.runs if run.seconds is not None]
        self._released = {
            one.run_id: one.number for one in found.history.releases if one.kind in ("run", "promotion")
        }
        self.known = {table.name for table in found.tables}
        self.test_states: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for table in found.tables:
            states = (self._state(found.statuses.get(test.unique_id)) for test in table.tests)
            self.test_states[table.name] = Counter(states)
        self.run_ids = {run.run_id for run in found.runs}

    def overview(self) -> dict[str, Any]:
        """The first page."""
        published = [table for table in self._found.tables if table.is_published]
        tests = Counter(self._state(status) for status in self._found.statuses.values())
        expected = {test.unique_id for table in self._found.tables for test in table.tests}
        releases = self._found.history.releases
        return {
            "current": releases[0] if releases else None,
            "published": len(published),
            "bytes": sum(table.bytes or 0 for table in published),
            "tests": {
                "failed": tests["bad"],
                "warned": tests["warn"],
                "passed": tests["good"],
                "not_run": len(expected - self._found.statuses.keys()),
            },
            "feeds": self.feeds(),
            "levels": self.levels(),
            "attention": self.attention(),
            "layers": self._layers(),
            "exposures": [
                {**asdict(one), "summary": summary(one.description)} for one in self._found.project.exposures
            ],
            "releases": list(map(self.release_line, releases[:5])),
            "runs": list(map(self.run_line, self._found.runs[:5])),
        }

    def attention(self) -> list[Attention]:
        """What is broken, held back or unfinished, the worst first."""
        return sorted(self._attention(), key=lambda one: one.state != "bad")

    def _attention(self) -> Iterator[Attention]:
        found = self._found
        for note in found.notes:
            yield Attention("bad", "record", without_values(note), command="slipway doctor")
        if found.hold:
            why = f": {found.hold.reason}" if found.hold.reason else ""
            text = f"{found.environment.name} is on hold by {found.hold.who}{why}. Runs are refused."
            yield Attention("warn", "hold", text, command="slipway hold --lift")
        for run in self._complete[:1]:
            if run.outcome in ("failed", "refused"):
                yield Attention(
                    "bad", "run", f"The last run {run.outcome}: {run.reason}.", self._link("run", run.run_id)
                )
            if run.stale:
                text = (
                    f"{plural(run.stale, 'table', 'have', 'has')} rows that other code made than the present."
                )
                yield Attention("warn", "stale", text, self._link("run", run.run_id))
        yield from self._failing_tests()
        for book in self.books():
            if book.problem:
                yield Attention("bad", "rows", f"{book.problem}.", "quality.html")
        if found.landing and (files := [one for one in found.landing.outstanding if one.feed]):
            text = f"{plural(len(files), 'landed file', 'are', 'is')} not in raw."
            state = "bad" if found.landing.fails_runs else "warn"
            yield Attention(state, "files", text, "landing.html#outstanding")

    def _failing_tests(self) -> Iterator[Attention]:
        for one in self._each_failing():
            column = f".{one['test'].column}" if one["test"].column else ""
            text = f"{one['test'].label} of {one['table']}{column}" if one["table"] else one["test"].name
            text = f"{text} {_fails(one['found'].status, one['found'].failures)}."
            run_id = one["found"].run_id
            link = self._failing_of(run_id) if run_id in self.run_ids else "quality.html"
            yield Attention(_state_of(one["found"].status), "test", text, link)
        if last := self.not_published():
            for test in last["failing"]:
                of = f" of {', '.join(test.tables)}" if test.tables else ""
                text = f"{test.name}{of} {_fails(test.status, test.failures)} in run {last['run_id']}, which was not published."
                yield Attention(_state_of(test.status), "test", text, self._failing_of(last["run_id"]))

    def feeds(self) -> list[dict[str, Any]]:
        """When each feed brought its last file, and whether that was late at the newest moment of the records."""
        found = []
        for feed in self._feeds():
            limit = feed.error_after_seconds or feed.warn_after_seconds
            found.append(
                {
                    **asdict(feed),
                    "allowed": words(timedelta(seconds=limit)) if limit else "",
                    "late": self._is_late(feed, limit),
                }
            )
        return found

    def levels(self) -> list[dict[str, Any]]:
        """The service levels of contracts that count now, and whether each was kept at the newest moment of the records."""
        now = datetime.fromisoformat(self._found.as_of) if self._found.as_of else None
        return [
            {
                "contract": clock.contract,
                "level": clock.level,
                # a file that waits may break the promise of another level
                "promise": f"{clock.table} {clock.promises or clock.level}",
                "table": clock.table,
                "since": moment(clock.since),
                "allowed_seconds": clock.allowed.total_seconds(),
                "text": f"{clock.dated()}.",
                "late": now is not None and clock.is_late(now),
                "link": self._link("table", clock.table) if clock.table in self.known else "landing.html",
            }
            for clock in self._found.clocks
        ]

    def _feeds(self) -> list[FeedShown]:
        for run in self._complete:
            if run.feeds:
                now = {
                    f"{LANDING}.{feed.feed}": moment(feed.last_arrived_at)
                    for feed in (self._found.landing.feeds if self._found.landing else ())
                }
                return [
                    FeedShown(
                        one.source,
                        max(one.last_landed_at, now.get(one.source, "")),
                        one.warn_after_seconds,
                        one.error_after_seconds,
                    )
                    for one in run.feeds
                ]
        return []

    def _is_late(self, feed: FeedShown, limit: float | None) -> bool:
        if limit is None or not self._found.as_of:
            return False
        if not feed.last_landed_at:
            return True
        age = datetime.fromisoformat(self._found.as_of) - datetime.fromisoformat(feed.last_landed_at)
        return age.total_seconds() > limit

    def tables(self) -> list[dict[str, Any]]:
        """The list of all tables."""
        return [
            {
                **vars(table),
                "layer": table.layer,
                "label": label(table),
                "summary": summary(table.description),
                "bad": self.test_states[table.name]["bad"],
            }
            for table in self._found.tables
        ]

    def table(self, table: TableShown) -> dict[str, Any]:
        """The page of one table, without its lineage."""
        points = self._found.history.points.get(table.name, [])
        sized = [point for point in points if point.bytes is not None]
        queries: dict[str, list[str]] = {}
        if table.name in self._found.connection.tables:
            from slipway.query.examples import of_table

            queries = of_table(self._found.connection, table.name)
        lineage = self._found.columns.tables.get(table.name)
        tests = [(test, self._found.statuses.get(test.unique_id)) for test in table.tests]
        sources = {one for one in self._above(table) if one.startswith(f"{LANDING}.")}
        return {
            "table": {
                **vars(table),
                "layer": table.layer,
                "label": label(table),
                "is_published": table.is_published,
            },
            "points": points,
            "rows_plot": [(str(point.release), point.rows or 0) for point in points][-_PLOTTED:],
            "bytes_plot": [(str(point.release), point.bytes or 0) for point in sized][-_PLOTTED:],
            "classified": any(column.classification for column in table.columns),
            "tests": sorted(
                ({**vars(test), "label": test.label, "found": found} for test, found in tests),
                key=lambda one: (self._state(one["found"]) == "good", one["kind"], one["column"]),
            ),
            "books": [
                book for book in self.books() if table.name in (book.raw, book.curated, book.quarantine)
            ],
            "feeds": [feed for feed in self.feeds() if feed["source"] in sources],
            "queries": queries,
            "made": self._made(table),
            "lineage_unknown": lineage.unknown if lineage else "",
            "levels": [level for level in self.levels() if level["table"] == table.name],
            "waits_for": self._latency(table),
            "judged_by": {
                name: judged_by(name, {test.kind for test in table.tests})
                for name, *_ in (table.contract.levels if table.contract else ())
            },
            "stale": self._found.stale.get(table.name, ""),
        }

    def _made(self, table: TableShown) -> dict[str, list[tuple[str, str]]]:
        """Each column to the tables that its values are made from, with their columns in words."""
        lineage = self._found.columns.tables.get(table.name)
        return {
            column: [(parent, ", ".join(names)) for parent, names in made.items()]
            for column, made in (lineage.columns if lineage else {}).items()
            if made
        }

    def _latency(self, table: TableShown) -> str:
        """How long files may wait that the table is made from, as its contract says, while none waits; otherwise empty."""
        levels = table.contract.levels if table.contract else []
        waits = any(one.level == "latency" and one.table == table.name for one in self._found.clocks)
        if waits or not self._found.landing:
            return ""
        return next((_length(value, unit) for name, value, unit, _ in levels if name == "latency"), "")

    def _above(self, table: TableShown) -> set[str]:
        found, waiting = set[str](), list(table.reads)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                node = self._found.project.lineage.get(name)
                waiting += node.reads if node else ()
        return found

    def release_line(self, release: ReleaseShown) -> dict[str, Any]:
        """A release in a list, with how many rows it added to the tables of each layer, or took from them; in another layer the same rows stand again."""
        found: Counter[str] = Counter()
        for one in release.changed:
            if one.rows is not None:
                found[one.name.rpartition(".")[0]] += one.rows - (one.before or 0)
        return {**vars(release), "changed_rows": dict(sorted(found.items(), key=lambda of: _layer(of[0])))}

    def run_line(self, run: RunShown) -> dict[str, Any]:
        """A run in a list, with the release that it became."""
        return {**vars(run), "shown_as": self.release_of(run)}

    def release_of(self, run: RunShown) -> int | None:
        """The release that a run's tables were published as."""
        return self._released.get(run.run_id)

    def books(self) -> list[BooksShown]:
        """Where the rows of each raw table are that readers see."""
        return self._found.books

    def failing(self) -> list[dict[str, Any]]:
        """Tests that failed or warned when they last ran, with their tables."""
        found = []
        for table in self._found.tables:
            for test in table.tests:
                status = self._found.statuses.get(test.unique_id)
                if status is not None and status.status not in _GOOD:
                    found.append({"table": table.name, "test": test, "found": status})
        of_tables = {test.unique_id for table in self._found.tables for test in table.tests}
        for unique_id, status in sorted(self._found.statuses.items()):
            if (
                status.status not in _GOOD and unique_id not in of_tables
            ):  # of a model that is no table, or is gone
                test = TableTest(unique_id, unique_id, unique_id.partition(".")[0].replace("_", " "), "")
                found.append({"table": "", "test": test, "found": status})
        return found

    def _each_failing(self) -> list[dict[str, Any]]:
        """The same with each test once, also where it reads several tables."""
        return list({one["test"].unique_id: one for one in reversed(self.failing())}.values())[::-1]

    def not_published(self) -> dict[str, Any] | None:
        """The last run if readers do not see what it made and tests failed or warned in it: its id, outcome and these tests."""
        for run in self._complete[:1]:
            if run.outcome not in ("published", "unchanged") and run.failing:
                shown = self._found.statuses
                failing = [
                    test
                    for test in run.failing
                    if test.unique_id not in shown or shown[test.unique_id].run_id != run.run_id
                ]
                return {"run_id": run.run_id, "outcome": run.outcome, "failing": failing} if failing else None
        return None

    def _failing_of(self, run_id: str) -> str:
        """The address of the failing tests of a run."""
        link = self._link("run", run_id)
        return link if "#" in link else f"{link}#failing"

    def quality(self) -> dict[str, Any]:
        """The page on tests and quarantine."""
        runs = [run for run in reversed(self._complete) if run.tests.get("expected")][-_PLOTTED:]
        shown = [run for run in runs if run.outcome in ("published", "unchanged")]
        names = {book.quarantine for run in shown for book in run.books}
        return {
            "failing": self.failing(),
            "not_published": self.not_published(),
            "count": len(
                {test.unique_id for table in self._found.tables for test in table.tests}
                | self._found.statuses.keys()
            ),
            "tests_plot": [
                (name, run.tests["failed"] + run.tests["warned"])
                for name, run in zip(named(_unique(runs)), _unique(runs), strict=True)
            ],
            "quarantine_plots": [
                (
                    name,
                    [
                        (at, book.quarantined_rows)
                        for at, run in zip(named(_unique(shown)), _unique(shown), strict=True)
                        for book in run.books
                        if book.quarantine == name
                    ],
                )
                for name in sorted(names)
            ],
            "books": self.books(),
            "not_counted": self._found.not_counted,
        }

    def landing(self) -> dict[str, Any]:
        """The page on landed files."""
        status = {
            f"{LANDING}.{one.feed}": one for one in (self._found.landing.feeds if self._found.landing else ())
        }
        feeds = {feed["source"]: feed for feed in self.feeds()}
        names = sorted(
            {
                *status,
                *feeds,
                *(name for name, node in self._found.project.lineage.items() if node.kind == "feed"),
            }
        )
        shown = []
        for name in names:
            one, contract = status.get(name), self._found.project.feed(name.partition(".")[2])
            counts = []
            if one:
                counts = [
                    ("Files in the landing area", one.files),
                    ("Not looked at yet", len(one.unseen)),
                    ("Accepted, not in raw yet", len(one.waiting)),
                ]
            known = feeds.get(
                name,
                {
                    "last_landed_at": moment(one.last_arrived_at) if one else "",
                    "warn_after_seconds": None,
                    "error_after_seconds": None,
                    "allowed": "",
                },
            )
            shown.append(
                {
                    **known,
                    "source": name,
                    "counts": counts,
                    "contract": contract,
                    "read_by": [other for other in self._found.project.read_by(name) if other in self.known],
                }
            )
        files = sorted(self._found.landed, key=lambda one: (one.landed_at, one.path), reverse=True)
        is_replaced = self._is_replaced()
        outstanding = self._found.landing.outstanding if self._found.landing else ()
        return {
            "feeds": shown,
            "unknown": self._found.outstanding_unknown,
            "fails_runs": bool(self._found.landing and self._found.landing.fails_runs),
            "outstanding": [
                {"path": one.path, "reason": one.reason, "since": moment(one.since), "blocks": one.blocks}
                for one in outstanding
            ],
            "files": [_file(one, replaced=is_replaced(one)) for one in files[:_FILES]],
            "total": len(files),
        }

    def _is_replaced(self) -> Callable[[LandedFile], bool]:
        """Whether a file was accepted and its rows are not current, because a newer one took its place."""

        def place(one: LandedFile) -> tuple[str, str] | None:
            contract = self._found.project.feed(one.feed)
            mode = contract.landing.files.file_mode if contract and contract.landing else FileMode.APPEND
            if one.verdict != "accepted" or mode is FileMode.APPEND:
                return None
            return one.feed, "" if mode is FileMode.FULL else one.path

        newest: dict[tuple[str, str], datetime] = {}
        for one in self._found.landed:
            if at := place(one):
                newest[at] = max(newest.get(at, one.landed_at), one.landed_at)
        return lambda one: (at := place(one)) is not None and newest[at] > one.landed_at

    def comparisons(self) -> dict[str, Any]:
        """The page on canaries and shadow runs, newest first."""
        made = sorted(self._found.comparisons, key=lambda one: one.made_at, reverse=True)
        return {
            "comparisons": [{**dict(one), "made_at": moment(one.made_at)} for one in made],
            "shadows": [
                {
                    "started_at": moment(one.started_at),
                    "commit": one.code.commit or "",
                    "dirty": one.code.dirty,
                    "release": one.release,
                    "outcome": str(one.outcome),
                    "reason": without_values(one.reason),
                    "verdicts": one.verdicts,
                }
                for one in reversed(self._found.shadows)
            ],
        }

    def between_layers(self) -> list[tuple[str, str, int]]:
        """How often tables of one layer read those of another."""
        lineage = self._found.project.lineage
        found = Counter(
            (lineage[parent].layer, node.layer)
            for node in lineage.values()
            for parent in node.reads
            if parent in lineage
        )
        return [(source, target, count) for (source, target), count in sorted(found.items())]

    def test_marks(self) -> Callable[[str, Box], list[tuple[str, str, int]]]:
        """Marks for the tests of a table in its box: state, SVG path and count, those that failed first."""

        def marks(name: str, box: Box) -> list[tuple[str, str, int]]:
            found, at, counted = [], 0, self.test_states[name]
            for state in ("bad", "warn", "quiet", "good"):
                drawn = min(counted[state], _PIPS - at)
                if drawn > 0:
                    right = box.x + BOX_WIDTH - 12
                    path = "".join(f"M{right - 7 * (at + one)} {box.y + 33}h0" for one in range(drawn))
                    found.append((state, path, counted[state]))
                    at += drawn
            return found

        return marks

    def _layers(self) -> list[dict[str, Any]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for table in self.tables():
            shown = {**table, "is_published": bool(table["snapshot"])}
            found.setdefault(table["layer"], []).append(shown)
        names = sorted(found, key=_layer)
        return [{"name": name, "tables": found[name]} for name in names]

    @staticmethod
    def _state(found: TestStatus | None) -> str:
        if found is None:
            return "quiet"
        return {"pass": "good", "warn": "warn"}.get(found.status, "bad")


def _layer(name: str) -> tuple[int, str]:
    """The place of a layer among all, by its name."""
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)


def _fails(status: str, count: int | None) -> str:
    said = "warns" if status == "warn" else "fails"
    return f"{said} with {plural(count, 'failure')}" if count else said


def _state_of(status: str) -> str:
    return "warn" if status == "warn" else "bad"


def _length(value: str, unit: str) -> str:
    """A length of time of a contract in words, or as it is written where it is none."""
    try:
        return words(length(f"{value} {unit}"))
    except ConfigError:
        return f"{value} {unit}".strip()


def label(table: TableShown) -> str:
    """The name of a table without its layer."""
    return table.name.rpartition(".")[2]


def summary(description: str) -> str:
    """The first sentence of a description, cut where it is long."""
    text = " ".join(description.split())
    first, found, _ = text.partition(". ")
    text = f"{first}." if found else text
    return text if len(text) <= _SUMMARY else f"{text[: _SUMMARY - 1]}…"


def named(runs: Sequence[RunShown]) -> list[str]:
    """What the runs of a plot are called below it, oldest first: by their days, and by the time (UTC) where one day has several."""
    days = Counter(run.started_at[:10] for run in runs)
    if len(days) == 1 and len(runs) > 1:
        return [run.started_at[11:16] for run in runs]
    seen: set[str] = set()
    found = []
    for run in runs:
        day = run.started_at[:10]
        found.append(run.started_at[11:16] if day in seen else day[5:])
        seen.add(day)
    return found


def durations(runs: Sequence[RunShown]) -> tuple[str, list[tuple[str, float]]]:
    """How long runs took, oldest first, in the unit that fits the longest."""
    taken = [run.seconds or 0.0 for run in runs]
    unit, length = next(
        (unit, length) for unit, length in _UNITS if length == 1 or max(taken, default=0.0) >= 2 * length
    )
    return unit, [(name, seconds / length) for name, seconds in zip(named(runs), taken, strict=True)]


def _unique(runs: Sequence[RunShown]) -> list[RunShown]:
    """The last run of each day if there are many, so that a plot has one place for each."""
    if len(runs) <= _EACH:
        return list(runs)
    return list({run.started_at[:10]: run for run in runs}.values())


def _file(one: LandedFile, *, replaced: bool) -> dict[str, Any]:
    return {
        "path": one.path,
        "landed_at": moment(one.landed_at),
        "verdict": one.verdict,
        "replaced": replaced,
        "rows": one.rows,
        "size_bytes": one.size_bytes,
        "reason": one.reason,
    }
