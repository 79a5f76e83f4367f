"""Landing without a run: files are looked at and entered in the ledger, or their state is reported."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb

from slipway.engines.duckdb.engine import connect
from slipway.engines.duckdb.scan import scanning, whole_scan
from slipway.environments.environment import Environment, Mode
from slipway.environments.profiles import Profile, find_project
from slipway.errors import NotFoundError
from slipway.iceberg.tables import Tables
from slipway.landing.feeds import read_feeds
from slipway.landing.land import Found, Landing, outstanding
from slipway.names import TableName
from slipway.records.landed_files import LandedFile, Outstanding
from slipway.records.run_ids import new_run_id
from slipway.records.store import Records
from slipway.releases.published import visible_tables
from slipway.runs.intake import contents_held
from slipway.storage.objects import canonical


@dataclass(frozen=True)
class FeedNow:
    """How the files of a feed stand.

    Args:
        feed: its name.
        files: how many are in its folder.
        unseen: paths that nobody has looked at as they are now.
        waiting: accepted files whose rows the next run adds to raw.
        waits_since: when the oldest of both began to wait, UTC; None where there is none. A file waits from its arrival, or from the rollback that
            took its rows from readers.
        last_landed_at: when the last file arrived that was accepted, UTC.
        last_arrived_at: the same, also of files that nobody has looked at; by their time in the store, unless that is in the future.
        withdrawn: those of ``waiting`` whose rows readers saw until a rollback.
    """

    feed: str
    files: int
    unseen: Sequence[str]
    waiting: Sequence[str]
    waits_since: datetime | None = None
    last_landed_at: datetime | None = None
    last_arrived_at: datetime | None = None
    withdrawn: Sequence[str] = ()


@dataclass(frozen=True)
class LandedNow:
    """How the landing area of an environment stands.

    Args:
        target: the environment.
        landed: what was entered in the ledger just now.
        feeds: how each feed's files stand.
        outstanding: what is not in raw and should be.
        fails_runs: whether runs fail because of it.
    """

    target: str
    landed: Sequence[LandedFile]
    feeds: Sequence[FeedNow]
    outstanding: Sequence[Outstanding]
    fails_runs: bool


def land(project_dir: Path | None, target: str | None, feed: str | None = None) -> LandedNow:
    """Look at what is new in the landing area, or in the folder of one feed.

    Raises:
        NotFoundError: there is no such feed, or no landing area.
    """
    with _opened(project_dir, target) as at:
        if feed is not None and feed not in at.landing.feeds:
            known = ", ".join(at.landing.feeds) or "none"
            raise NotFoundError(
                f"There is no feed {feed}", f"contracts/ describes {known}", "Name one of them"
            )
        return at.now(at.land(None if feed is None else [feed]))


@dataclass(frozen=True)
class LandedFiles:
    """What came of files of which somebody said that they have arrived.

    Args:
        target: the environment.
        landed: what was entered in the ledger just now.
        waiting: those whose rows the next run adds to raw.
        absent: keys with which there is nothing to do: no feed has such a file, or it is not there any more.
    """

    target: str
    landed: Sequence[LandedFile]
    waiting: Sequence[LandedFile]
    absent: Sequence[str]


def land_files(project_dir: Path | None, target: str | None, locations: Collection[str]) -> LandedFiles:
    """Look at some files of the landing area, without listing it.

    Args:
        project_dir: folder of the project.
        target: the environment.
        locations: where they are, ``s3://bucket/key`` or a path; also of files elsewhere, which are absent.
    """
    project = find_project(project_dir)
    root = canonical(Profile(project).environment(target).landing)
    keys = {
        where: place.removeprefix(f"{root}/")
        for where in locations
        if (place := canonical(where)).startswith(f"{root}/")
    }
    with _opened(project_dir, target, keys.values()) as at:
        feeds = {key.partition("/")[0] for key in keys.values()} & at.landing.feeds.keys()
        landed = at.land(feeds)
        there = {key for feed in feeds for key in at.landing.there(feed)}
        waiting = [entry for feed in sorted(feeds) for entry in at.waiting(feed)]
        return LandedFiles(
            target=at.environment.name,
            landed=landed,
            waiting=[entry for entry in waiting if entry.path in there],
            absent=[where for where in locations if keys.get(where) not in there],
        )


def retry(project_dir: Path | None, target: str | None, files: Sequence[str] = ()) -> LandedNow:
    """Look again at files that were set aside, or at those of them that are named.

    Args:
        project_dir: folder of the project.
        target: the environment.
        files: paths below the landing area, or names.

    Raises:
        NotFoundError: no file that was set aside is called so.
    """
    with _opened(project_dir, target) as at:
        aside = at.aside()
        wanted = {path for path in aside if not files or path in files or path.rsplit("/", 1)[-1] in files}
        for name in files:
            if not any(name in (path, path.rsplit("/", 1)[-1]) for path in wanted):
                some = ", ".join(aside[:3]) + (" …" if len(aside) > 3 else "")
                raise NotFoundError(
                    f"No file {name} is set aside",
                    f"set aside are {some}" if aside else "none is",
                    "slipway land status lists them",
                )
        feeds = {path.partition("/")[0] for path in wanted}
        return at.now(at.land(feeds, wanted) if wanted else [])


def status(project_dir: Path | None, target: str | None) -> LandedNow:
    """How the landing area stands now; nothing is looked at and nothing is written."""
    with _opened(project_dir, target) as at:
        if at.landing.feeds:
            at.landing.area.check()
        return at.now([])


class _At:
    """One environment while its landing area is looked at."""

    def __init__(
        self,
        environment: Environment,
        project: Path,
        connection: duckdb.DuckDBPyConnection,
        among: Collection[str] | None = None,
    ) -> None:
        self.environment, self._connection = environment, connection
        self._tables = Tables(environment)
        self._records = Records(environment)
        self._locations = visible_tables(self._tables, self._records).locations
        self.landing = Landing(self._tables, read_feeds(project), among)
        self.ingested = lru_cache(self._ingested)

    def land(self, only: Collection[str] | None, again: Collection[str] = ()) -> list[LandedFile]:
        now = datetime.now(UTC)
        return self.landing.land(
            self._connection, new_run_id(now), now, self.ingested, only=only, again=again
        )

    def aside(self) -> list[str]:
        """Paths of files that are set aside and are still there."""
        found = []
        for feed in self.landing.feeds:
            there = self.landing.there(feed)
            found += [entry.path for entry in self.landing.ledger.rejected(feed) if entry.path in there]
        return found

    def waiting(self, feed: str) -> list[LandedFile]:
        """Accepted files whose rows the next run adds to raw."""
        return self._pending(feed).files

    def _pending(self, feed: str) -> Found:
        return self.landing.find(feed, self.landing.wanted(feed).difference(self.ingested(feed)))

    def now(self, landed: Sequence[LandedFile]) -> LandedNow:
        waiting, missing = {}, {}
        for feed in self.landing.feeds:
            waiting[feed], missing[feed] = self._pending(feed)
        unseen = {feed: self.landing.unseen(feed) for feed in self.landing.feeds}
        replaced = {path for paths in unseen.values() for path in paths}
        found = [
            item.model_copy(update={"reason": f"{_REPLACED}; before, {item.reason}"})
            if item.path in replaced
            else item
            for item in outstanding(self.landing, lambda feed: missing[feed])
        ]
        blocks = self.environment.mode is not Mode.EXPLORATORY and any(item.blocks for item in found)
        return LandedNow(
            target=self.environment.name,
            landed=landed,
            feeds=[self._feed(feed, unseen[feed], waiting[feed]) for feed in self.landing.feeds],
            outstanding=found,
            fails_runs=blocks,
        )

    def _feed(self, feed: str, unseen: Collection[str], waiting: Sequence[LandedFile]) -> FeedNow:
        arrived = [one.info.modified for one in self.landing.listing()[feed] if one.info.key in unseen]
        last, now = self.landing.ledger.last_landed_at(feed), datetime.now(UTC)
        rolled_back_at, before = self._rolled_back(feed) if waiting else (None, ())
        withdrawn = [entry for entry in waiting if entry.sha256 in before]
        since = [
            *arrived,
            *(
                max(entry.landed_at, rolled_back_at)
                if entry in withdrawn and rolled_back_at
                else entry.landed_at
                for entry in waiting
            ),
        ]
        return FeedNow(
            feed,
            len(self.landing.there(feed)),
            [*unseen],
            [one.path for one in waiting],
            waits_since=min(since, default=None),
            last_landed_at=last,
            last_arrived_at=max([at for at in (last, *arrived) if at and at <= now], default=None),
            withdrawn=[entry.path for entry in withdrawn],
        )

    def _rolled_back(self, feed: str) -> tuple[datetime | None, Collection[str]]:
        """When a rollback moved the raw table of a feed to where it is, and what it held before; None if no rollback did."""
        name = str(TableName("raw", feed))
        releases = self._records.readable_releases()[0]
        shown = [release.tables.get(name) for release in releases]
        for at in range(len(releases) - 1, 0, -1):
            now, before = shown[at], shown[at - 1]
            if now is None:
                break
            if before is None or before.content == now.content:
                continue
            if not releases[at].rolls_back:
                break
            return releases[at].published_at, self._held(feed, before.metadata_location)
        return None, ()

    def _ingested(self, feed: str) -> Collection[str]:
        location = self._locations.get(TableName("raw", feed))
        return () if location is None else self._held(feed, location)

    def _held(self, feed: str, location: str) -> Collection[str]:
        """What a raw table holds, as a metadata file of it describes."""
        table = self._tables.load(TableName("raw", feed), location)

        def query(sql: str) -> list[tuple[Any, ...]]:
            with scanning(self._connection, table):
                return self._connection.execute(sql).fetchall()

        return contents_held(table, self.landing, feed, query, lambda: whole_scan(table))


_REPLACED = "it was replaced or written again, and waits to be looked at"


@contextmanager
def _opened(
    project_dir: Path | None, target: str | None, among: Collection[str] | None = None
) -> Iterator[_At]:
    project = find_project(project_dir)
    environment = Profile(project).environment(target)
    with connect(environment, environment.home, with_keys=False) as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield _At(environment, project, connection, among)
