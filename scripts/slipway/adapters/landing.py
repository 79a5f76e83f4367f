"""Landing: files that arrived are checked against their feed's contract and entered in a ledger.

The ledger, ``ops.landed_files``, records arrivals and verdicts outside releases. A file is *ingested*
when its sha256 is in the published raw table, so after a rollback it is simply not ingested any more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
import yaml
from pyiceberg.exceptions import CommitFailedException

from slipway.adapters.iceberg.tables import TableId, Tables
from slipway.adapters.iceberg.types import literal, quote
from slipway.adapters.objects import ObjectInfo, object_store
from slipway.domain.errors import ConflictError
from slipway.domain.feed import Feed
from slipway.domain.manifest import LandedFile

LEDGER: TableId = ("ops", "landed_files")
_COMPACT_AFTER = 50  # ledger files; then the ledger is written as one again
_ATTEMPTS = 4
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
    ]
)


def read_feeds(project: Path) -> list[Feed]:
    """Feeds among the project's contracts."""
    found = []
    for path in sorted((project / "contracts").glob("*.odcs.y*ml")):
        feed = Feed.from_contract(yaml.safe_load(path.read_text(encoding="utf-8")) or {}, path.name)
        if feed:
            found.append(feed)
    return found


class _Look(NamedTuple):
    """What was seen of an object: checksum and first line, or why it could not be read."""

    sha256: str
    header: bytes
    unreadable: str = ""


