"""The ledger of landing, ``ops.landed_files``: what arrived, and what was decided about it, outside of releases."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import TableProperties

from slipway.iceberg.commit import create_namespace, writing
from slipway.iceberg.metadata_files import rows_of, summary_of
from slipway.iceberg.tables import Tables
from slipway.records.landed_files import LandedFile
from slipway.records.run_ids import AHEAD, happened_at
from slipway.releases.published import LEDGER

_COMPACT_AFTER = 50  # ledger files; then the ledger is written as one again
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
        pa.field("layout", pa.string()),
    ]
)
_FIELDS = set(_SCHEMA.names)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_set = object.__setattr__


class Noted(NamedTuple):
    """What an entry decides about versions of files, and the number of its row."""

    number: int
    path: str
    sha256: str
    verdict: str
    rows: int | None


class Entries(Mapping[str, LandedFile]):
    """Entries by one of their columns, each made of its row when it is asked for.

    Args:
        rows: of the ledger, in the order of landing.
        at: key to the number of its row.
    """

    def __init__(self, rows: pa.Table, at: Mapping[str, int]) -> None:
        self._rows, self._at = rows, at

    def __getitem__(self, key: str) -> LandedFile:
        return _made(self._rows.slice(self._at[key], 1))[0]

    def __contains__(self, key: object) -> bool:
        return key in self._at

    def __iter__(self) -> Iterator[str]:
        return iter(self._at)

    def __len__(self) -> int:
        return len(self._at)

    def made(self) -> dict[str, LandedFile]:
        """All of them, made at once, which takes less time than one by one."""
        return dict(zip(self._at, _made(self.table()), strict=True))

    def table(self) -> pa.Table:
        """Their rows, in the order of the keys."""
        return self._rows.take(pa.array(self._at.values(), pa.int64()))


class Ledger:
    """Entries of one environment, read once and added to."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._rows: pa.Table | None = None
        self._feeds: dict[str, pa.Table] = {}
        self._accepted: dict[str, Entries] = {}
        self._contents: dict[str, Collection[str]] = {}
        self._at: str | None = None

    def _read(self) -> pa.Table:
        """All rows, in no order."""
        self._at = location = self._tables.locations({LEDGER}).get(LEDGER)
        return rows_of(self._tables.load(LEDGER, location)) if location else _SCHEMA.empty_table()

    def _all(self) -> pa.Table:
        if self._rows is None:
            # a ledger of an older slipway lacks columns
            found = pa.concat_tables([_SCHEMA.empty_table(), self._read()], promote_options="permissive")
            order = [("landed_at", "ascending"), ("path", "ascending")]
            self._set(found.select(_SCHEMA.names).cast(_SCHEMA).sort_by(order))
        return self._rows

    def _set(self, rows: pa.Table) -> None:
        self._rows = rows
        self._feeds.clear()
        self._accepted.clear()
        self._contents.clear()

    def _of(self, feed: str) -> pa.Table:
        rows = self._all()
        if feed not in self._feeds:
            self._feeds[feed] = rows.filter(pc.field("feed") == feed)
        return self._feeds[feed]

    def entries(self) -> list[LandedFile]:
        """Every entry so far, in the order of landing."""
        return _made(self._all())

    def last_at(self) -> datetime | None:
        """The moment of the last entry."""
        return _last(self._all())

    def noted(self, feed: str) -> list[Noted]:
        """What each entry of a feed decides, in the order of landing."""
        rows = self._of(feed)
        columns = [rows.column(name).to_pylist() for name in Noted._fields[1:]]
        return list(map(Noted._make, zip(range(len(rows)), *columns, strict=True)))

    def made(self, feed: str, noted: Iterable[Noted]) -> list[LandedFile]:
        """The entries of what ``noted`` gave."""
        return _made(self._of(feed).take(pa.array([one.number for one in noted], pa.int64())))

    def latest(self, feed: str, paths: Collection[str] | None = None) -> Entries:
        """Path to its last entry, of a feed; ``paths`` are those that are asked for, None for all."""
        rows = _among(self._of(feed), "path", paths)
        return Entries(rows, {path: number for number, path in enumerate(rows.column("path").to_pylist())})

    def rejected(self, feed: str) -> list[LandedFile]:
        """Last entries of paths of which the content was set aside, and is accepted under no other path."""
        refused = self._of(feed).filter(pc.field("verdict") == "rejected")
        latest = self.latest(feed, refused.column("path").to_pylist()).made().values()
        found = [entry for entry in latest if entry.verdict == "rejected"]
        accepted = self.accepted(feed, {entry.sha256 for entry in found})
        return [entry for entry in found if entry.sha256 not in accepted]

    def accepted(self, feed: str, contents: Collection[str] | None = None) -> Entries:
        """Checksum to the entry that accepted it, of every content of a feed that was not rejected since.

        Args:
            feed: its name.
            contents: checksums that are asked for; None for all.
        """
        if contents is None and feed in self._accepted:
            return self._accepted[feed]
        rows = _among(self._of(feed), "sha256", contents)
        names = ("sha256", "verdict", "path")
        shas, verdicts, paths = (rows.column(name).to_pylist() for name in names)
        found: dict[str, int] = {}
        for number, (sha, verdict) in enumerate(zip(shas, verdicts, strict=True)):
            if verdict == "accepted":
                found[sha] = number
            elif verdict == "rejected" and sha in found and paths[found[sha]] == paths[number]:
                del found[sha]
        entries = Entries(rows, found)
        if contents is None:
            self._accepted[feed] = entries
        return entries

    def accepted_at(self, feed: str, path: str) -> list[LandedFile]:
        """The entries of ``accepted`` of one path."""
        contents = _among(self._of(feed), "path", [path]).column("sha256").to_pylist()
        return [entry for entry in self.accepted(feed, contents).made().values() if entry.path == path]

    def with_rows(self, feed: str) -> Collection[str]:
        """Checksums of the accepted contents of a feed that have rows."""
        if feed not in self._contents:
            rows = self.accepted(feed).table().filter(pc.field("rows") > 0)
            self._contents[feed] = frozenset(rows.column("sha256").to_pylist())
        return self._contents[feed]

    def layouts(self, feed: str) -> list[str]:
        """How accepted files of a feed are read, each way once, in the order of landing."""
        rows = self._of(feed).filter((pc.field("verdict") == "accepted") & pc.field("layout").is_valid())
        return list(pc.unique(rows.column("layout")).to_pylist())

    def last_landed_at(self, feed: str) -> datetime | None:
        """When a feed last brought a file that was accepted, as far as its moment is not in the future."""
        now = datetime.now(UTC)
        known = _last(self.accepted(feed).table().filter(pc.field("landed_at") <= now + AHEAD))
        late = [happened_at(entry.landed_at, entry.run_id, now) for entry in self._ahead(feed, now)]
        return max(filter(None, [known, *late]), default=None)

    def from_the_future(self, feed: str) -> list[LandedFile]:
        """Files that landed by a clock that was ahead: they do not count for freshness."""
        now = datetime.now(UTC)
        ahead = self._ahead(feed, now)
        return [entry for entry in ahead if happened_at(entry.landed_at, entry.run_id, now) is None]

    def _ahead(self, feed: str, now: datetime) -> list[LandedFile]:
        """Accepted entries whose moment is in the future."""
        late = pc.field("landed_at") > now + AHEAD
        contents = self._of(feed).filter(late).column("sha256").to_pylist()
        return _made(self.accepted(feed, contents).table().filter(late)) if contents else []

    def read_again(self) -> None:
        """Forget what was read, because others have added to it."""
        self._rows = None

    def add(self, entries: Sequence[LandedFile]) -> bool:
        """Enter files, unless others entered some since these were checked; False then."""
        with writing(self._tables):
            entered = self._append(entries)
        if entered:
            self._set(pa.concat_tables([self._all(), _rows(entries)]))
        return entered

    def _append(self, entries: Sequence[LandedFile]) -> bool:
        catalog = self._tables.catalog
        rows = _rows(entries)
        create_namespace(self._tables, LEDGER[0])
        table = catalog.create_table_if_not_exists(
            LEDGER, schema=_SCHEMA, location=f"{self._tables.environment.warehouse}/{'/'.join(LEDGER)}"
        )
        known = self._at
        if table.metadata_location != known and not (known is None and table.current_snapshot() is None):
            return False
        # pyiceberg would put the same rows on top of what others entered meanwhile, and with them the same files again
        table.metadata.properties[TableProperties.COMMIT_NUM_RETRIES] = "0"
        files = summary_of(table.current_snapshot()).get("total-data-files", "0")
        try:
            if set(_SCHEMA.names) - set(table.schema().column_names):  # an older slipway made it
                table.update_schema().union_by_name(_SCHEMA).commit()
            if int(files) < _COMPACT_AFTER:
                table.append(rows)
            else:
                table.overwrite(pa.concat_tables([self._all(), rows]))
        except CommitFailedException:
            return False
        self._at = table.metadata_location
        return True


