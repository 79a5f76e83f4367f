"""Landing: files that arrived are checked against their feed's contract and entered in a ledger.

The ledger, ``ops.landed_files``, records arrivals and verdicts outside releases. A file is *ingested*
when its sha256 is in the published raw table, so after a rollback it is simply not ingested any more.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import duckdb
import pyarrow as pa
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import TableProperties

from slipway.adapters.belonging import LEDGER
from slipway.adapters.feed_files import FeedFiles, Look
from slipway.adapters.iceberg.catalogs.commit import create_namespace, writing
from slipway.adapters.iceberg.reading import rows_of
from slipway.adapters.iceberg.tables import Tables
from slipway.adapters.objects import ObjectInfo, object_store
from slipway.domain.errors import ConflictError, NotFoundError
from slipway.domain.feed import Feed
from slipway.domain.manifest import LandedFile
from slipway.domain.run import happened_at

_COMPACT_AFTER = 50  # ledger files; then the ledger is written as one again
_ATTEMPTS = 20
_PAUSE = 0.05  # seconds before the second attempt; longer before each further one
_MOMENT = timedelta(microseconds=1)
_SCHEMA = pa.schema(
    [
        pa.field("feed", pa.string()),
        pa.field("path", pa.string()),
        pa.field("size_bytes", pa.int64()),
        pa.field("etag", pa.string()),
        pa.field("sha256", pa.string()),
        pa.field("rows", pa.int64()),
        pa.field("verdict", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("landed_at", pa.timestamp("us", tz="UTC")),
        pa.field("run_id", pa.string()),
        pa.field("contract", pa.string()),
    ]
)


class Landing:
    """The landing area of an environment and its ledger."""

    def __init__(self, tables: Tables, feeds: Sequence[Feed]) -> None:
        self.feeds = {feed.name: feed for feed in feeds}
        self._tables = tables
        self._files = FeedFiles(
            object_store(tables.environment.landing, tables.environment.catalog_properties)
        )
        self._ledger: list[LandedFile] | None = None
        self._ledger_at: str | None = None
        self._given: dict[str, list[LandedFile]] = {}
        self.empty: dict[str, str] = {}
        """Feeds for which nothing was there to land, and where it was looked for."""

    def ledger(self) -> list[LandedFile]:
        """Every entry so far, in the order of landing."""
        if self._ledger is None:
            self._ledger_at = location = self._tables.locations({LEDGER}).get(LEDGER)
            rows = rows_of(self._tables.load(LEDGER, location)).to_pylist() if location else []
            self._ledger = sorted(
                (LandedFile(**row) for row in rows), key=lambda entry: (entry.landed_at, entry.path)
            )
        return self._ledger

    def accepted(self, feed: str) -> list[LandedFile]:
        """Files of a feed that may be ingested: each content once, under the last path that still holds it."""
        entries = [entry for entry in self.ledger() if entry.feed == feed]
        held = {entry.path: entry.sha256 for entry in entries}
        found: dict[str, LandedFile] = {}
        for entry in entries:
            if entry.verdict == "accepted" and held[entry.path] == entry.sha256:
                found[entry.sha256] = entry
        return list(found.values())

    def last_landed_at(self, feed: str) -> datetime | None:
        """When a feed last brought a file that was accepted, as far as its moment is not in the future."""
        now = datetime.now(UTC)
        found = (happened_at(entry.landed_at, entry.run_id, now) for entry in self.accepted(feed))
        return max(filter(None, found), default=None)

    def from_the_future(self, feed: str) -> list[LandedFile]:
        """Files that landed by a clock that was ahead: they do not count for freshness."""
        now = datetime.now(UTC)
        return [e for e in self.accepted(feed) if happened_at(e.landed_at, e.run_id, now) is None]

    def key(self, feed: str) -> str:
        """Changes when and only when the set of accepted files does."""
        shas = sorted(entry.sha256 for entry in self.accepted(feed) if entry.rows)
        return f"landing:{hashlib.sha256(' '.join(shas).encode()).hexdigest()[:32]}"

    def land(self, connection: duckdb.DuckDBPyConnection, run_id: str, now: datetime) -> list[LandedFile]:
        """Check what is new in every feed's folder and enter it in the ledger.

        Returns:
            The new entries.

        Raises:
            ConflictError: others kept writing to the ledger at the same moment.
            UnavailableError: the ledger cannot be written.
        """
        for attempt in range(_ATTEMPTS):
            time.sleep(_PAUSE * attempt)
            # the ledger's order is that of landing, also when this clock is behind that of an earlier run
            last = [entry.landed_at + _MOMENT for entry in self.ledger()[-1:]]
            then = max([now, *last])
            entries = [
                entry for feed in self.feeds.values() for entry in self._check(connection, feed, run_id, then)
            ]
            if not entries:
                return []
            with writing(self._tables):
                entered = self._append(entries)
            if entered:
                self._ledger = [*self.ledger(), *entries]
                return entries
            self._ledger = None
        raise ConflictError(
            "landing was not recorded", "other runs kept landing files at the same time", "run again"
        )

    def select(self, feed_name: str, files: Iterable[LandedFile], run_id: str) -> str:
        """A query over accepted files: the contract's columns as text, and where each row came from.

        Raises:
            NotFoundError: one of them is gone.
            ConflictError: one of them was replaced since it landed.
        """
        wanted = list(files)
        if wanted:
            there = self._there(feed_name)
            if gone := [entry.path for entry in wanted if entry.path not in there]:
                raise NotFoundError(
                    f"landed file {_some(gone)} cannot be ingested",
                    "it was accepted, and is not in the landing area any more",
                    "put it back; to give it up, land a file under its name, if only with the header",
                )
            if others := self._others(feed_name, wanted, there):
                raise ConflictError("landed files cannot be ingested", _replaced(others), "run again")
            self._given.setdefault(feed_name, []).extend(wanted)
        return self._files.select(self.feeds[feed_name], wanted, run_id)

    def replaced(self) -> str:
        """Which of the files that were given out hold something else by now, in words; empty for none.

        Their rows would be taken for those of the content that landed. Files that are gone were read before.
        """
        found = [
            path
            for feed, files in self._given.items()
            for path in self._others(feed, files, self._there(feed))
        ]
        return _replaced(found) if found else ""

    def _there(self, feed: str) -> dict[str, tuple[int, str]]:
        return {info.key: (info.size, info.etag) for info in self._files.store.entries(feed)}

    def _others(
        self, feed: str, files: Sequence[LandedFile], there: Mapping[str, tuple[int, str]]
    ) -> list[str]:
        """Paths of files that are not what the ledger says of them."""
        known = {(e.path, e.sha256, e.size_bytes, e.etag) for e in self.ledger() if e.feed == feed}
        return [
            entry.path
            for entry in files
            if entry.path in there and (entry.path, entry.sha256, *there[entry.path]) not in known
        ]

    def _check(
        self, connection: duckdb.DuckDBPyConnection, feed: Feed, run_id: str, now: datetime
    ) -> list[LandedFile]:
        looked_at, first = self._new(feed)
        entries, readable = [], []
        for info, (sha256, header, unreadable) in looked_at:
            problem = (
                feed.name_problem(info.key.rsplit("/", 1)[-1]) or unreadable or feed.header_problem(header)
            )
            entry = partial(
                LandedFile,
                feed=feed.name,
                path=info.key,
                size_bytes=info.size,
                etag=info.etag,
                sha256=sha256,
                landed_at=now,
                run_id=run_id,
                contract=feed.digest,
            )
            if problem:
                entries.append(entry(rows=None, verdict="rejected", reason=problem))
            elif sha256 in first:
                entries.append(
                    entry(rows=None, verdict="duplicate", reason=f"same content as {first[sha256]}")
                )
            else:
                first[sha256] = info.key
                readable.append((info, entry))
        rows = self._files.count(connection, feed, [info.key for info, _ in readable])
        for info, entry in readable:
            counted = rows[info.key]
            if isinstance(counted, int):
                entries.append(entry(rows=counted, verdict="accepted", reason=""))
            else:
                entries.append(entry(rows=None, verdict="rejected", reason=counted))
        return entries

    def _new(self, feed: Feed) -> tuple[list[tuple[ObjectInfo, Look]], dict[str, str]]:
        """Objects that the ledger does not know as they are, and the path that holds each accepted content."""
        known = {(e.path, e.size_bytes, e.etag): e for e in self.ledger() if e.feed == feed.name}
        held = {entry.sha256: entry.path for entry in self.accepted(feed.name)}
        there = [info for info in self._files.store.entries(feed.name) if not _is_hidden(info.key)]
        if not there:
            self.empty[feed.name] = f"{self._files.store.root}/{feed.name}"
        looks: dict[str, tuple[ObjectInfo, Look]] = {}
        for info in there:
            before = known.get((info.key, info.size, info.etag))
            if before is None or not before.sha256:  # what could not be read may be readable now
                look = self._files.look(info)
                if before is None or look.unreadable != before.reason:
                    looks[info.key] = (info, look)
            elif before.verdict == "rejected" and before.contract != feed.digest:  # it may fit now
                looks[info.key] = (info, self._files.look(info))
        present = {info.key for info in there}
        lost = {
            sha
            for sha, path in held.items()
            if path not in present or (path in looks and looks[path][1].sha256 != sha)
        }
        for info in there:  # a copy takes the place of a file that was replaced or removed
            before = known.get((info.key, info.size, info.etag))
            if before is not None and before.verdict == "duplicate" and before.sha256 in lost:
                looks[info.key] = (info, self._files.look(info))
        return [looks[key] for key in sorted(looks)], {s: path for s, path in held.items() if s not in lost}

    def _append(self, entries: Sequence[LandedFile]) -> bool:
        """Enter files in the ledger, unless others entered some since these were checked."""
        catalog = self._tables.catalog
        rows = pa.Table.from_pylist([entry.model_dump() for entry in entries], schema=_SCHEMA)
        create_namespace(self._tables, LEDGER[0])
        table = catalog.create_table_if_not_exists(
            LEDGER, schema=_SCHEMA, location=f"{self._tables.environment.warehouse}/{'/'.join(LEDGER)}"
        )
        known = self._ledger_at
        if table.metadata_location != known and not (known is None and table.current_snapshot() is None):
            return False
        # pyiceberg would put the same rows on top of what others entered meanwhile, and with them the same files again
        table.metadata.properties[TableProperties.COMMIT_NUM_RETRIES] = "0"
        current = table.current_snapshot()
        files = (
            current.summary.additional_properties.get("total-data-files", "0")
            if current and current.summary
            else "0"
        )
        try:
            if set(_SCHEMA.names) - set(table.schema().column_names):  # an older slipway made it
                table.update_schema().union_by_name(_SCHEMA).commit()
            if int(files) < _COMPACT_AFTER:
                table.append(rows)
            else:
                table.overwrite(pa.concat_tables([rows_of(table).cast(_SCHEMA), rows]))
        except CommitFailedException:
            return False
        self._ledger_at = table.metadata_location
        return True


def _replaced(paths: Sequence[str]) -> str:
    return f"{_some(paths)} was replaced while the run was under way"


def _some(paths: Sequence[str]) -> str:
    return ", ".join(paths[:3]) + (" …" if len(paths) > 3 else "")


def _is_hidden(key: str) -> bool:
    """Whether a file is not meant to be seen (yet), by its own name or that of a folder below the feed's."""
    return any(part.startswith((".", "_")) for part in key.split("/")[1:])