class Landing:
    """The landing area of an environment and its ledger."""

    def __init__(self, tables: Tables, feeds: Sequence[Feed]) -> None:
        self.feeds = {feed.name: feed for feed in feeds}
        self._tables = tables
        self._store = object_store(tables.environment.landing, tables.environment.catalog_properties)
        self._ledger: list[LandedFile] | None = None

    def ledger(self) -> list[LandedFile]:
        """Every entry so far, in the order of landing."""
        if self._ledger is None:
            location = self._tables.locations().get(LEDGER)
            rows = self._tables.load(LEDGER, location).scan().to_arrow().to_pylist() if location else []
            self._ledger = sorted(
                (LandedFile(**row) for row in rows), key=lambda entry: (entry.landed_at, entry.path)
            )
        return self._ledger

    def accepted(self, feed: str) -> list[LandedFile]:
        """Files of a feed that may be ingested: each content once, and only where the path still holds it."""
        entries = [entry for entry in self.ledger() if entry.feed == feed]
        held = {entry.path: entry.sha256 for entry in entries}
        found: dict[str, LandedFile] = {}
        for entry in entries:
            if entry.verdict == "accepted" and held[entry.path] == entry.sha256:
                found.setdefault(entry.sha256, entry)
        return list(found.values())

    def last_landed_at(self, feed: str) -> datetime | None:
        """When a feed last brought a file that was accepted."""
        return max((entry.landed_at for entry in self.accepted(feed)), default=None)

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
        """
        for _ in range(_ATTEMPTS):
            entries = [
                entry for feed in self.feeds.values() for entry in self._check(connection, feed, run_id, now)
            ]
            if not entries:
                return []
            try:
                self._append(entries)
            except CommitFailedException:
                self._ledger = None
                continue
            self._ledger = [*self.ledger(), *entries]
            return entries
        raise ConflictError(
            "landing was not recorded", "other runs kept landing files at the same time", "run again"
        )

    def select(self, feed_name: str, files: Iterable[LandedFile], run_id: str) -> str:
        """A query over accepted files: the contract's columns as text, and where each row came from.

        ``_source_line`` counts records, the header being line 1; it is the line in the file as long as no
        value holds a line break.
        """
        feed = self.feeds[feed_name]
        columns = ", ".join(quote(name) for name in feed.columns)
        chosen = list(files)
        if not chosen:
            nothing = ", ".join(f"null::varchar as {quote(name)}" for name in feed.columns)
            return (
                f"select {nothing}, null::varchar as _source_file, null::bigint as _source_line, "
                "null::varchar as _file_sha256, null::timestamptz as _landed_at, null::varchar as _run_id limit 0"
            )
        known = ", ".join(
            f"({literal(self._path(entry.path))}, {literal(entry.path.rsplit('/', 1)[-1])}, "
            f"{literal(entry.sha256)}, timestamptz {literal(entry.landed_at.isoformat())})"
            for entry in chosen
        )
        return (
            f"with numbered as (select *, row_number() over () as __row from "
            f"{self._reader(feed, [entry.path for entry in chosen])}), "
            f"files(__path, _source_file, _file_sha256, _landed_at) as (values {known}) "
            f"select {columns}, _source_file, "
            "__row - min(__row) over (partition by __path) + 2 as _source_line, "
            f"_file_sha256, _landed_at, {literal(run_id)} as _run_id "
            "from numbered join files on numbered.__file = files.__path"
        )

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
        rows = self._count(connection, feed, [info.key for info, _ in readable])
        for info, entry in readable:
            counted = rows[info.key]
            if isinstance(counted, int):
                entries.append(entry(rows=counted, verdict="accepted", reason=""))
            else:
                entries.append(entry(rows=None, verdict="rejected", reason=counted))
        return entries

    def _new(self, feed: Feed) -> tuple[list[tuple[ObjectInfo, _Look]], dict[str, str]]:
        """Objects that the ledger does not know as they are, and the path that holds each accepted content."""
        known = {(e.path, e.size_bytes, e.etag): e for e in self.ledger() if e.feed == feed.name}
        held = {entry.sha256: entry.path for entry in self.accepted(feed.name)}
        there = [info for info in self._store.entries(feed.name) if not _is_hidden(info.key)]
        looks: dict[str, tuple[ObjectInfo, _Look]] = {}
        for info in there:
            before = known.get((info.key, info.size, info.etag))
            if before is None or not before.sha256:  # what could not be read may be readable now
                look = self._read(info)
                if before is None or look.unreadable != before.reason:
                    looks[info.key] = (info, look)
        lost = {sha for sha, path in held.items() if path in looks and looks[path][1].sha256 != sha}
        for info in there:  # a copy takes the place of a file that was replaced
            before = known.get((info.key, info.size, info.etag))
            if before is not None and before.verdict == "duplicate" and before.sha256 in lost:
                looks[info.key] = (info, self._read(info))
        return [looks[key] for key in sorted(looks)], {s: path for s, path in held.items() if s not in lost}

    def _read(self, info: ObjectInfo) -> _Look:
        """Checksum and first line of an object, in one pass."""
        digest, head = hashlib.sha256(), b""
        try:
            with self._store.open(info.key) as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
                    head = head or block[:_HEADER_LIMIT]
        except OSError as error:
            return _Look("", b"", f"cannot be read: {error.strerror or error}")
        return _Look(digest.hexdigest(), _LINE_END.split(head, 1)[0])

    def _count(
        self, connection: duckdb.DuckDBPyConnection, feed: Feed, keys: Sequence[str]
    ) -> dict[str, int | str]:
        """Rows per file, or why it cannot be read; all at once, and one by one if that fails."""
        if not keys:
            return {}
        # every value is touched, so that a file which cannot be read to its end is found here
        touched = " + ".join(f"count({quote(name)})" for name in feed.columns)
        query = f"select __file, count(*), {touched} from {{}} group by __file"
        try:
            rows = connection.execute(query.format(self._reader(feed, keys))).fetchall()
            counted = {row[0]: int(row[1]) for row in rows}
            assert counted.keys() <= {self._path(key) for key in keys}
            return {key: counted.get(self._path(key), 0) for key in keys}
        except duckdb.Error as error:
            if len(keys) == 1:
                return {keys[0]: _csv_reason(error)}
            middle = len(keys) // 2
            return self._count(connection, feed, keys[:middle]) | self._count(connection, feed, keys[middle:])

    def _reader(self, feed: Feed, keys: Sequence[str]) -> str:
        paths = ", ".join(literal(exact(self._path(key))) for key in keys)
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in feed.columns)
        return (
            f"read_csv([{paths}], columns = {{{columns}}}, auto_detect = false, header = true, "
            f"delim = {literal(feed.delimiter)}, quote = {literal(feed.quote)}, escape = {literal(feed.quote)}, "
            "strict_mode = true, filename = '__file')"
        )

    def _path(self, key: str) -> str:
        root = self._store.root.removeprefix("file://")
        return f"{root}/{key}"

    def _append(self, entries: Sequence[LandedFile]) -> None:
        catalog = self._tables.catalog
        rows = pa.Table.from_pylist([entry.model_dump() for entry in entries], schema=_SCHEMA)
        catalog.create_namespace_if_not_exists(LEDGER[0])
        table = catalog.create_table_if_not_exists(
            LEDGER, schema=_SCHEMA, location=f"{self._tables.environment.warehouse}/{'/'.join(LEDGER)}"
        )
        current = table.current_snapshot()
        files = (
            current.summary.additional_properties.get("total-data-files", "0")
            if current and current.summary
            else "0"
        )
        if int(files) < _COMPACT_AFTER:
            table.append(rows)
        else:
            table.overwrite(pa.concat_tables([table.scan().to_arrow().cast(_SCHEMA), rows]))


def _is_hidden(key: str) -> bool:
    """Whether a file is not meant to be seen (yet), by its own name or that of a folder below the feed's."""
    return any(part.startswith((".", "_")) for part in key.split("/")[1:])


def _csv_reason(error: duckdb.Error) -> str:
    """The parts of DuckDB's many-line CSV message that a person needs, on one line."""
    text = str(error).removeprefix("Invalid Input Error: ")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    wanted = [
        line for line in lines if line.startswith(("CSV Error on Line", "Expected Number", "Invalid unicode"))
    ]
    chosen = wanted or lines[:1]
    return "; ".join(line.removeprefix("Invalid Input Error: ") for line in chosen)[:300]