def _rows(entries: Iterable[LandedFile]) -> pa.Table:
    return pa.Table.from_pylist([entry.model_dump() for entry in entries], schema=_SCHEMA)


def _among(rows: pa.Table, column: str, values: Collection[str] | None) -> pa.Table:
    return rows if values is None else rows.filter(pc.field(column).isin(pa.array(list(values), pa.string())))


def _last(rows: pa.Table) -> datetime | None:
    found: datetime | None = pc.max(rows.column("landed_at")).as_py()
    return found


def _made(rows: pa.Table) -> list[LandedFile]:
    """Entries of rows, which are of these types: to check each again would take longer than to read them."""
    moments = [
        _EPOCH + timedelta(microseconds=at) for at in rows.column("landed_at").cast(pa.int64()).to_pylist()
    ]
    others = [rows.column(name).to_pylist() if name != "landed_at" else moments for name in _SCHEMA.names]
    return [_entry(dict(zip(_SCHEMA.names, values, strict=True))) for values in zip(*others, strict=True)]


def _entry(values: dict[str, Any]) -> LandedFile:
    """What ``model_construct`` makes, in a tenth of its time."""
    entry = LandedFile.__new__(LandedFile)
    _set(entry, "__dict__", values)
    _set(entry, "__pydantic_fields_set__", _FIELDS)
    _set(entry, "__pydantic_extra__", None)
    _set(entry, "__pydantic_private__", None)
    return entry


def contents_key(shas: Iterable[str]) -> str:
    """Changes when and only when a set of contents does."""
    return f"landing:{hashlib.sha256(' '.join(sorted(shas)).encode()).hexdigest()[:32]}"
