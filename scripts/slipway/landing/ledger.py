"""The ledger of landing, ``ops.landed_files``: what arrived, and what was decided about it, outside of releases."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import pyarrow as pa
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import TableProperties

from slipway.iceberg.commit import create_namespace, writing
from slipway.iceberg.metadata_files import rows_of, summary_of
from slipway.iceberg.tables import Tables
from slipway.records.run_manifest import LandedFile, happened_at
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


class Ledger:
    """Entries of one environment, read once and added to."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._entries: list[LandedFile] | None = None
        self._at: str | None = None

    def entries(self) -> list[LandedFile]:
        """Every entry so far, in the order of landing."""
        if self._entries is None:
            self._at = location = self._tables.locations({LEDGER}).get(LEDGER)
            rows = rows_of(self._tables.load(LEDGER, location)).to_pylist() if location else []
            # its own rows are of these types; to check each again would take longer than to read them
            self._entries = sorted(
                (LandedFile.model_construct(**row) for row in rows),
                key=lambda entry: (entry.landed_at, entry.path),
            )
        return self._entries

    def of(self, feed: str) -> list[LandedFile]:
        """Entries of a feed, in the order of landing."""
        return [entry for entry in self.entries() if entry.feed == feed]

    def latest(self, feed: str) -> dict[str, LandedFile]:
        """Path to its last entry, of a feed."""
        return {entry.path: entry for entry in self.entries() if entry.feed == feed}

    def accepted(self, feed: str) -> dict[str, LandedFile]:
        """Checksum to the entry that accepted it, of every content of a feed that was not rejected since."""
        found: dict[str, LandedFile] = {}
        for entry in self.entries():
            if entry.feed != feed:
                continue
            if entry.verdict == "accepted":
                found[entry.sha256] = entry
            elif entry.verdict == "rejected" and getattr(found.get(entry.sha256), "path", None) == entry.path:
                del found[entry.sha256]
        return found

    def last_landed_at(self, feed: str) -> datetime | None:
        """When a feed last brought a file that was accepted, as far as its moment is not in the future."""
        now = datetime.now(UTC)
        found = (happened_at(e.landed_at, e.run_id, now) for e in self.accepted(feed).values())
        return max(filter(None, found), default=None)

    def from_the_future(self, feed: str) -> list[LandedFile]:
        """Files that landed by a clock that was ahead: they do not count for freshness."""
        now = datetime.now(UTC)
        return [e for e in self.accepted(feed).values() if happened_at(e.landed_at, e.run_id, now) is None]

    def read_again(self) -> None:
        """Forget what was read, because others have added to it."""
        self._entries = None

    def add(self, entries: Sequence[LandedFile]) -> bool:
        """Enter files, unless others entered some since these were checked; False then."""
        with writing(self._tables):
            entered = self._append(entries)
        if entered:
            self._entries = [*self.entries(), *entries]
        return entered

    def _append(self, entries: Sequence[LandedFile]) -> bool:
        catalog = self._tables.catalog
        rows = pa.Table.from_pylist([entry.model_dump() for entry in entries], schema=_SCHEMA)
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
                table.overwrite(pa.concat_tables([rows_of(table).cast(_SCHEMA), rows]))
        except CommitFailedException:
            return False
        self._at = table.metadata_location
        return True


def contents_key(shas: Iterable[str]) -> str:
    """Changes when and only when a set of contents does."""
    return f"landing:{hashlib.sha256(' '.join(sorted(shas)).encode()).hexdigest()[:32]}"
