"""What is found in a landed file while it is read once, without DuckDB: its header, how many records it holds, and why it is set aside."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from slipway.landing.content import (
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
from slipway.landing.json_lines import JsonLines
from slipway.landing.json_records import JsonRecords
from slipway.landing.layouts import Layout
from slipway.landing.sheets import sheet_as_csv

_HEADER_LIMIT = 1 << 18
_LINE_END = re.compile(r"\r\n|\r|\n")
_MAGIC = b"PAR1"


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


def read_through(
    feed: Feed,
    first: bytes,
    blocks: Iterator[bytes],
    copy: Copy | None,
    copies: Copies,
    *,
    is_final: bool,
) -> Look:
    """What is found in a file while it is read once, and copied if there is a copy.

    Args:
        feed: whose file it is.
        first: its first block.
        blocks: all of it, with the first block.
        copy: takes the file in a form that DuckDB reads; None if no copy is made.
        copies: have the folder for temporary files, which is made when it is needed.
        is_final: whether the copy of JSON lines is made so that it can be read without looking at it again.

    Returns:
        Everything but the checksum.
    """
    style = feed.format
    try:
        if style.kind is FileKind.PARQUET:
            return _read_parquet(first, blocks)
        check_kind(first, style.kind)
        if style.kind is FileKind.XLSX:
            return _read_sheet(feed, blocks, copy, copies.folder)
        plain = blocks
        if copy:
            plain = checked_inside(uncompressed(blocks, style, copies.folder), style.kind)
        if style.kind is FileKind.JSON:
            return _read_json(style, plain, copy, is_final=is_final)
        return _read_csv(feed, plain, copy)
    except MalformedError as error:
        return Look("", problem=str(error))


def _read_sheet(feed: Feed, blocks: Iterator[bytes], copy: Copy | None, folder: Path) -> Look:
    assert copy is not None
    reader = _CsvReader(feed, form_of_copy(feed.format), copy, feed.format)
    with spooled(blocks, folder) as file:
        sheet_as_csv(file, feed.format, len(feed.columns), reader.take)
    return reader.found("")


def _has_line(head: bytes) -> bool:
    return b"\n" in head or b"\r" in head


def form_of_copy(style: FileFormat) -> FileFormat:
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


def layout_of_keys(feed: Feed, lines: Mapping[str, str]) -> Layout | str:
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


def _read_parquet(first: bytes, blocks: Iterator[bytes]) -> Look:
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
