"""The count of records beside the one that DuckDB makes; a reader that goes byte by byte is the other opinion."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.landing.csv_records import CsvRecords
from slipway.landing.feeds import Feed

FEED = Feed("orders", ["id", "text", "amount"])
ONE = Feed("orders", ["id"])
PARTS = [
    "a",
    "b",
    ",",
    ",",
    '"',
    '"',
    '"',
    "\n",
    "\n",
    "\r\n",
    "\r",
    " ",
    "é",
    '""',
    '"a"',
    ',"',
    '",',
    '"\n',
]


def count(content: bytes, feed: Feed = FEED, sizes: Sequence[int] = ()) -> int | str:
    """Count with blocks of the given sizes, the rest in one."""
    records, at = CsvRecords(feed), 0
    for size in [*sizes, len(content)]:
        records.add(content[at : at + size])
        at += size
    return records.end()


def slowly(content: bytes, feed: Feed = FEED) -> int | None:
    """Records after the header as a reader finds them that looks at each sign once; None where it gives up."""
    text = content.decode()
    records, at, begun, kinds = 0, 0, False, set()
    while at < len(text):
        stop = value_end(text, at, feed.delimiter)
        if stop is None:
            return None
        begun = begun or stop > at
        end = re.compile("\r\n|\r|\n").match(text, stop)
        if end:
            kinds.add(end[0])
            records += begun or len(feed.columns) == 1
            begun, at = False, end.end()
        else:
            begun, at = begun or stop < len(text), stop + 1
    return max(records + begun - 1, 0) if len(kinds) < 2 else None


def value_end(text: str, start: int, delimiter: str) -> int | None:
    """Where the value ends that begins here; None where it cannot be told."""
    at = start
    if text[at] != '"':
        while at < len(text) and text[at] not in (delimiter, "\r", "\n"):
            at += 1
        blanks = text[start:at].startswith(" ") and text[start:at].strip(" ").startswith('"')
        return None if blanks else at
    at += 1
    while (close := text.find('"', at)) >= 0:
        at = close + 1
        if text[at : at + 1] != '"':
            return at if text[at : at + 1] in ("", delimiter, "\r", "\n") else None
        at += 1
    return None


@settings(max_examples=800, deadline=None, derandomize=True)
@given(
    st.lists(st.sampled_from(PARTS), max_size=30).map(lambda parts: "".join(parts).encode()),
    st.lists(st.integers(0, 9), max_size=12),
    st.sampled_from([FEED, ONE]),
)
def test_it_finds_what_a_slow_reader_finds_however_the_bytes_come(
    content: bytes, sizes: list[int], feed: Feed
) -> None:
    found, expected = count(content, feed, sizes), slowly(content, feed)
    assert (None if isinstance(found, str) else found) == expected, found


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(st.lists(st.text("ab,\"\n\r é'", max_size=6), min_size=3, max_size=3), max_size=8),
    st.sampled_from([("\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_MINIMAL), ("\r", csv.QUOTE_ALL)]),
)
def test_what_a_writer_wrote_is_counted(rows: list[list[str]], dialect: tuple[str, Any]) -> None:
    stream = io.StringIO(newline="")
    end, quoting = dialect
    csv.writer(stream, lineterminator=end, quoting=quoting).writerows([["id", "text", "amount"], *rows])
    assert count(stream.getvalue().encode(), sizes=[7, 1, 1]) == len(rows)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        pytest.param('1,"a,2\n2,b,3\n', 'line 2 opens a quote (") that is never closed', id="open"),
        pytest.param('1,a,2\n2,"x\ny\n3,c,4\n', 'line 3 opens a quote (") that is never closed', id="later"),
        pytest.param('1,"a"b,2\n', "line 2 has 'b' after a closing quote", id="after-a-quote"),
        pytest.param('1,a,2\n1, "a",2\n', "line 3 has a blank between a delimiter and a quote", id="before"),
        pytest.param('1,"a" ,2\n', "line 2 has a blank between a quote and a delimiter", id="behind"),
        pytest.param("1,a,2\r\n", "line 2 ends in CR LF, and line 1 in LF", id="mixed"),
        pytest.param("1,a\r,2\n", "line 2 ends in CR, and line 1 in LF", id="a-return-in-a-value"),
        pytest.param('1,"a\nb",2\n2,\xff', "line 4 is not UTF-8 (byte ff)", id="latin-1"),
        pytest.param("1,a,2\n2,\xc3", "line 3 is not UTF-8 (byte c3)", id="cut-in-a-sign"),
        pytest.param(f"1,{'a' * 7_000_000},2\n", "line 2 is longer than 4,194,304 bytes", id="endless"),
    ],
)
def test_the_line_is_named_whatever_the_blocks(body: str, problem: str) -> None:
    content = b"id,text,amount\n" + body.encode("latin-1")
    for size in (1, 2, 7, 1 << 20) if len(content) < 100 else (1 << 20,):
        found = count(content, sizes=[size] * (len(content) // size))
        assert isinstance(found, str)
        assert found.startswith(problem)


@pytest.mark.parametrize("delimiter", [";", "\t", "|", " ", "§"])
def test_other_delimiters_end_values_too(delimiter: str) -> None:
    feed = Feed("orders", ["id", "text"], delimiter=delimiter, quote="'")
    rows = ["id{0}text", "1{0}'a\n{0}b'", "'it''s'{0}'\n'", "5'{0}'six'"]
    assert count("\n".join(rows).format(delimiter).encode(), feed, [3, 3]) == 3


def test_a_mark_at_the_start_is_no_part_of_the_file() -> None:
    assert count(b'\xef\xbb\xbf"id","text","amount"\n1,a,2\n', sizes=[5]) == 1
    assert count(b"") == count(b"\n\n") == 0
