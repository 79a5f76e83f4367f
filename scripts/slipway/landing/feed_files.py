"""The files of a feed: what they are, how many rows they hold, and their rows as a query."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple

import duckdb

from slipway.contracts.model import Evolution, FileMode
from slipway.counts import plural
from slipway.errors import ConfigError, UnavailableError, first_line
from slipway.landing.area import Arrival, LandingArea
from slipway.landing.content import (
    BLOCK,
    is_compressed,
    spooled,
)
from slipway.landing.copies import Copies
from slipway.landing.feeds import Feed
from slipway.landing.file_rows import marks_sql, no_rows_sql, reader_sql, select_sql
from slipway.landing.first_look import Look, layout_of_keys, read_through
from slipway.landing.formats import FileKind, Header
from slipway.landing.headers import keys_of
from slipway.landing.json_lines import LONGEST, as_written
from slipway.landing.json_records import JsonRecords
from slipway.landing.layouts import Layout
from slipway.landing.parquet_columns import columns_of_footer, cut_nanoseconds, problem_of
from slipway.landing.read_errors import parquet_reason, reason_of, without_paths
from slipway.names import shown
from slipway.records.landed_files import LandedFile
from slipway.sql_text import exact, literal, quote

_SMALL = 4 << 20  # bytes of a file that is checked together with others
_AT_ONCE = 250  # files


class Checked(NamedTuple):
    """What DuckDB says of a file: rows and layout, or why it is set aside."""

    rows: int
    layout: Layout
    problem: str = ""


class FeedFiles:
    """Files below a landing area, one folder a feed.

    Args:
        area: where they are.
        copies: of those that DuckDB does not read as they are.
    """

    def __init__(self, area: LandingArea, copies: Copies | None = None) -> None:
        self.area = area
        self._copies = copies or Copies()

    def look(self, feed: Feed, arrival: Arrival) -> Look:
        """Checksum and rows of an object, in one pass; rows are counted without DuckDB."""
        if arrival.obstacle:
            return Look("", unreadable=arrival.obstacle)
        found = self._look(feed, arrival.info.key)
        if found.needs_copy:
            found = self._look(feed, arrival.info.key, is_copied=True)
        return found

    def _look(self, feed: Feed, key: str, *, is_copied: bool = False) -> Look:
        """As ``look``.

        Args:
            feed: whose file it is.
            key: the object.
            is_copied: a copy is made that can be read without looking at it again.
        """
        is_final = is_copied
        digest = hashlib.sha256()
        try:
            with self.area.open(key) as stream:
                blocks = _hashed(stream, digest)
                first = next(blocks, b"")
                whole = chain([first] if first else [], blocks)
                is_copied = is_copied or not feed.format.is_read_in_place or is_compressed(first)
                copy = self._copies.new() if is_copied else None
                with copy.written() if copy else nullcontext():
                    found = read_through(feed, first, whole, copy, self._copies, is_final=is_final)
                for _ in blocks:  # the checksum is of all of it
                    pass
        except OSError as error:
            return Look("", unreadable=f"cannot be read: {error.strerror or error}")
        sha256 = digest.hexdigest()
        if copy is not None:
            self._copies.keep(sha256, copy)
            if found.problem:
                self.forget(sha256)
        return found._replace(sha256=sha256)

    def forget(self, sha256: str) -> None:
        """A content is not going to be read."""
        self._copies.forget(sha256)

    def agree(
        self, connection: duckdb.DuckDBPyConnection, feed: Feed, looked: Sequence[tuple[Arrival, Look]]
    ) -> set[str]:
        """Checksums of small files of which DuckDB reads as many rows as were counted; many of them are asked for at once.

        About a file that is not among them nothing is said: ``check`` looks at it by itself.
        """
        groups: dict[Layout, list[tuple[str, Look]]] = {}
        for arrival, look in looked:
            if look.layout is not None and not look.problem and arrival.info.size <= _SMALL:
                groups.setdefault(look.layout, []).append((arrival.info.key, look))
        return {
            sha
            for layout, files in groups.items()
            for first in range(0, len(files), _AT_ONCE)
            for sha in self._agree(connection, feed, layout, files[first : first + _AT_ONCE])
        }

    def _agree(
        self,
        connection: duckdb.DuckDBPyConnection,
        feed: Feed,
        layout: Layout,
        files: Sequence[tuple[str, Look]],
    ) -> set[str]:
        places = [self._place(key, look.sha256, layout) for key, look in files]
        touched = ", ".join(f"count({quote(name)})" for name in layout.columns)
        query = f"select file_index, count(*), {touched} from {reader_sql(feed, layout, places)} group by file_index"
        try:
            found = {row[0]: row[1] for row in connection.execute(query).fetchall()}
        except duckdb.Error:  # which file it is of is found by halves
            half = len(files) // 2
            parts = (files[:half], files[half:]) if half else ()
            return {sha for part in parts for sha in self._agree(connection, feed, layout, part)}
        return {look.sha256 for at, (_, look) in enumerate(files) if found.get(at, 0) == look.rows}

    def check(self, connection: duckdb.DuckDBPyConnection, feed: Feed, key: str, look: Look) -> Checked:
        """What DuckDB reads of a file, and why that is not as it was counted.

        Each file is read for itself: of more files than twice its threads in one ``read_csv``, DuckDB 1.5.5 drops errors.

        Raises:
            UnavailableError: the store does not give the file.
        """
        try:
            if look.is_plain:
                if (known := self._as_written(connection, feed, look)) is not None:
                    return known
                look = self._quoted(feed, look)
                if look.problem:
                    return Checked(0, Layout(()), look.problem)
            layout = look.layout or self._columns(connection, feed, key, look.sha256)
            if isinstance(layout, str):
                return Checked(0, Layout(()), layout)
            # every value is touched, so that a file which cannot be read to its end is found here
            touched = ", ".join(f"count({quote(name)})" for name in layout.columns)
            reader = reader_sql(feed, layout, [self._place(key, look.sha256, layout)])
            rows = connection.execute(f"select count(*), {touched} from {reader}").fetchall()
            counted = self._counted(connection, key, look)
        except (duckdb.IOException, duckdb.HTTPException) as error:
            if feed.format.kind is FileKind.PARQUET and isinstance(error, duckdb.IOException):
                return Checked(0, Layout(()), parquet_reason(error))
            # the store, not the file: a verdict would outlive the fault
            raise UnavailableError(
                f"{key} cannot be read",
                first_line(error),
                "Check the landing area and its credentials, then run again",
            ) from error
        except duckdb.Error as error:
            return Checked(0, Layout(()), reason_of(error, feed.format))
        found = int(rows[0][0])
        if found == counted:
            return Checked(found, layout)
        ambiguous = (
            "its quotes or line ends are ambiguous"
            if feed.format.kind is FileKind.CSV
            else "it may be damaged"
        )
        return Checked(
            0,
            layout,
            f"DuckDB reads {plural(found, 'row')}, and a second count finds {counted:,}: {ambiguous}",
        )

    def check_again(self, connection: duckdb.DuckDBPyConnection, feed: Feed, entry: LandedFile) -> str:
        """Why DuckDB does not read an accepted file as it was counted; empty where it does, or was asked before the file was accepted.

        Raises:
            UnavailableError: the store does not give the file.
        """
        if not _may_be_read_later(feed, entry.size_bytes):
            return ""
        layout = self._layout(feed, entry)
        if layout.is_copied:
            self._copied(feed, entry)
        return self.check(connection, feed, entry.path, Look(entry.sha256, entry.rows, layout)).problem

    def select(
        self,
        feed: Feed,
        files: Sequence[LandedFile],
        run_id: str,
        marked: Sequence[LandedFile] = (),
        others: Sequence[str] = (),
    ) -> str:
        """A query over accepted files: the contract's columns and others as text, and where each row came from.

        What a file has besides is in ``_extra``, where the feed keeps it.

        ``_source_line`` counts records, the header being the line after ``skip_lines``; it is the line in the file as
        long as no value holds a line break, and no line is blank.
        """
        shown = [*feed.columns, *others]
        if not files and not marked:
            return no_rows_sql(feed, shown)
        groups: dict[Layout, list[LandedFile]] = {}
        for entry in files:
            groups.setdefault(self._layout(feed, entry), []).append(entry)
        parts = [
            select_sql(feed, layout, entries, self._places(feed, layout, entries), run_id, shown)
            for layout, entries in groups.items()
        ]
        return " union all ".join(f"({part})" for part in [*parts, *marks_sql(feed, shown, marked, run_id)])

    def path(self, key: str) -> str:
        """An object as DuckDB names it."""
        root = self.area.root.removeprefix("file://")
        return f"{root}/{key}"

    def _layout(self, feed: Feed, entry: LandedFile) -> Layout:
        """How a file is read; one of which that was not noted, because it was as the contract said, is looked at again."""
        if entry.layout is not None:
            return Layout.of(entry.layout)
        if entry.contract == feed.digest or feed.format.header is Header.NONE:
            return Layout(tuple(feed.columns))
        named = replace(feed.format, header=Header.NAMES)
        lenient = replace(feed, optional=feed.columns, unknown=Evolution.EVOLVE, format=named)
        found = self._look(lenient, entry.path)
        if found.sha256 == entry.sha256 and found.layout is None:
            raise ConfigError(
                f"{entry.path} cannot be read again",
                f"it landed under another contract, and under this one it {found.problem or found.unreadable}",
                "Give the columns their earlier names, or leave raw as it is (full_refresh: false)",
            )
        # a file that is not what it was makes the query fail, or is found when its rows are counted
        return found.layout or Layout(tuple(feed.columns))

    def _places(self, feed: Feed, layout: Layout, entries: Sequence[LandedFile]) -> list[str]:
        if layout.is_copied:
            return [self._copied(feed, entry) for entry in entries]
        return [self.path(entry.path) for entry in entries]

    def _copied(self, feed: Feed, entry: LandedFile) -> str:
        """The copy of a file, made again where another process made it first."""
        path = self._copies.of(entry.sha256)
        if path is None:
            found = self._look(feed, entry.path, is_copied=True)
            path = self._copies.of(entry.sha256)
            if path is None or found.problem or found.unreadable:
                # the file is not what it was: a query fails, and whoever runs it sees that the file has moved
                return str(self._copies.folder / f"{entry.sha256}.gone")
        return str(path)

    def _place(self, key: str, sha256: str, layout: Layout) -> str:
        return str(self._copies.of(sha256)) if layout.is_copied else self.path(key)

    def _columns(
        self, connection: duckdb.DuckDBPyConnection, feed: Feed, key: str, sha256: str
    ) -> Layout | str:
        """The layout of a file whose names only DuckDB can read; a text says why it has none."""
        style = feed.format
        if style.kind is FileKind.PARQUET:
            if problem := self._not_given_back(connection, key):
                return problem
            place = literal(exact(self.path(key)))
            result = connection.execute(
                f"describe select * from read_parquet({place}, hive_partitioning = false)"
            )
            kinds = {row[0]: row[1] for row in result.fetchall()}
            found = dict.fromkeys(kinds, "")
            names = keys_of(found, feed.columns, feed.optional, style.kind, style.header, feed.unknown)
            return names.problem or Layout(names.columns, tuple(kinds), tuple(kinds.values()))
        place = literal(exact(str(self._copies.of(sha256))))
        result = connection.execute(
            f"select key, min(line) from (select unnest(json_keys(json)) as key, row_number() over () as line from "
            f"read_ndjson_objects({place}, maximum_object_size = {LONGEST}, compression = 'uncompressed')) group by key order by 2, 1"
        )
        lines = {row[0]: f"line {row[1]}" for row in result.fetchall()}
        return layout_of_keys(feed, lines)

    def _not_given_back(self, connection: duckdb.DuckDBPyConnection, key: str) -> str:
        """Why DuckDB does not give values of a Parquet file back as they are; empty where it does."""
        columns = columns_of_footer(connection, self.path(key))
        if problem := problem_of(columns):
            return problem
        names = [column.name for column in columns if column.is_cut]
        if not names:
            return ""
        try:
            with self.area.open(key) as stream:
                blocks = iter(lambda: stream.read(BLOCK), b"")
                with stream if stream.seekable() else spooled(blocks, self._copies.folder) as file:
                    found = cut_nanoseconds(file, names)
        except OSError as error:
            return f"cannot be read as Parquet to its end ({without_paths(str(error))[:160]}): the producer has to send it again"
        return (
            f"has nanoseconds in the column {shown(found)}, which would be cut: the producer has to write microseconds, or text"
            if found
            else ""
        )

    def _as_written(self, connection: duckdb.DuckDBPyConnection, feed: Feed, look: Look) -> Checked | None:
        """What DuckDB says of JSON lines that it reads as they are; None if it cannot, or does not give every value back as it is written."""
        if look.rows is None:
            return None
        path = str(self._copies.of(look.sha256))
        written = as_written(connection, path, look.rows, is_flat=look.is_flat)
        if written is None:
            return None
        layout = layout_of_keys(feed, {key: f"line {line}" for key, line in written.keys.items()})
        if isinstance(layout, str):
            return Checked(0, Layout(()), layout)
        return Checked(written.records, layout)

    def _quoted(self, feed: Feed, look: Look) -> Look:
        """JSON lines, counted exactly; their copy gets values between quotes."""
        copy, plain = self._copies.new(), self._copies.of(look.sha256)
        assert plain is not None
        records = JsonRecords(feed.format.skip_lines, copy.write)
        with plain.open("rb") as stream, copy.written():
            while block := stream.read(BLOCK):
                records.add(block)
            rows = records.end()
        self._copies.keep(look.sha256, copy)
        if isinstance(rows, str):
            self.forget(look.sha256)
            return Look(look.sha256, problem=rows)
        return Look(look.sha256, rows)

    def _counted(self, connection: duckdb.DuckDBPyConnection, key: str, look: Look) -> int:
        """Rows by the second count: of Parquet, what its metadata says."""
        if look.rows is not None:
            return look.rows
        place = literal(exact(self.path(key)))
        result = connection.execute(f"select sum(num_rows) from parquet_file_metadata({place})").fetchall()
        return int(result[0][0] or 0)


def read_with_raw(feed: Feed, looked: Sequence[tuple[Arrival, Look]]) -> set[str]:
    """Checksums of large files of which all but what DuckDB says is known, so that it can read them when their rows are written to raw.

    That is so if it then has to read every value, and if nothing else depends on the verdict: no other file of the same content, no column of raw that
    only this file has, and no earlier file that this one replaces.
    """
    contents = Counter(look.sha256 for _, look in looked)
    return {
        look.sha256
        for arrival, look in looked
        if look.layout is not None
        and look.rows
        and not look.problem
        and _may_be_read_later(feed, arrival.info.size)
        and contents[look.sha256] == 1
        and not look.layout.others(feed.columns)
    }


def _may_be_read_later(feed: Feed, size: int) -> bool:
    return feed.format.kind is FileKind.CSV and feed.mode is FileMode.APPEND and size > _SMALL


def _hashed(stream: Any, digest: Any) -> Iterator[bytes]:
    """Blocks of a stream, hashed while they are used."""
    block = stream.read(BLOCK)
    if len(block) < BLOCK:
        while block:
            digest.update(block)
            yield block
            block = stream.read(BLOCK)
        return
    with ThreadPoolExecutor(1) as hasher:
        while block:
            hashed = hasher.submit(digest.update, block)
            yield block
            hashed.result()
            block = stream.read(BLOCK)
