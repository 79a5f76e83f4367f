"""Files of every kind that is read: their values come to raw as they were written, whatever is around them."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook  # type: ignore[import-untyped]
from openpyxl.utils.datetime import CALENDAR_MAC_1904  # type: ignore[import-untyped]
from tests.harness.landing_area import FEED, HEADER, Area

from slipway.landing.formats import FileFormat, FileKind, Header

ROWS = [("1", "a, b", "2.50"), ("2", 'say "x"', None), ("3", "pound £ żółć", "1,137")]


@pytest.fixture
def area(tmp_path: Path) -> Iterator[Area]:
    made = Area(tmp_path)
    yield made
    made.close()


def written(delimiter: str = ",", quote: str = '"', escape: str = '"', end: str = "\n") -> str:
    """The header and ROWS as CSV, every value between quotes."""

    def value(text: str | None) -> str:
        inner = (text or "").replace(escape, escape * 2) if escape != quote else text or ""
        return quote + inner.replace(quote, escape + quote) + quote if text is not None else ""

    header = HEADER.replace(",", delimiter)
    return end.join([header, *(delimiter.join(map(value, row)) for row in ROWS), ""])


def zipped(content: bytes, *names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return stream.getvalue()


def zstd(content: bytes) -> bytes:
    packed: bytes = pa.compress(content, codec="zstd", asbytes=True)
    return packed


def landed(area: Area, content: bytes, style: FileFormat, name: str = "a.csv") -> list[tuple[object, ...]]:
    """Land a file, and give its rows as raw reads them."""
    area.feed = replace(FEED, format=style, pattern="*")
    area.put(name, content)
    entry = area.land()[name]
    assert (entry.verdict, entry.reason) == ("accepted", "")
    assert entry.rows == len(area.rows())
    return sorted(area.rows(), key=lambda row: int(str(row[4])))


@pytest.mark.parametrize("sign", [";", "\t", "|", " ", "§"])
def test_any_delimiter(area: Area, sign: str) -> None:
    found = landed(area, written(sign).encode(), FileFormat(delimiter=sign))
    assert [row[:3] for row in found] == ROWS


@pytest.mark.parametrize(("quote", "escape"), [("'", "'"), ('"', "\\"), ("'", "\\"), ("$", "^")])
def test_any_quote_and_escape(area: Area, quote: str, escape: str) -> None:
    style = FileFormat(quote=quote, escape="" if escape == quote else escape)
    found = landed(area, written(quote=quote, escape=escape).encode(), style)
    assert [row[:3] for row in found] == ROWS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "iso-8859-2"])
def test_any_encoding(area: Area, encoding: str) -> None:
    text = written() if encoding != "iso-8859-2" else written().replace("£", "Ł")
    found = landed(area, text.encode(encoding), FileFormat(encoding=encoding))
    assert [row[:3] for row in found] == [
        (one, two.replace("£", "Ł") if encoding == "iso-8859-2" and two else two, three)
        for one, two, three in ROWS
    ]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "cp850", "mac-roman"])
def test_western_pound_signs(area: Area, encoding: str) -> None:
    found = landed(area, f"{HEADER}\n1,£,2\n".encode(encoding), FileFormat(encoding=encoding))
    assert found[0][:3] == ("1", "£", "2")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_any_line_end(area: Area, end: str, mark: bytes) -> None:
    found = landed(area, mark + written(end=end).encode(), FileFormat())
    assert [row[:3] for row in found] == ROWS


@pytest.mark.parametrize("pack", [gzip.compress, zstd, lambda content: zipped(content, "inside.csv")])
@pytest.mark.parametrize("name", ["a.csv", "a.gz"])
def test_compressed_files(area: Area, pack: Callable[[bytes], bytes], name: str) -> None:
    assert [row[:3] for row in landed(area, pack(written().encode()), FileFormat(), name)] == ROWS


def test_several_members_of_gzip_are_one_file(area: Area) -> None:
    text = written().encode()
    packed = gzip.compress(text[:30]) + gzip.compress(text[30:]) + b"\0" * 20
    assert [row[:3] for row in landed(area, packed, FileFormat())] == ROWS


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_above_and_below(area: Area, end: str) -> None:
    above, below = f"Report, of May{end}{end}", f'Total,"6{end}'
    content = f"{above}{written(end=end)}{below}{end}{end}".encode()
    found = landed(area, content, FileFormat(skip_lines=2, footer_lines=1))
    assert [row[:3] for row in found] == ROWS
    assert [row[4] for row in found] == [4, 5, 6]


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 6),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.integers(1, 9),
)
def test_as_many_lines_are_left_out_as_configured(
    skip: int, footer: int, rows: int, end: str, size: int
) -> None:
    from slipway.landing.content import without_footer, without_title

    titles, records = [f"t{n}" for n in range(skip)], [f"r{n}" for n in range(rows)]
    ends = [f"f{n}" for n in range(footer)]
    text = "".join(line + end for line in [*titles, *records, *ends]).encode()
    blocks = iter([text[at : at + size] for at in range(0, len(text), size)])
    left = b"".join(without_footer(without_title(blocks, skip), footer)).decode()
    assert left.replace("\r\n", "\n").replace("\r", "\n").split() == records


def test_a_header_in_another_order_and_case(area: Area) -> None:
    content = b"AMOUNT, Id ,Text\n2.5,1,a\n"
    assert landed(area, content, FileFormat(header=Header.NAMES))[0][:3] == ("1", "a", "2.5")
    area.put("b.csv", "text,amount,id\nb,3,2\n")
    area.land()
    assert [row[:3] for row in area.rows()] == [("1", "a", "2.5"), ("2", "b", "3")]


def test_no_header(area: Area) -> None:
    found = landed(area, b"1,a,2\n2,b,3\n", FileFormat(header=Header.NONE))
    assert [(*row[:3], row[4]) for row in found] == [("1", "a", "2", 1), ("2", "b", "3", 2)]


def test_a_column_that_a_file_may_lack(area: Area) -> None:
    area.feed = replace(FEED, optional=["text"])
    area.put("a.csv", "id,amount\n1,2\n")
    area.put("b.csv", f"{HEADER}\n2,b,3\n")
    area.land()
    assert [row[:3] for row in area.rows()] == [("1", None, "2"), ("2", "b", "3")]


def test_another_process_reads_the_same(area: Area) -> None:
    """The copy is gone with the process that made it, and what is noted in the ledger is enough to make another."""
    area.feed = replace(FEED, format=FileFormat(encoding="utf-16", header=Header.NAMES), pattern="*")
    area.put("a.csv", "amount,id,text\n2,1,£\n".encode("utf-16"))
    area.put("b.csv", gzip.compress(f"{HEADER}\n2,ż,3\n".encode("utf-16")))
    assert {entry.verdict for entry in area.land().values()} == {"accepted"}
    assert [row[:3] for row in area.rows()] == [("1", "£", "2"), ("2", "ż", "3")]


JSON = FileFormat(kind=FileKind.JSON)


def test_json_lines_keep_what_is_written(area: Area) -> None:
    content = "\n".join(
        [
            '{"id": 1.50, "text": "a\\n\\"b\\" £", "amount": 12345678901234567890.12345678901234567890}',
            '{"amount": 1e308, "id": -0.0, "text": null}',
            "",
            '{"id": true, "text": {"a": [1.0, "x\\\\\\"y", {}], "b": 2.50}, "amount": [ 1.10 , "é" ]}',
            '{"id": "1.50", "text": "{\\"id\\": 1.0}", "amount": ""}',
        ]
    ).encode()
    assert [row[:3] for row in landed(area, content, JSON)] == [
        ("1.50", 'a\n"b" £', "12345678901234567890.12345678901234567890"),
        ("-0.0", None, "1e308"),
        ("true", '{"a": [1.0, "x\\\\\\"y", {}], "b": 2.50}', '[ 1.10 , "é" ]'),
        ("1.50", '{"id": 1.0}', ""),
    ]


def test_json_keys_in_any_order_some_missing(area: Area) -> None:
    content = b'{"text":"a","id":1}\n{"amount":2}\n{}\n'
    assert [row[:3] for row in landed(area, content, JSON)] == [
        ("1", "a", None),
        (None, None, "2"),
        (None, None, None),
    ]


def test_parquet_values_become_text(area: Area) -> None:
    table = pa.table(
        {
            "id": pa.array([1, None], pa.int64()),
            "text": pa.array([{"x": 1.5}, None]),
            "amount": pa.array([0.1, float("nan")]),
        }
    )
    stream = io.BytesIO()
    pq.write_table(table, stream)
    found = landed(area, stream.getvalue(), FileFormat(kind=FileKind.PARQUET), "a.parquet")
    assert [row[:3] for row in found] == [("1", '{"x":1.5}', "0.1"), (None, None, "nan")]
    assert [row[4] for row in found] == [1, 2]


def test_an_escape_is_part_of_the_value_or_of_its_spelling_or_the_file_is_set_aside(area: Area) -> None:
    style = FileFormat(escape="\\")
    found = landed(area, b'id,text,amount\n1,C:\\new,1\n2,"C:\\\\new",2\n3,"\\"a\\,b",3\n', style)
    assert [row[1] for row in found] == ["C:\\new", "C:\\new", '"a,b']
    area.put("of-mysql.csv", b'id,text,amount\n1,"two\\nlines",1\n')  # DuckDB would read twonlines
    assert area.land()["of-mysql.csv"].reason.startswith("line 2 has \\ inside of quotes before what needs")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (gzip.compress(gzip.compress(b"id,text,amount\n1,a,2\n")), "is compressed twice"),
        (gzip.compress(b'{"id": 1, "text": "a", "amount": 2}\n'), "looks like JSON"),
        (gzip.compress(b"PAR1"), "is a Parquet file"),
    ],
    ids=[
        "twice",
        "JSON",
        "Parquet",
    ],  # a compressed text has the time in it, and workers have to agree on names
)
def test_what_is_compressed_is_looked_at_as_if_it_were_not(area: Area, content: bytes, reason: str) -> None:
    area.feed = replace(FEED, pattern="*")
    area.put("a.gz", content)
    assert area.land()["a.gz"].reason.startswith(reason)


def test_moments_of_older_writers_are_read_whatever_their_year(area: Area) -> None:
    """INT96 has nanoseconds, and 1500 and 9999 have no number of nanoseconds that fits into 64 bits."""
    moments = [
        datetime(1500, 1, 1, tzinfo=UTC),
        datetime(2024, 5, 1, 1, 2, 3, 123456, tzinfo=UTC),
        datetime(9999, 12, 31, tzinfo=UTC),
        None,
    ]
    local = pa.array([datetime(2024, 5, 1, 1, 2, 3, tzinfo=UTC)] * 4, pa.timestamp("ns"))
    exact = pa.array([1_714_525_323_123_456_789] * 4, pa.timestamp("ns"))
    stream = io.BytesIO()
    table = pa.table(
        {"id": pa.array(moments, pa.timestamp("us")), "text": local, "amount": ["1", "2", "3", "4"]}
    )
    pq.write_table(table, stream, use_deprecated_int96_timestamps=True)
    found = landed(area, stream.getvalue(), FileFormat(kind=FileKind.PARQUET), "a.parquet")
    assert [row[0] for row in found] == [
        "1500-01-01 00:00:00", "2024-05-01 01:02:03.123456", "9999-12-31 00:00:00", None,
    ]  # fmt: skip
    stream = io.BytesIO()
    pq.write_table(pa.table({"id": exact, "text": exact, "amount": local}), stream)
    area.put("b.parquet", stream.getvalue())
    assert area.land()["b.parquet"].verdict == "accepted"  # without a zone, DuckDB keeps nanoseconds
    assert ("2024-05-01 01:02:03.123456789",) in {row[:1] for row in area.rows()}


def test_parquet_files_of_different_types_are_read_each_by_its_own(area: Area) -> None:
    area.feed = replace(FEED, format=FileFormat(kind=FileKind.PARQUET), pattern="*")
    for name, values in (("a", [1]), ("b", [1.5]), ("c", ["x"]), ("d", [date(2024, 5, 1)])):
        stream = io.BytesIO()
        pq.write_table(pa.table({"amount": values, "id": ["1"], "text": [name]}), stream)
        area.put(f"{name}.parquet", stream.getvalue())
    assert {entry.verdict for entry in area.land().values()} == {"accepted"}
    assert sorted((str(row[1]), row[2]) for row in area.rows()) == [
        ("a", "1"), ("b", "1.5"), ("c", "x"), ("d", "2024-05-01"),
    ]  # fmt: skip


def workbook(**sheets: list[list[object]]) -> bytes:
    book = Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


XLSX = FileFormat(kind=FileKind.XLSX)


def test_sheets_are_read_as_what_is_in_them(area: Area) -> None:
    rows: list[list[object]] = [
        ["Report of May"],
        [],
        ["id", "text", "amount"],
        [1, "a\nb", 0.1],
        [2, datetime.fromisoformat("2024-05-01 12:30"), None],
        [],
        [3, date(2024, 5, 1), True],
        [4, "  007 ", timedelta(hours=30, minutes=1)],
        [5, "#DIV/0!", time(6, 30)],
        ["Total", 4],
    ]
    content = workbook(Data=rows, Notes=[["x"]])
    style = replace(XLSX, sheet="Data", skip_lines=2, footer_lines=1)
    assert [row[:3] for row in landed(area, content, style, "a.xlsx")] == [
        ("1", "a\nb", "0.1"),
        ("2", "2024-05-01 12:30:00", None),
        ("3", "2024-05-01", "true"),
        ("4", "  007 ", "30:01:00"),
        ("5", "#DIV/0!", "06:30:00"),
    ]


@pytest.mark.parametrize(
    ("serial", "number_format", "shown"),
    [
        (0, "yyyy-mm-dd", "1900-01-00"),
        (0.5, "d/m/yy h:mm", "1900-01-00 12:00:00"),
        (0.5, "[Red]h:mm", "12:00:00"),
        (0.999999999, "yyyy-mm-dd", "1900-01-01"),
        (1, "yyyy-mm-dd", "1900-01-01"),
        (59, "yyyy-mm-dd", "1900-02-28"),
        (60, "yyyy-mm-dd", "1900-02-29"),
        (60.25, "yyyy-mm-dd hh:mm:ss", "1900-02-29 06:00:00"),
        (61, "yyyy-mm-dd", "1900-03-01"),
        (45413.5, "yyyy-mm-dd hh:mm", "2024-05-01 12:00:00"),
        (-1, "yyyy-mm-dd", "-1"),
        (1e12, "yyyy-mm-dd", "#VALUE!"),
        (60, "[h]:mm", "1440:00:00"),
        (60, "General", "60"),
    ],
)
def test_numbers_of_days_are_what_excel_shows(
    area: Area, serial: float, number_format: str, shown: str
) -> None:
    """Excel counts a day that there was not, 1900-02-29: it is not the date of the day before it, and 0 is no date at all."""
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.append(["id", "text", "amount"])
    sheet.append([1, serial, 2])
    sheet.cell(row=2, column=2).number_format = number_format
    stream = io.BytesIO()
    book.save(stream)
    assert landed(area, stream.getvalue(), XLSX, "a.xlsx")[0][:3] == ("1", shown, "2")


def test_days_are_counted_from_1904_where_the_workbook_says_so(area: Area) -> None:
    book = Workbook()
    book.epoch = CALENDAR_MAC_1904
    book.worksheets[0].append(["id", "text", "amount"])
    for number, serial in enumerate((0, 0.5, 60), 1):
        book.worksheets[0].append([number, serial, None])
        book.worksheets[0].cell(row=number + 1, column=2).number_format = "yyyy-mm-dd"
    stream = io.BytesIO()
    book.save(stream)
    rows = landed(area, stream.getvalue(), XLSX, "a.xlsx")
    assert [row[1] for row in rows] == ["1904-01-01", "1904-01-01 12:00:00", "1904-03-01"]


def test_the_only_visible_sheet_is_the_one(area: Area) -> None:
    content = workbook(Data=[["id", "text", "amount"], [1, "a", 2]])
    assert landed(area, content, XLSX, "a.xlsx")[0][:3] == ("1", "a", "2")
