"""The files of a feed: what they are, how many rows they hold, and their rows as a query."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import accumulate, chain
from typing import Any, NamedTuple

import duckdb

from slipway.contracts.model import EXTRA, Evolution, FileMode
from slipway.contracts.typed_rows import without_nulls
from slipway.counts import plural
from slipway.errors import ConfigError, UnavailableError, first_line
from slipway.landing.area import Arrival, LandingArea
from slipway.landing.content import (
    BLOCK,
    MalformedError,
    as_utf8,
    check_kind,
    checked_inside,
    is_compressed,
    spooled,
    uncompressed,
    without_footer,
    without_title,
)
from slipway.landing.copies import Copies, Copy
from slipway.landing.csv_records import CsvRecords
from slipway.landing.feeds import Feed
from slipway.landing.formats import FileFormat, FileKind, Header
from slipway.landing.headers import Names, header_of, keys_of, width_of
from slipway.landing.json_lines import LONGEST, JsonLines, as_written
from slipway.landing.json_records import JsonRecords
from slipway.landing.layouts import Layout
from slipway.landing.parquet_columns import columns_of_footer, cut_nanoseconds, problem_of
from slipway.landing.sheets import sheet_as_csv
from slipway.names import shown
from slipway.records.run_manifest import LandedFile
from slipway.sql_text import exact, literal, quote

_HEADER_LIMIT = 1 << 18
_LINE_END = re.compile(r"\r\n|\r|\n")
_ON_LINE = re.compile(r"CSV Error on Line: (\d+)")
_COLUMNS = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_ORIGINAL = re.compile(r"Original Line: ?(.*)")
_DECIMAL_COMMA = re.compile(r"(?:^|,)-?\d+,\d{1,2}(?:,|$)")
_JSON_LINE = re.compile(r"in line (\d+)")
_MAGIC = b"PAR1"
_SMALL = 4 << 20  # bytes of a file that is checked together with others
_AT_ONCE = 250  # files


class Look(NamedTuple):
    """What was found in an object, in one pass without DuckDB.

    Args:
        sha256: its checksum.
        rows: how many records it holds; None where only DuckDB can tell.
        layout: how they are read, as far as it is known yet.
        problem: why it is set aside, in a sentence without a full stop; empty where nothing is known against it.
        unreadable: why it could not be looked at.
        is_plain: it is JSON lines, of which the copy has the text as it is; rows are the lines of it.
        is_flat: none of their values is a list or an object.
        needs_copy: it turned out at its end that only a copy can be read.
    """

    sha256: str
    rows: int | None = None
    layout: Layout | None = None
    problem: str = ""
    unreadable: str = ""
    is_plain: bool = False
    is_flat: bool = False
    needs_copy: bool = False


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
                if copy is None:
                    found = self._read(feed, first, whole, None, is_final=is_final)
                else:
                    with copy.written():
                        found = self._read(feed, first, whole, copy, is_final=is_final)
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

    def _read(
        self, feed: Feed, first: bytes, blocks: Iterator[bytes], copy: Copy | None, *, is_final: bool
    ) -> Look:
        style = feed.format
        try:
            if style.kind is FileKind.PARQUET:
                return _look_at_parquet(first, blocks)
            check_kind(first, style.kind)
            if style.kind is FileKind.XLSX:
                return self._read_sheet(feed, blocks, copy)
            plain = blocks
            if copy:
                plain = checked_inside(uncompressed(blocks, style, self._copies.folder), style.kind)
            if style.kind is FileKind.JSON:
                return _read_json(style, plain, copy, is_final=is_final)
            return _read_csv(feed, plain, copy)
        except MalformedError as error:
            return Look("", problem=str(error))

    def _read_sheet(self, feed: Feed, blocks: Iterator[bytes], copy: Copy | None) -> Look:
        assert copy is not None
        reader = _CsvReader(feed, _of_copy(feed.format), copy, feed.format)
        with spooled(blocks, self._copies.folder) as file:
            sheet_as_csv(file, feed.format, len(feed.columns), reader.take)
        return reader.found("")

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
        query = f"select file_index, count(*), {touched} from {self._reader(feed, layout, places)} group by file_index"
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
            reader = self._reader(feed, layout, [self._place(key, look.sha256, layout)])
            rows = connection.execute(f"select count(*), {touched} from {reader}").fetchall()
            counted = self._counted(connection, key, look)
        except (duckdb.IOException, duckdb.HTTPException) as error:
            if feed.format.kind is FileKind.PARQUET and isinstance(error, duckdb.IOException):
                return Checked(0, Layout(()), _parquet_reason(error))
            # the store, not the file: a verdict would outlive the fault
            raise UnavailableError(
                f"{key} cannot be read",
                first_line(error),
                "Check the landing area and its credentials, then run again",
            ) from error
        except duckdb.Error as error:
            return Checked(0, Layout(()), _reason(error, feed.format))
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
            return (
                f"select {_nothing(feed, shown)}, null::varchar as _source_file, null::bigint as _source_line, "
                "null::varchar as _file_sha256, null::timestamptz as _landed_at, null::varchar as _run_id limit 0"
            )
        groups: dict[Layout, list[LandedFile]] = {}
        for entry in files:
            groups.setdefault(self._layout(feed, entry), []).append(entry)
        parts = [self._select(feed, layout, entries, run_id, shown) for layout, entries in groups.items()]
        return " union all ".join(f"({part})" for part in [*parts, *_marks(feed, shown, marked, run_id)])

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

    def _select(
        self, feed: Feed, layout: Layout, files: Sequence[LandedFile], run_id: str, shown: Sequence[str]
    ) -> str:
        """Rows of files that are read in the same way. The position in the list says which file a row is of."""
        items = []
        for name in shown:
            own = layout.column(name)
            items.append(f"{_as_text(layout, own) if own else 'null::varchar'} as {quote(name)}")
        if feed.keeps_extra:
            pairs = ", ".join(f"{literal(name)}, {_as_text(layout, name)}" for name in layout.others(shown))
            items.append(f"{without_nulls(pairs) if pairs else 'null::varchar'} as {EXTRA}")
        columns = ", ".join(items)
        places = [self._copied(feed, entry) if layout.is_copied else self.path(entry.path) for entry in files]
        rows = [entry.rows or 0 for entry in files]
        above = (
            0
            if feed.format.kind in (FileKind.JSON, FileKind.PARQUET)
            else int(feed.format.header is not Header.NONE)
        )
        before = [sum_ - above - feed.format.skip_lines for sum_ in accumulate([0, *rows[:-1]])]
        if len(files) == 1:  # constants cost nothing in DuckDB
            (entry,) = files
            return (
                f"select {columns}, {literal(entry.path.rsplit('/', 1)[-1])} as _source_file, "
                f"row_number() over () - ({before[0]}) as _source_line, {literal(entry.sha256)} as _file_sha256, "
                f"timestamptz {literal(entry.landed_at.isoformat())} as _landed_at, {literal(run_id)} as _run_id "
                f"from {self._reader(feed, layout, places)}"
            )
        of_files = ", ".join(
            f"({number}, {literal(entry.path.rsplit('/', 1)[-1])}, {line}, {literal(entry.sha256)}, "
            f"timestamptz {literal(entry.landed_at.isoformat())})"
            for number, (entry, line) in enumerate(zip(files, before, strict=True))
        )
        return (
            f"select {columns}, _of.file as _source_file, _number - _of.lines as _source_line, "
            f"_of.sha as _file_sha256, _of.landed as _landed_at, {literal(run_id)} as _run_id "
            f"from (select *, file_index as _file, row_number() over () as _number from "
            f"{self._reader(feed, layout, places)}) "
            f"join (values {of_files}) as _of(file_number, file, lines, sha, landed) on _file = _of.file_number"
        )

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

    def _reader(self, feed: Feed, layout: Layout, places: Sequence[str]) -> str:
        paths = f"[{', '.join(literal(exact(place)) for place in places)}]"
        style = feed.format
        if style.kind is FileKind.PARQUET:
            return f"read_parquet({paths}, hive_partitioning = false)"
        if style.kind is FileKind.JSON:
            named = zip(layout.names, layout.columns, strict=True)
            columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name, _ in named)
            renamed = ", ".join(
                f"{quote(name)} as {quote(column)}"
                for name, column in zip(layout.names, layout.columns, strict=True)
            )
            return (
                f"(select {renamed}, file_index from read_json({paths}, columns = {{{columns}}}, "
                f"format = 'newline_delimited', maximum_object_size = {LONGEST}, hive_partitioning = false, "
                "compression = 'uncompressed'))"
            )
        if layout.is_copied:
            style = _of_copy(style)
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in layout.columns)
        header = str(style.header is not Header.NONE).lower()
        return (
            f"read_csv({paths}, columns = {{{columns}}}, auto_detect = false, header = {header}, "
            f"delim = {literal(style.delimiter)}, quote = {literal(style.quote)}, escape = {literal(style.escapes)}, "
            "strict_mode = true, hive_partitioning = false, compression = 'none')"
        )

    def _columns(
        self, connection: duckdb.DuckDBPyConnection, feed: Feed, key: str, sha256: str
    ) -> Layout | str:
        """The layout of a file whose names only DuckDB can tell; a text says why it has none."""
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
        return _layout_of_keys(feed, lines)

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
            return f"cannot be read as Parquet to its end ({_without_paths(str(error))[:160]}): the producer has to send it again"
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
        layout = _layout_of_keys(feed, {key: f"line {line}" for key, line in written.keys.items()})
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


def _nothing(feed: Feed, shown: Sequence[str]) -> str:
    """Columns without values."""
    names = [*shown, EXTRA] if feed.keeps_extra else shown
    return ", ".join(f"null::varchar as {quote(name)}" for name in names)


def _marks(feed: Feed, shown: Sequence[str], marked: Sequence[LandedFile], run_id: str) -> Iterator[str]:
    """A row without values for each file that becomes current without bringing rows."""
    if not marked:
        return
    rows = ", ".join(
        f"({literal(entry.path.rsplit('/', 1)[-1])}, {literal(entry.sha256)}, timestamptz {literal(entry.landed_at.isoformat())})"
        for entry in marked
    )
    yield (
        f"select {_nothing(feed, shown)}, _of.file as _source_file, 0::bigint as _source_line, _of.sha as _file_sha256, "
        f"_of.landed as _landed_at, {literal(run_id)} as _run_id from (values {rows}) as _of(file, sha, landed)"
    )


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


def _has_line(head: bytes) -> bool:
    return b"\n" in head or b"\r" in head


def _of_copy(style: FileFormat) -> FileFormat:
    """How the copy of a file is read."""
    if style.kind is FileKind.XLSX:
        return FileFormat(header=style.header)
    return FileFormat(delimiter=style.delimiter, quote=style.quote, escape=style.escape, header=style.header)


class _CsvReader:
    """What is found out about CSV while it is read: its header, and how many records follow.

    Args:
        feed: whose file it is.
        style: of the text that is taken.
        copy: takes the same text.
        said: the contract's style, for messages.
    """

    def __init__(self, feed: Feed, style: FileFormat, copy: Copy | None, said: FileFormat) -> None:
        self._feed, self._said, self._copy = feed, said, copy
        self.records = CsvRecords(style, len(feed.columns), said.skip_lines, copy.write if copy else None)
        self._head = b""
        self.top = b""

    def take(self, block: bytes) -> None:
        """Take the next bytes, title lines not among them."""
        if len(self._head) < _HEADER_LIMIT:
            is_open = self._said.header is not Header.NONE and not _has_line(self._head)
            self._head += block[: _HEADER_LIMIT - len(self._head)]
            if is_open and _has_line(self._head):
                self.records.columns = width_of(self._first_line(), self._said)
        self.records.add(block)

    def _first_line(self) -> str:
        return _LINE_END.split(self._head.decode("utf-8", "ignore"), maxsplit=1)[0]

    def found(self, problem: str) -> Look:
        """What it was, and what is said against it; a header that does not fit comes first."""
        line = self._first_line()
        names = Names(())
        if not problem or _has_line(self._head):
            top = self.top.decode("utf-8", "ignore") or self._head.decode("utf-8", "ignore")
            feed = self._feed
            names = header_of(line, top, feed.columns, feed.optional, self._said, feed.unknown)
        rows = self.records.end()
        if problem := names.problem or problem or (rows if isinstance(rows, str) else ""):
            return Look("", problem=problem)
        if self._copy is None and self.records.is_mixed:
            return Look("", needs_copy=True)
        return Look("", int(rows), Layout(names.columns, is_copied=self._copy is not None))


def _read_csv(feed: Feed, blocks: Iterator[bytes], copy: Copy | None) -> Look:
    style = feed.format
    reader = _CsvReader(feed, style, copy, style)

    def kept(text: Iterator[bytes]) -> Iterator[bytes]:
        for block in text:
            if len(reader.top) < _HEADER_LIMIT:
                reader.top += block[:_HEADER_LIMIT]
            yield block

    problem = ""
    try:
        text = kept(as_utf8(blocks, style.encoding))
        for block in without_footer(without_title(text, style.skip_lines), style.footer_lines):
            reader.take(block)
    except MalformedError as error:
        problem = f"line {reader.records.line} {error}" if error.on_line else str(error)
    return reader.found(problem)


def _layout_of_keys(feed: Feed, lines: Mapping[str, str]) -> Layout | str:
    """The layout of JSON lines with keys, each with the line that has it first; a text says why they have none."""
    if not lines:
        some = tuple(feed.columns[:1])  # DuckDB wants to be asked for a column
        return Layout(some, some, is_copied=True)
    style = feed.format
    names = keys_of(lines, feed.columns, feed.optional, style.kind, style.header, feed.unknown)
    return names.problem or Layout(names.columns, tuple(lines), (), is_copied=True)


def _read_json(style: FileFormat, blocks: Iterator[bytes], copy: Copy | None, *, is_final: bool) -> Look:
    assert copy is not None
    records: JsonRecords | JsonLines = (JsonRecords if is_final else JsonLines)(style.skip_lines, copy.write)
    try:
        text = as_utf8(blocks, style.encoding)
        for block in without_footer(without_title(text, style.skip_lines), style.footer_lines):
            records.add(block)
    except MalformedError as error:
        return Look("", problem=f"line {records.line} {error}" if error.on_line else str(error))
    rows = records.end()
    if isinstance(rows, str):
        return Look("", problem=rows)
    is_flat = isinstance(records, JsonLines) and records.is_flat
    return Look("", rows, is_plain=not is_final, is_flat=is_flat)


def _look_at_parquet(first: bytes, blocks: Iterator[bytes]) -> Look:
    if not first:
        return Look("", problem="empty file")
    if not first.startswith(_MAGIC):
        is_packed = is_compressed(first)
        how = (
            "is compressed: Parquet files are compressed inside, so the producer has to send them as they are"
            if is_packed
            else ("is no Parquet file, and the contract says parquet: set the format of the server")
        )
        return Look("", problem=how)
    last = b""
    for block in blocks:
        last = (last + block)[-len(_MAGIC) :]
    if last != _MAGIC:
        return Look(
            "",
            problem="is cut off: it does not end as Parquet does: the producer has to send it again, whole",
        )
    return Look("")


def _as_text(layout: Layout, column: str) -> str:
    """A value as text; of lists and structures their JSON."""
    if not layout.types:
        return quote(column)
    at = layout.columns.index(column)
    name, kind = quote(layout.names[at]), layout.types[at]
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION")):
        return f"to_json({name})::varchar"
    return f"{name}::varchar"


def _reason(error: duckdb.Error, style: FileFormat) -> str:
    """DuckDB's many-line message in one line, without what it quotes from the file."""
    if style.kind is FileKind.JSON:
        return _json_reason(error, style)
    if style.kind is FileKind.PARQUET:
        return _parquet_reason(error)
    return _csv_reason(error, style)


