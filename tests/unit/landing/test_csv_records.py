"""The count of records that is compared with DuckDB's; a reader that goes byte by byte checks it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.landing.csv_records import CsvRecords
from slipway.landing.formats import FileFormat

STYLE = FileFormat()
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


def count(
    content: bytes,
    columns: int = 3,
    sizes: Sequence[int] = (),
    style: FileFormat = STYLE,
    sink: Callable[[bytes], object] | None = None,
) -> int | str:
    """Count with blocks of the given sizes, the rest in one."""
    records, at = CsvRecords(style, columns, 0, sink), 0
    for size in [*sizes, len(content)]:
        records.add(content[at : at + size])
        at += size
    return records.end()


def slowly(content: bytes, columns: int = 3) -> int | None:
    """Records after the header as a reader finds them that looks at each sign once; None where it gives up."""
    text = content.decode()
    records, at, begun = 0, 0, False
    while at < len(text):
        stop = value_end(text, at)
        if stop is None:
            return None
        begun = begun or stop > at
        end = re.compile("\r\n|\r|\n").match(text, stop)
        if end:
            records += begun or columns == 1
            begun, at = False, end.end()
        else:
            begun, at = begun or stop < len(text), stop + 1
    return max(records + begun - 1, 0)


def value_end(text: str, start: int, delimiter: str = ",") -> int | None:
    """Where the value ends that begins here; None where it is not known."""
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
    st.sampled_from([3, 1]),
)
def test_it_finds_what_a_slow_reader_finds_however_the_bytes_come(
    content: bytes, sizes: list[int], columns: int
) -> None:
    copied = io.BytesIO()
    found, expected = count(content, columns, sizes, sink=copied.write), slowly(content, columns)
    assert (None if isinstance(found, str) else found) == expected, found
    if expected is not None:  # the copy is the same file with other line ends
        assert count(copied.getvalue(), columns) == expected
        assert re.sub(b"\r\n|\r", b"\n", copied.getvalue()) == re.sub(b"\r\n|\r", b"\n", content)


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
    style = FileFormat(delimiter=delimiter, quote="'")
    rows = ["id{0}text", "1{0}'a\n{0}b'", "'it''s'{0}'\n'", "5'{0}'six'"]
    assert count("\n".join(rows).format(delimiter).encode(), 2, [3, 3], style) == 3


def test_an_escaped_quote_closes_nothing() -> None:
    style = FileFormat(escape="\\")
    rows = b'id,text,amount\n1,"a \\" b\n",2\n2,"\\\\",3\n3,"c\\\\\\"",4\n'
    for sizes in ([], [1] * len(rows), [20, 3, 3]):
        assert count(rows, 3, sizes, style) == 3
    message = count(b"id,text,amount\n1,a\\,b,2\n", style=style)
    assert isinstance(message, str)
    assert message.startswith("line 2 has \\ before a delimiter")


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ('"C:\\new"', 2),
        ('"a\\\\\\n"', 2),
        ('"a\n\\t"', 3),
        ('"C:\\\\new"', None),
        ('"a \\" b"', None),
        ('"a\\,b"', None),
        ('"a\\\nb"', None),
        ("C:\\new", None),
        ("a\\\\b", None),
    ],
)
def test_an_escape_that_would_be_left_out_of_a_value_is_found(value: str, line: int | None) -> None:
    rows = f"id,text,amount\n1,{value},2\n2,b,3\n".encode()
    for sizes in ([], [1] * len(rows), [20, 3, 3]):
        found = count(rows, 3, sizes, FileFormat(escape="\\"))
        if line is None:
            assert found == 2
        else:
            assert str(found).startswith(f"line {line} has \\ inside of quotes")


def test_nothing_is_no_record() -> None:
    assert count(b"") == count(b"\n\n") == count(b"\r\n\n\r") == 0


def test_other_line_ends_become_line_feeds_outside_of_quotes() -> None:
    copied = io.BytesIO()
    assert count(b'id,text,amount\r\n1,"a\r\nb",2\r2,c,3\n', sink=copied.write) == 2
    assert copied.getvalue() == b'id,text,amount\n1,"a\r\nb",2\n2,c,3\n'
