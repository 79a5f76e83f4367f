"""What a run takes from the landing area: for each feed the accepted files that its raw table does not hold yet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from slipway.contracts.contract_files import read_contracts
from slipway.contracts.model import Bounds, FileMode
from slipway.engines.duckdb.scan import Views
from slipway.landing.feeds import Feed, read_feeds
from slipway.landing.file_versions import current, newest, version, versions_query
from slipway.landing.land import Landing, outstanding
from slipway.landing.ledger import contents_key
from slipway.names import TableName
from slipway.records.landed_files import InputVolume, LandedFile, Outstanding
from slipway.releases.table_state import read_state
from slipway.runs.pinned_tables import PinnedTables

if TYPE_CHECKING:
    import duckdb
    from pyiceberg.table import Table


Query = Callable[[str], Sequence[tuple[Any, ...]]]


@dataclass(frozen=True)
class Offer:
    """What a run gives its raw model of one feed.

    Args:
        files: what the model reads.
        marked: files that become current without bringing rows.
        key: changes when and only when there is something else to read.
        missing: accepted files that raw does not hold, and that cannot be read any more.
        lost: those of them that raw holds, and that writing it anew would take from it.
    """

    files: Sequence[LandedFile]
    key: str
    missing: Sequence[LandedFile] = field(default=())
    lost: Sequence[LandedFile] = field(default=())
    marked: Sequence[LandedFile] = field(default=())


def contents_held(
    table: Table, landing: Landing, feed: str, query: Query, scan: Callable[[], str]
) -> Collection[str]:
    """Checksums of the contents that a raw table holds, and which are current in it where files replace others.

    Args:
        table: the raw table.
        landing: of the environment.
        feed: the feed.
        query: rows of a query, asked only where the table's state does not tell.
        scan: the table in FROM.
    """
    wanted = landing.wanted(feed)
    if read_state(table).inputs.get(f"landing.{feed}") == contents_key(wanted):
        return wanted  # the set of files is what it was
    mode = landing.feeds[feed].mode
    if mode is FileMode.APPEND:
        return {row[0] for row in query(f"select distinct _file_sha256 from {scan()}")}
    held = {row[0] for row in query(f"select distinct _file_sha256 from {scan()} where _source_line > 0")}
    return held | {version(*row) for row in query(versions_query(mode, scan()))}


class Intake:
    """What one run takes from the landing area.

    Args:
        project: folder of dbt_project.yml.
        run_id: the run.
        pinned: what is published.
        views: for queries over raw tables.
        is_replaced: whether this run writes a raw table anew, so that it has to read again what it holds already.
        lock: of the run.

    Attributes:
        landed: the files that this run entered in the ledger.
        outstanding: what is in the landing area, or was, and not in raw; empty where the run does not look at it.
    """

    def __init__(
        self,
        project: Path,
        run_id: str,
        pinned: PinnedTables,
        views: Views,
        is_replaced: Callable[[TableName], bool],
        lock: threading.RLock,
    ) -> None:
        self._project, self._run_id, self._pinned, self._views = project, run_id, pinned, views
        self.is_replaced, self._lock = is_replaced, lock
        self._offers: dict[str, Offer] = {}
        self.landed: list[LandedFile] = []
        self.outstanding: list[Outstanding] = []

    @cached_property
    def landing(self) -> Landing:
        """The landing area of the environment; a slice of nothing published yet keeps a ledger of its own."""
        places = self._pinned.places
        return Landing(places.outputs if self._is_first else places.inputs, read_feeds(self._project))

    @cached_property
    def _is_first(self) -> bool:
        """Whether a slice is asked for before there is a raw table to cut it from."""
        places = self._pinned.places
        if not places.is_slice or places.pins is not None:
            return False
        published = self._pinned.locations(places.inputs)
        return any(("raw", feed.name) not in published for feed in read_feeds(self._project))

    def begin(self, written: Collection[str] = ()) -> None:
        """Enter what is new in the ledger, unless the inputs are given or those of a slice are published.

        Args:
            written: feeds whose raw tables this run writes.
        """
        places = self._pinned.places
        if places.pins is not None or (places.is_slice and not self._is_first):
            return
        now = datetime.now(UTC)
        self.landed = self.landing.land(
            self._views.cursor, self._run_id, now, self.ingested, read_later=written
        )
        self._offers.clear()
        self._look_for_outstanding()

    def offer(self, feed: str) -> Offer:
        """What the raw model of a feed reads, decided once."""
        with self._lock:
            if feed not in self._offers:
                self._offers[feed] = self._decide(feed)
            return self._offers[feed]

    def set_aside(self, cursor: duckdb.DuckDBPyConnection, feed: str) -> list[LandedFile]:
        """Set aside those of the offered files of a feed that DuckDB does not read as they were counted; returns their entries."""
        with self._lock:
            now = datetime.now(UTC)
            found = self.landing.set_aside(cursor, feed, self._run_id, now)
            refused = {entry.path for entry in found}
            self.landed = [entry for entry in self.landed if entry.path not in refused] + found
            return found

    def decide_again(self, feed: str) -> None:
        """Offer the files of a feed that are still what they were, and name the others as outstanding."""
        with self._lock:
            self._offers.pop(feed)
            self._look_for_outstanding()

    def ingested(self, feed: str) -> Collection[str]:
        """Checksums of the contents that the published raw table of a feed holds."""
        table = self._pinned.base(TableName("raw", feed))
        if table is None:
            return ()
        return contents_held(table, self.landing, feed, self._views.query, lambda: self._views.scan(table))

    def volumes(self, built: Collection[TableName]) -> list[InputVolume]:
        """How much this run read of each feed whose contract says how much it expects.

        The first load of a feed is not measured, because it brings a history. Nor is a feed that brought no file: its freshness tells of that.

        Args:
            built: tables that this run built; of a feed whose raw table is not among them nothing was read but files without rows.
        """
        found = []
        for contract in read_contracts(self._project):
            feed, settings = Feed.of(contract), contract.settings
            bounds: dict[Literal["rows", "bytes"], Bounds | None] = {
                "rows": settings.input_rows_per_run,
                "bytes": settings.input_bytes_per_run,
            }
            if feed is None or not any(bounds.values()):
                continue
            if not (files := self._brought(feed.name, is_built=TableName("raw", feed.name) in built)):
                continue
            sums = {
                "rows": sum(one.rows or 0 for one in files),
                "bytes": sum(one.size_bytes for one in files),
            }
            found += [
                InputVolume(
                    feed=feed.name,
                    contract=contract.origin,
                    unit=unit,
                    found=sums[unit],
                    files=len(files),
                    least=bound.min,
                    most=bound.max,
                )
                for unit, bound in bounds.items()
                if bound
            ]
        return found

    def _brought(self, feed: str, *, is_built: bool) -> list[LandedFile]:
        """Files of a feed that the run read and whose rows published raw does not hold; none if there is no such table yet."""
        if self._pinned.base(TableName("raw", feed)) is None:
            return []
        empty = [
            one for one in self.landed if one.feed == feed and one.verdict == "accepted" and not one.rows
        ]
        if not is_built:
            return empty
        held = self.ingested(feed)
        return [*empty, *(one for one in self.offer(feed).files if one.sha256 not in held)]

    def current(self, identifier: TableName, scan: str) -> str:
        """A condition for what models see of a raw table whose files replace others; empty for any other table.

        Args:
            identifier: a table.
            scan: it, in FROM.
        """
        feed = self.landing.feeds.get(identifier[1]) if identifier[0] == "raw" else None
        if feed is None or feed.mode is FileMode.APPEND:
            return ""
        newest = {row[1] for row in self._views.query(versions_query(feed.mode, scan))}
        held = self._views.query(f"select distinct _file_sha256 from {scan}")
        return current({row[0]: row[0] in newest for row in held})

    def show(self, database: str, feed: str) -> None:
        """Make what is offered of a feed readable under the name of its dbt source."""
        offer = self.offer(feed)
        select = self.landing.select(feed, offer.files, self._run_id, offer.marked)
        self._views.select(database, TableName("landing", feed), select, offer.key)

    def _look_for_outstanding(self) -> None:
        self.outstanding = outstanding(self.landing, lambda feed: self.offer(feed).missing)

    def _decide(self, feed: str) -> Offer:
        """What the raw model of a feed reads in this run; nothing where it is pinned to what is published."""
        raw, contents = TableName("raw", feed), self.landing.wanted(feed)
        if self._pinned.whole_input(raw) is not None:
            return Offer([], contents_key(contents))
        table = self._pinned.base(raw)
        known = self.ingested(feed) if table is not None else ()
        anew = table is None or self.is_replaced(raw)
        pending = contents if anew else contents.difference(known)
        files, missing = self.landing.find(feed, pending)
        marked = self.landing.marks(feed, files, pending, known)
        brought = newest(self.landing.feeds[feed].mode, [*files, *marked])
        left_out = pending.difference(
            {entry.sha256 for entry in files}, {version(key, entry.sha256) for key, entry in brought.items()}
        )
        return Offer(
            files,
            contents_key(contents - left_out),
            [entry for entry in missing if entry.sha256 not in known],
            [entry for entry in missing if entry.sha256 in known],
            marked,
        )
