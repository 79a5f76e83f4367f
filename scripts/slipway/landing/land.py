"""Landing: files that arrived are checked against their feed's contract and entered in a ledger; what is outstanding is reported.

The ledger, ``ops.landed_files``, records arrivals and verdicts outside releases. A file is *ingested*
when its sha256 is in the published raw table, so after a rollback it is simply not ingested any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Literal, NamedTuple

import duckdb

from slipway.contracts.model import EXTRA, Evolution, FileMode, OnRejected
from slipway.contracts.row_checks import UNKNOWN
from slipway.errors import ConflictError, UnavailableError
from slipway.iceberg.tables import Tables
from slipway.landing import file_versions
from slipway.landing.area import Arrival, landing_area
from slipway.landing.copies import PURPOSE, Copies
from slipway.landing.feed_files import FeedFiles, read_with_raw
from slipway.landing.feeds import Feed
from slipway.landing.first_look import Look
from slipway.landing.layouts import Layout
from slipway.landing.ledger import Entries, Ledger
from slipway.names import shown, twin_key
from slipway.processes import remove_left_over
from slipway.records.landed_files import LandedFile, Outstanding

Verdict = Literal["accepted", "rejected", "duplicate"]
Ingested = Callable[[str], Collection[str]]
"""Checksums of the contents that the raw table of a feed holds."""
_ATTEMPTS = 20
_PAUSE = 0.05  # seconds before the second attempt; longer before each further one
_MOMENT = timedelta(microseconds=1)


class _Known(NamedTuple):
    """What is known of a feed before its files are looked at.

    ``latest`` is path to its last entry, of what is there, ``accepted`` content to the entry that accepted it, of what is asked
    about, ``first`` content to a path that holds it now, and ``ingested`` tells the contents in raw.
    """

    latest: Mapping[str, LandedFile]
    accepted: Entries
    first: dict[str, str]
    ingested: Callable[[], Collection[str]]

    def is_open(self, feed: Feed, before: LandedFile) -> bool:
        """Whether a file has to be looked at again because the contract has changed since."""
        if before.contract == feed.digest:
            return False
        pending = before.sha256 in self.accepted and before.sha256 not in self.ingested()
        return before.verdict == "rejected" or pending


class Found(NamedTuple):
    """Contents that were looked for in the landing area: files that hold them, and entries of those that are gone."""

    files: list[LandedFile]
    missing: list[LandedFile]


class Landing:
    """The landing area of an environment and its ledger.

    Args:
        tables: of the environment.
        feeds: those of the project.
        among: the only keys of the landing area that are looked at; None for all. Of a feed each of whose files replaces all rows, all are
            looked at anyhow, because all of them decide which is the newest.
    """

    def __init__(self, tables: Tables, feeds: Sequence[Feed], among: Collection[str] | None = None) -> None:
        self._among = among
        self.feeds = {feed.name: feed for feed in feeds}
        self.area = landing_area(tables.environment.landing, tables.environment.catalog_properties)
        self.ledger = Ledger(tables)
        self._home = tables.environment.home
        self._files = FeedFiles(self.area, Copies(home=self._home))
        self._given: dict[str, list[LandedFile]] = {}
        self._marked: dict[str, list[LandedFile]] = {}
        self.empty: set[str] = set()
        """Feeds for which nothing was there to land."""
        self.changing: dict[str, set[str]] = {}
        """Feed to paths of files that changed while they were read."""

    def land(
        self,
        connection: duckdb.DuckDBPyConnection,
        run_id: str,
        now: datetime,
        ingested: Ingested,
        *,
        only: Collection[str] | None = None,
        again: Collection[str] = (),
        read_later: Collection[str] = (),
    ) -> list[LandedFile]:
        """Check what is new in every feed's folder and enter it in the ledger.

        Args:
            connection: reads the files.
            run_id: who looks.
            now: when.
            ingested: what raw holds.
            only: names of the feeds that are looked at; None for all.
            again: paths that are looked at even if the ledger knows them as they are.
            read_later: feeds whose raw table this process writes before it publishes anything, so that DuckDB need not read their large
                files twice: ``set_aside`` then takes those that it does not read as they were counted.

        Returns:
            The new entries.

        Raises:
            NotFoundError: there is no such landing area.
            ConflictError: others kept writing to the ledger at the same moment.
            UnavailableError: the ledger cannot be written, or a file of the store cannot be read.
        """
        if self.feeds:
            self.area.check()
        remove_left_over(PURPOSE, self._home)

        def entries(then: datetime) -> list[LandedFile]:
            return [
                entry
                for feed in self.feeds.values()
                if only is None or feed.name in only
                for entry in self._check(
                    connection, feed, run_id, then, ingested, again, is_read_later=feed.name in read_later
                )
            ]

        return self._entered(now, entries)

    def set_aside(
        self, connection: duckdb.DuckDBPyConnection, feed: str, run_id: str, now: datetime
    ) -> list[LandedFile]:
        """Set aside those of the given files of a feed that DuckDB does not read as they were counted.

        Args:
            connection: reads the files.
            feed: its name.
            run_id: who looks.
            now: when.

        Returns:
            The new entries.

        Raises:
            ConflictError: others kept writing to the ledger at the same moment.
            UnavailableError: the ledger cannot be written, or a file of the store cannot be read.
        """
        one = self.feeds[feed]
        checked = [(entry, self._files.check_again(connection, one, entry)) for entry in self.given(feed)]
        problems = [(entry, problem) for entry, problem in checked if problem]

        def entries(then: datetime) -> list[LandedFile]:
            found = {"verdict": "rejected", "rows": None, "layout": None, "landed_at": then, "run_id": run_id}
            return [entry.model_copy(update={**found, "reason": problem}) for entry, problem in problems]

        return self._entered(now, entries)

    def _entered(self, now: datetime, made: Callable[[datetime], list[LandedFile]]) -> list[LandedFile]:
        """Entries in the ledger, which are made again where others entered some meanwhile."""
        for attempt in range(_ATTEMPTS):
            time.sleep(_PAUSE * attempt)
            # the ledger's order is that of landing, also when this clock is behind that of an earlier run
            last = self.ledger.last_at()
            entries = made(max(now, last + _MOMENT) if last else now)
            if not entries or self.ledger.add(entries):
                return entries
            self.ledger.read_again()
        raise ConflictError(
            "Landing was not recorded", "other runs kept landing files at the same time", "Run again"
        )

    def find(self, feed: str, contents: Collection[str]) -> Found:
        """Where accepted contents are in the landing area now, in the order of landing.

        A content that was replaced under its own name by another is neither found nor missing: it was corrected.
        """
        if not contents:
            return Found([], [])
        there = self.there(feed)
        accepted = self.ledger.accepted(feed, contents).made()
        latest = self.ledger.latest(feed, {*there, *(entry.path for entry in accepted.values())}).made()
        holders: dict[str, str] = {}
        for path, entry in sorted(latest.items(), key=lambda item: (item[1].verdict != "accepted", item[0])):
            if entry.verdict != "rejected" and there.get(path) == (entry.size_bytes, entry.etag):
                holders.setdefault(entry.sha256, path)
        files, missing = [], []
        for entry in sorted(accepted.values(), key=lambda one: (one.landed_at, one.path)):
            if (holder := holders.get(entry.sha256)) is not None:
                now = latest[holder]
                same = {"path": holder, "size_bytes": now.size_bytes, "etag": now.etag}
                files.append(entry.model_copy(update=same))
            elif latest[entry.path].sha256 == entry.sha256:
                missing.append(entry)
        return Found(files, missing)

    def select(
        self, feed: str, files: Sequence[LandedFile], run_id: str, marked: Sequence[LandedFile] = ()
    ) -> str:
        """A query over accepted files: the contract's columns as text, and where each row came from.

        Args:
            feed: its name.
            files: whose rows are wanted.
            run_id: the run that reads them.
            marked: files that become current without bringing rows.
        """
        self._given[feed], self._marked[feed] = list(files), list(marked)
        return self._files.select(self.feeds[feed], files, run_id, marked, self._others(self.feeds[feed]))

    def columns(self, feed: str) -> list[str]:
        """The columns of a feed's rows that come of files: the contract's, and what files have besides, as far as it is kept."""
        one = self.feeds[feed]
        return [*one.columns, *self._others(one), *([EXTRA] if one.keeps_extra else [])]

    def _others(self, feed: Feed) -> list[str]:
        """Columns of accepted files that the contract does not name, in the order in which they came; none where they are kept in one."""
        return [] if feed.keeps_extra else self._unnamed(feed)

    def _unnamed(self, feed: Feed) -> list[str]:
        found: dict[str, str] = {}
        for noted in self.ledger.layouts(feed.name):
            for name in Layout.of(noted).others(feed.columns):
                found.setdefault(twin_key(name), name)
        return list(found.values())

    def replacing(self) -> list[str]:
        """Feeds whose files replace earlier ones."""
        return [feed.name for feed in self.feeds.values() if feed.mode is not FileMode.APPEND]

    def wanted(self, feed: str) -> set[str]:
        """Checksums of the contents that raw has to hold, and what has to be current in it where files replace others."""
        contents = set(self.ledger.with_rows(feed))
        mode = self.feeds[feed].mode
        if mode is not FileMode.APPEND:
            contents |= {
                file_versions.version(key, entry.sha256)
                for key, entry in file_versions.newest(mode, self.ledger.noted(feed)).items()
            }
        return contents

    def marks(
        self, feed: str, files: Sequence[LandedFile], pending: Collection[str], held: Collection[str]
    ) -> list[LandedFile]:
        """Files that become current without bringing rows; see ``file_versions.marks``."""
        mode = self.feeds[feed].mode
        if mode is FileMode.APPEND:
            return []
        return self.ledger.made(
            feed, file_versions.marks(mode, self.ledger.noted(feed), held, files, pending)
        )

    def withdraws(self, feed: str) -> bool:
        """Whether what was given out of a feed may take the place of rows that raw has."""
        mode = self.feeds[feed].mode
        given = [*self._given.get(feed, ()), *self._marked.get(feed, ())]
        return mode is not FileMode.APPEND and file_versions.withdraws(mode, self.ledger.noted(feed), given)

    def given(self, feed: str) -> list[LandedFile]:
        """The files of which this run reads the rows."""
        return self._given.get(feed, [])

    def settle(self, feed: str) -> None:
        """Forget the files that were given out of a feed: they are read, and were then still what they had been."""
        self._given.pop(feed, None)
        self._marked.pop(feed, None)

    def changed(self, feed: str) -> list[str]:
        """Paths of given files that hold something else now: their rows would be taken for those of what landed."""
        return [path for path, state in self._moved(feed) if state is not None]

    def moved(self, feed: str) -> list[str]:
        """Paths of given files that were replaced or removed since."""
        return [path for path, _ in self._moved(feed)]

    def replaced(self) -> str:
        """Which of the files that were given out and are not settled hold something else by now, in words."""
        found = [path for feed in self._given for path in self.changed(feed)]
        names = ", ".join(found[:3]) + (" …" if len(found) > 3 else "")
        return f"{names} was replaced while the run was under way; run again" if found else ""

    def _moved(self, feed: str) -> list[tuple[str, tuple[int, str] | None]]:
        files = self.given(feed)
        there = self.there(feed) if files else {}
        states = [(entry, there.get(entry.path)) for entry in files]
        return [(entry.path, now) for entry, now in states if now != (entry.size_bytes, entry.etag)]

    def unseen(self, feed: str) -> list[str]:
        """Paths in a feed's folder that the ledger does not know as they are now."""
        there = self.there(feed)
        latest = self.ledger.latest(feed, there).made()
        states = {path: (entry.size_bytes, entry.etag) for path, entry in latest.items()}
        return [path for path, state in there.items() if states.get(path) != state]

    def there(self, feed: str) -> dict[str, tuple[int, str]]:
        """Path to size and tag of what is in a feed's folder now."""
        return {arrival.info.key: _state(arrival) for arrival in self._arrivals(self.feeds[feed])}

    def listing(self) -> dict[str, list[Arrival]]:
        """Everything that is in the feeds' folders now, without what contracts ignore."""
        return {feed.name: self._arrivals(feed) for feed in self.feeds.values()}

    def unsettled(self, listing: Mapping[str, Sequence[Arrival]], ingested: Ingested) -> str:
        """What of a listing another look at the landing area might decide otherwise, in words; empty for nothing."""
        for feed in self.feeds.values():
            if self.ledger.from_the_future(feed.name):
                return f"files of {feed.name} landed by a clock that was ahead"
            known = self._known(feed, listing[feed.name], ingested)
            for arrival in listing[feed.name]:
                before = known.latest.get(arrival.info.key)
                if before is None or _state(arrival) != (before.size_bytes, before.etag):
                    return f"{arrival.info.key} is not what the ledger knows"
                if not before.sha256 or known.is_open(feed, before):
                    return f"{arrival.info.key} is looked at again by every run"
        return ""

    def _arrivals(self, feed: Feed) -> list[Arrival]:
        if self._among is None or feed.mode is FileMode.FULL:
            found = self.area.arrivals(feed.name)
        else:
            found = self.area.among(feed.name, self._among)
        return [one for one in found if not feed.is_ignored(one.info.key)]

    def _copies_elsewhere(self, feed: Feed, entries: Collection[LandedFile]) -> dict[str, str]:
        """Accepted contents to a path that still holds them, of files that are not looked at."""
        if self._among is None or feed.mode is FileMode.FULL:
            return {}
        elsewhere = {entry.path for entry in entries} - set(self._among)
        there = {one.info.key: _state(one) for one in self.area.among(feed.name, elsewhere)}
        latest = self.ledger.latest(feed.name, elsewhere).made()
        return {
            entry.sha256: path
            for path, entry in latest.items()
            if entry.verdict != "rejected" and there.get(path) == (entry.size_bytes, entry.etag)
        }

    def _check(
        self,
        connection: duckdb.DuckDBPyConnection,
        feed: Feed,
        run_id: str,
        now: datetime,
        ingested: Ingested,
        again: Collection[str],
        *,
        is_read_later: bool,
    ) -> list[LandedFile]:
        arrivals = self._arrivals(feed)
        known = self._known(feed, arrivals, ingested)
        entries, broken = [], []
        looked = self._new(feed, arrivals, known, again)
        contents = {look.sha256 for _, look in looked}
        known = known._replace(accepted=self.ledger.accepted(feed.name, contents))
        for content, path in self._copies_elsewhere(feed, known.accepted.made().values()).items():
            known.first.setdefault(content, path)
        unnamed = set(map(twin_key, self._unnamed(feed)))
        agreed = self._files.agree(connection, feed, looked) if len(looked) > 1 else set()
        if is_read_later:
            agreed |= read_with_raw(feed, looked)
        for arrival, look in looked:
            try:
                verdict, rows, reason, layout = self._decide(connection, feed, arrival, look, known, agreed)
            except UnavailableError as error:  # perhaps only because it is gone again
                broken.append((arrival, error))
                continue
            if verdict == "accepted" and layout is not None:
                known.first[look.sha256] = arrival.info.key
                new = [
                    name for name in Layout.of(layout).others(feed.columns) if twin_key(name) not in unnamed
                ]
                unnamed.update(map(twin_key, new))
                reason = _brings(feed, new)
            elif known.first.get(look.sha256) is None:
                self._files.forget(look.sha256)
            entries.append(
                LandedFile(
                    feed=feed.name,
                    path=arrival.info.key,
                    size_bytes=arrival.info.size,
                    etag=arrival.info.etag,
                    sha256=look.sha256,
                    rows=rows,
                    verdict=verdict,
                    reason=reason,
                    landed_at=now,
                    run_id=run_id,
                    contract=feed.digest,
                    layout=layout,
                )
            )
        if feed.mode is not FileMode.APPEND:  # one of them is the newest, by name
            entries = [
                entry.model_copy(update={"landed_at": now + number * _MOMENT})
                for number, entry in enumerate(entries)
            ]
        return self._settled(feed, entries, broken)

    def _settled(
        self, feed: Feed, entries: list[LandedFile], broken: Sequence[tuple[Arrival, UnavailableError]]
    ) -> list[LandedFile]:
        """Entries of files that are still what was looked at; the others wait for the next run."""
        if not entries and not broken:
            return []
        there = self.there(feed.name)
        for arrival, error in broken:
            if there.get(arrival.info.key) == _state(arrival):
                raise error
        moved = {entry.path for entry in entries if there.get(entry.path) != (entry.size_bytes, entry.etag)}
        moved |= {arrival.info.key for arrival, _ in broken}
        self.changing[feed.name] = moved & there.keys()
        gone = {entry.sha256 for entry in entries if entry.path in moved and entry.verdict == "accepted"}
        # a copy of what waits was called a duplicate of it; it is looked at again by the next run, too
        return [entry for entry in entries if entry.path not in moved and entry.sha256 not in gone]

    def _decide(
        self,
        connection: duckdb.DuckDBPyConnection,
        feed: Feed,
        arrival: Arrival,
        look: Look,
        known: _Known,
        agreed: Collection[str],
    ) -> tuple[Verdict, int | None, str, str | None]:
        """Verdict, rows, reason and layout, which an accepted file has."""
        key = arrival.info.key
        if problem := _hindrance(feed, arrival, look) or look.problem:
            return "rejected", None, problem, None
        if look.sha256 in known.first:
            return "duplicate", None, f"same content as {known.first[look.sha256]}", None
        before, later = known.accepted.get(look.sha256), known.latest.get(key)
        if before and later and (later.sha256, later.contract) == (look.sha256, feed.digest):
            return "duplicate", None, f"landed before with the same content, as {key}", None
        if before and look.sha256 in known.ingested():
            reason = (
                f"same content as {before.path} of {before.landed_at:%Y-%m-%d}, which raw.{feed.name} holds"
            )
            if self._is_replaced(before, key):
                reason += (
                    f"; what landed as {key} since then stays the newest"
                    if feed.mode is FileMode.APPEND
                    else "; it is current again"
                )
            return "duplicate", None, reason, None
        if look.sha256 in agreed and look.layout is not None:
            return "accepted", look.rows, "", look.layout.noted
        found = self._files.check(connection, feed, key, look)
        if found.problem:
            return "rejected", None, found.problem, None
        return "accepted", found.rows, "", found.layout.noted

    def _is_replaced(self, before: LandedFile, path: str) -> bool:
        """Whether another content was accepted at a path after that of an entry; a rejected one replaced nothing."""
        return any(
            entry.sha256 != before.sha256 and entry.landed_at > before.landed_at
            for entry in self.ledger.accepted_at(before.feed, path)
        )

    def _known(self, feed: Feed, arrivals: Sequence[Arrival], ingested: Ingested) -> _Known:
        latest = self.ledger.latest(feed.name, [arrival.info.key for arrival in arrivals]).made()
        accepted = self.ledger.accepted(feed.name, {entry.sha256 for entry in latest.values()})
        return _Known(latest, accepted, {}, cache(lambda: ingested(feed.name)))

    def _new(
        self, feed: Feed, arrivals: Sequence[Arrival], known: _Known, again: Collection[str]
    ) -> list[tuple[Arrival, Look]]:
        """What the ledger does not know as it is; ``known.first`` is filled in from the rest."""
        if not arrivals:
            self.empty.add(feed.name)
        looks: list[tuple[Arrival, Look]] = []
        for arrival in arrivals:
            before = known.latest.get(arrival.info.key)
            is_known = before and _state(arrival) == (before.size_bytes, before.etag)
            if before and is_known and arrival.info.key not in again:
                if before.sha256 and not known.is_open(feed, before):
                    if before.verdict != "rejected" and before.sha256 in known.accepted:
                        known.first.setdefault(before.sha256, before.path)
                    continue
                look = self._files.look(feed, arrival)
                if not before.sha256 and _hindrance(feed, arrival, look) == before.reason:
                    continue
            else:
                look = self._files.look(feed, arrival)
            looks.append((arrival, look))
        return looks


