"""The files of a feed: what they are, how many rows they hold, and their rows as a query."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

import duckdb

from slipway.adapters.iceberg.types import exact, literal, quote
from slipway.adapters.objects import ObjectInfo, ObjectStore
from slipway.domain.errors import UnavailableError
from slipway.domain.feed import Feed
from slipway.domain.manifest import LandedFile

_HEADER_LIMIT = 1 << 16
_LINE_END = re.compile(rb"[\r\n]")


class Look(NamedTuple):
    """What was seen of an object: checksum and first line, or why it could not be read."""

    sha256: str
    header: bytes
    unreadable: str = ""


class FeedFiles:
    """CSV files below a landing area, one folder a feed."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    def look(self, info: ObjectInfo) -> Look:
        """Checksum and first line of an object, in one pass."""
        digest, head = hashlib.sha256(), b""
        try:
            with self.store.open(info.key) as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
                    head = head or block[:_HEADER_LIMIT]
        except OSError as error:
            return Look("", b"", f"cannot be read: {error.strerror or error}")
        return Look(digest.hexdigest(), _LINE_END.split(head, 1)[0])

    def count(
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
            assert counted.keys() <= {self.path(key) for key in keys}
            return {key: counted.get(self.path(key), 0) for key in keys}
        except (duckdb.IOException, duckdb.HTTPException) as error:
            # the store, not the file: a verdict would outlive the fault
            raise UnavailableError(
                f"{len(keys)} files of {feed.name} cannot be read",
                str(error).split("\n", 1)[0],
                "check the landing area and its credentials, then run again",
            ) from error
        except duckdb.Error as error:
            if len(keys) == 1:
                return {keys[0]: _csv_reason(error)}
            middle = len(keys) // 2
            return self.count(connection, feed, keys[:middle]) | self.count(connection, feed, keys[middle:])

    def select(self, feed: Feed, files: Sequence[LandedFile], run_id: str) -> str:
        """A query over accepted files: the contract's columns as text, and where each row came from.

        ``_source_line`` counts records, the header being line 1; it is the line in the file as long as no
        value holds a line break.
        """
        columns = ", ".join(quote(name) for name in feed.columns)
        if not files:
            nothing = ", ".join(f"null::varchar as {quote(name)}" for name in feed.columns)
            return (
                f"select {nothing}, null::varchar as _source_file, null::bigint as _source_line, "
                "null::varchar as _file_sha256, null::timestamptz as _landed_at, null::varchar as _run_id limit 0"
            )
        known = ", ".join(
            f"({literal(self.path(entry.path))}, {literal(entry.path.rsplit('/', 1)[-1])}, "
            f"{literal(entry.sha256)}, timestamptz {literal(entry.landed_at.isoformat())})"
            for entry in files
        )
        return (
            f"with numbered as (select *, row_number() over () as __row from "
            f"{self._reader(feed, [entry.path for entry in files])}), "
            f"landed(__path, _source_file, _file_sha256, _landed_at) as (values {known}) "
            f"select {columns}, _source_file, "
            "__row - min(__row) over (partition by __path) + 2 as _source_line, "
            f"_file_sha256, _landed_at, {literal(run_id)} as _run_id "
            "from numbered join landed on numbered.__file = landed.__path"
        )

    def path(self, key: str) -> str:
        """An object as DuckDB names it."""
        root = self.store.root.removeprefix("file://")
        return f"{root}/{key}"

    def _reader(self, feed: Feed, keys: Sequence[str]) -> str:
        paths = ", ".join(literal(exact(self.path(key))) for key in keys)
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in feed.columns)
        return (
            f"read_csv([{paths}], columns = {{{columns}}}, auto_detect = false, header = true, "
            f"delim = {literal(feed.delimiter)}, quote = {literal(feed.quote)}, escape = {literal(feed.quote)}, "
            "strict_mode = true, hive_partitioning = false, filename = '__file')"
        )


def _csv_reason(error: duckdb.Error) -> str:
    """The parts of DuckDB's many-line CSV message that a person needs, on one line."""
    text = str(error).removeprefix("Invalid Input Error: ")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = (
        "CSV Error on Line",
        "Expected Number",
        "Invalid unicode",
        "Value with unterminated",
        "Maximum line",
    )
    return "; ".join([line for line in lines if line.startswith(told)] or lines[:1])[:300]