def _csv_reason(error: duckdb.Error, style: FileFormat) -> str:
    text = str(error)
    line = _ON_LINE.search(text)
    where = f"line {int(line[1]) + style.skip_lines} " if line else ""
    if columns := _COLUMNS.search(text):
        expected, found = columns.groups()
        finding = f"{where}has {found} {'value' if found == '1' else 'values'}, and the header {expected}"
        original = _ORIGINAL.search(text)
        if (
            int(found) > int(expected)
            and style.delimiter == ","
            and original
            and _DECIMAL_COMMA.search(original[1])
        ):
            return (
                f"{finding}: perhaps a decimal comma makes two values of a number; have the producer put such numbers between quotes, "
                "or use another delimiter"
            )
        if int(found) > int(expected):
            return f"{finding}: the producer has to put quotes around a value with {_named(style.delimiter)} in it"
        return f"{finding}: the line is cut, or a title or total; titles and totals are left out by skipLines and footerLines"
    if "Maximum line size" in text:
        return f"{where}is longer than DuckDB reads (2,000,000 bytes)"
    known = ("Invalid unicode", "Value with unterminated")
    lines = [part.strip() for part in text.removeprefix("Invalid Input Error: ").splitlines()]
    return where + "; ".join([part for part in lines if part.startswith(known)] or lines[:1])[:200]


def _named(delimiter: str) -> str:
    return {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}.get(
        delimiter, f"a {delimiter}"
    )


def _json_reason(error: duckdb.Error, style: FileFormat) -> str:
    text = " ".join(str(error).split())
    line = _JSON_LINE.search(text)
    is_transform = "transform error" in text
    where = f"line {int(line[1]) + style.skip_lines - (0 if is_transform else 1)} " if line else ""
    if "has duplicate key" in text:
        name = text.rsplit('has duplicate key "', 1)[1].split('"', 1)[0][:60]
        return f"{where}has the key {name} twice: the producer has to write each key once"
    what = text.split(": ", 3)[-1].split(". Try", 1)[0] if "Malformed JSON" in text else text
    return f"{where}is not JSON ({what[:120]}): the producer has to correct it"


def _parquet_reason(error: duckdb.Error) -> str:
    text = first_line(error).replace("\n", " ")
    if "encrypt" in text.lower():
        return "is encrypted: the producer has to send it without encryption"
    return f"cannot be read as Parquet to its end ({_without_paths(text)[:160]}): the producer has to send it again"


def _without_paths(text: str) -> str:
    return re.sub(r"'[^']*/[^']*'|\"[^\"]*/[^\"]*\"", "the file", text)