def _brings(feed: Feed, new: Sequence[str]) -> str:
    """What is said of a file with columns that no file had before and the contract does not name."""
    if not new:
        return ""
    names = ", ".join(map(shown, new[:8])) + (" …" if len(new) > 8 else "")
    kept = {
        Evolution.EVOLVE: f"raw.{feed.name} has a column for it now",
        Evolution.DISCARD_VALUE: f"its values are kept in {EXTRA} of raw.{feed.name}",
        Evolution.DISCARD_ROW: f"its values are kept in {EXTRA} of raw.{feed.name}, and rows that have one break the rule {UNKNOWN}",
    }[feed.unknown]
    return f"brings {names}, which the contract does not name: {kept}"


def _hindrance(feed: Feed, arrival: Arrival, look: Look) -> str:
    """Why a file is set aside whatever its first line is."""
    named = feed.name_problem(arrival.info.key.rsplit("/", 1)[-1])
    return arrival.obstacle or named or look.unreadable


def _state(arrival: Arrival) -> tuple[int, str]:
    return arrival.info.size, arrival.info.etag


_GONE = "it is gone, and nothing took its place"
_CHANGED = "it changed after it was accepted, and waits for the next run"
_VANISHED = "it was accepted, and is gone before it was ingested"
_CHANGES = "it changes while it is read, and waits for the next run"


