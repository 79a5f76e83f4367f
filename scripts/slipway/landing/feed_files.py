"""The files of a feed: what they are, how many rows they hold, and their rows as a query."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import duckdb

from slipway.errors import UnavailableError, first_line
from slipway.iceberg.types import exact, literal, quote
from slipway.landing.area import Arrival, LandingArea
from slipway.landing.csv_records import CsvRecords
from slipway.landing.feeds import Feed
from slipway.records.run_manifest import LandedFile

_HEADER_LIMIT = 1 << 16
_BLOCK = 1 << 19  # bytes; larger ones leave the processor's cache
_LINE_END = re.compile(rb"[\r\n]")
_ON_LINE = re.compile(r"CSV Error on Line: (\d+)")
_COLUMNS = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")


class Look(NamedTuple):
    """What was found in an object: checksum, first line and rows, or why it cannot be read or counted."""

    sha256: str
    header: bytes
    rows: int | str = 0
    unreadable: str = ""


class FeedFiles:
    """CSV files below a landing area, one folder a feed."""

    def __init__(self, area: LandingArea) -> None:
        self.area = area

    def look(self, feed: Feed, arrival: Arrival) -> Look:
        """Checksum, first line and rows of an object, in one pass; rows are counted without DuckDB."""
        if arrival.obstacle:
            return Look("", b"", unreadable=arrival.obstacle)
        digest, head, records = hashlib.sha256(), b"", CsvRecords(feed)
        try:
            with self.area.open(arrival.info.key) as stream, ThreadPoolExecutor(1) as hasher:
                while block := stream.read(_BLOCK):
                    hashed = hasher.submit(digest.update, block)
                    head = head or block[:_HEADER_LIMIT]
                    records.add(block)
                    hashed.result()
        except OSError as error:
            return Look("", b"", unreadable=f"cannot be read: {error.strerror or error}")
        return Look(digest.hexdigest(), _LINE_END.split(head, 1)[0], records.end())

    def check(self, connection: duckdb.DuckDBPyConnection, feed: Feed, key: str, counted: int) -> str:
        """Why DuckDB does not read a file as it was counted, empty where it does.

        Each file is read for itself: of more files than twice its threads in one ``read_csv``, DuckDB 1.5.5 drops errors.

        Raises:
            UnavailableError: the store does not give the file.
        """
        # every value is touched, so that a file which cannot be read to its end is found here
        touched = " + ".join(f"count({quote(name)})" for name in feed.columns)
        try:
            rows = connection.execute(f"select count(*), {touched} from {self._reader(feed, key)}").fetchall()
        except (duckdb.IOException, duckdb.HTTPException) as error:
            # the store, not the file: a verdict would outlive the fault
            raise UnavailableError(
                f"{key} cannot be read",
                first_line(error),
                "Check the landing area and its credentials, then run again",
            ) from error
        except duckdb.Error as error:
            return _csv_reason(error)
        found = int(rows[0][0])
        if found == counted:
            return ""
        return f"DuckDB reads {found:,} rows, and a second count finds {counted:,}: its quotes or line ends are ambiguous"

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
        return " union all ".join(
            f"(select {columns}, {literal(entry.path.rsplit('/', 1)[-1])} as _source_file, "
            f"row_number() over () + 1 as _source_line, {literal(entry.sha256)} as _file_sha256, "
            f"timestamptz {literal(entry.landed_at.isoformat())} as _landed_at, {literal(run_id)} as _run_id "
            f"from {self._reader(feed, entry.path)})"
            for entry in files
        )

    def path(self, key: str) -> str:
        """An object as DuckDB names it."""
        root = self.area.root.removeprefix("file://")
        return f"{root}/{key}"

    def _reader(self, feed: Feed, key: str) -> str:
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in feed.columns)
        return (
            f"read_csv([{literal(exact(self.path(key)))}], columns = {{{columns}}}, auto_detect = false, header = true, "
            f"delim = {literal(feed.delimiter)}, quote = {literal(feed.quote)}, escape = {literal(feed.quote)}, "
            "strict_mode = true, hive_partitioning = false)"
        )


def _csv_reason(error: duckdb.Error) -> str:
    """DuckDB's many-line CSV message in one line, without what it quotes from the file."""
    text = str(error)
    line = _ON_LINE.search(text)
    where = f"line {line[1]} " if line else ""
    if columns := _COLUMNS.search(text):
        expected, found = columns.groups()
        return f"{where}has {found} {'value' if found == '1' else 'values'}, and the header {expected}"
    if "Maximum line size" in text:
        return f"{where}is longer than DuckDB reads (2,000,000 bytes)"
    known = ("Invalid unicode", "Value with unterminated")
    lines = [part.strip() for part in text.removeprefix("Invalid Input Error: ").splitlines()]
    return where + "; ".join([part for part in lines if part.startswith(known)] or lines[:1])[:200]