def outstanding(landing: Landing, missing: Callable[[str], Sequence[LandedFile]]) -> list[Outstanding]:
    """What is outstanding in every feed's folder, and what else is in the landing area.

    Args:
        landing: the landing area after it was looked at.
        missing: accepted files of a feed that were not ingested and cannot be read any more.
    """
    found = [item for feed in landing.feeds.values() for item in _of_feed(landing, feed, missing(feed.name))]
    if landing.feeds:
        found += [
            Outstanding(path=name, reason="no contract describes it as a feed")
            for name in landing.area.others()
            if name.rstrip("/") not in landing.feeds
        ]
    return found


def _of_feed(landing: Landing, feed: Feed, missing: Sequence[LandedFile]) -> list[Outstanding]:
    there = landing.there(feed.name)
    blocks = feed.on_rejected is OnRejected.FAIL
    found: list[tuple[str, str, datetime | None, bool]] = []
    for entry in landing.ledger.rejected(feed.name):
        path = entry.path
        if feed.is_ignored(path):
            continue
        # what has another name was not expected, so that it can be removed and forgotten
        if path in there or not feed.name_problem(path.rsplit("/", 1)[-1]):
            reason = entry.reason if path in there else f"{entry.reason}; {_GONE}"
            found.append((path, reason, entry.landed_at, blocks))
    for entry in missing:
        changed = entry.path in there
        reason = _CHANGED if changed else _VANISHED
        found.append((entry.path, reason, entry.landed_at, blocks and not changed))
    found += [(path, _CHANGES, None, False) for path in sorted(landing.changing.get(feed.name, ()))]
    return [
        Outstanding(feed=feed.name, path=path, reason=reason, since=since, blocks=each)
        for path, reason, since, each in sorted(found, key=lambda item: item[0])
    ]
