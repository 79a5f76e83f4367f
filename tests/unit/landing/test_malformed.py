"""Files as they should not be: each gets a verdict that a person can act on, and none of its neighbours loses a row.

A case says what is in the file and what its reason has to say; an empty reason means that it is accepted as it is.
"""

from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook  # type: ignore[import-untyped]
from tests.harness.landing_area import FEED, HEADER, Area, lines

from slipway.landing.feeds import Feed
from slipway.landing.formats import FileFormat, FileKind, Header


class Case(NamedTuple):
    """A file, what its reason has to say, and how many rows it brings if it is accepted."""

    content: bytes
    says: str = ""
    rows: int = 0


def csv(*rows: str, says: str = "", count: int = 0) -> Case:
    return Case(lines(*rows).encode(), says, count)


def zipped(members: Mapping[str, bytes], password: bool = False) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    found = bytearray(stream.getvalue())
    if password:  # the flag of the local header and that of the directory
        found[6] |= 1
        found[found.index(b"PK\x01\x02") + 8] |= 1
    return bytes(found)


def zstd(content: bytes) -> bytes:
    packed: bytes = pa.compress(content, codec="zstd", asbytes=True)
    return packed


def parquet(**columns: object) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


def twice(*names: str) -> bytes:
    """A Parquet file with columns of these names."""
    stream = io.BytesIO()
    pq.write_table(
        pa.table([pa.array([number]) for number, _ in enumerate(names)], names=list(names)), stream
    )
    return stream.getvalue()


def moments(kind: pa.DataType, nanoseconds: int, *, nested: bool = False, int96: bool = False) -> bytes:
    """A Parquet file with a moment or time so many nanoseconds after 2024-05-01 01:02:03, and one that is missing."""
    whole = 1_714_525_323 if pa.types.is_timestamp(kind) else 3_723
    values: list[object] = [whole * 10**9 + nanoseconds, None]
    column = pa.array([{"at": [value]} for value in values], pa.struct([("at", pa.list_(kind))]))
    stream = io.BytesIO()
    table = pa.table(
        {"id": [1, 2], "text": ["a", "b"], "amount": column if nested else pa.array(values, kind)}
    )
    pq.write_table(table, stream, use_deprecated_int96_timestamps=int96)
    return stream.getvalue()


def workbook(*rows: list[object], name: str = "Data", more: tuple[str, ...] = ()) -> bytes:
    book = Workbook()
    book.worksheets[0].title = name
    for row in rows:
        book.worksheets[0].append(row)
    for other in more:
        book.create_sheet(other)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


GOOD = lines("1,a,2").encode()
PACKED = gzip.compress(lines(*(f"{n},{n * 7919},{n}" for n in range(5000))).encode())
BOMB = gzip.compress(HEADER.encode() + b"\n" + b"1,a,2\n" * (20 << 20), 9)

TEXTS = {
    "empty": Case(b"", "empty file"),
    "only-line-ends": Case(b"\r\n\n", "empty file"),
    "only-blanks": Case(b"   \n", "empty file"),
    "only-a-byte-order-mark": Case(b"\xef\xbb\xbf", "empty file"),
    "only-the-header": Case(HEADER.encode(), "", 0),
    "no-header": Case(b"1,a,2\n2,b,3\n", "set header: none"),
    "title": Case(b"Sales of May\n\n" + GOOD, "the header is on line 3: set skipLines: 2"),
    "title-with-delimiters": Case(b"Sales,,\nof May,,\n" + GOOD, "the header is on line 3: set skipLines: 2"),
    "other-header": Case(b"name,place,size\nx,y,z\n", "missing id, text, amount"),
    "short-header": Case(b"id,text\n1,a\n", "missing amount"),
    "long-header": Case(b"id,text,amount,more\n1,a,2,3\n", "unknown more"),
    "other-case": Case(b"ID,Text,AMOUNT\n1,a,2\n", "set header: names"),
    "blanks-in-the-header": Case(b"id, text ,amount\n1,a,2\n", "set header: names"),
    "other-order": Case(b"text,id,amount\na,1,2\n", "in another order"),
    "twice-in-the-header": Case(b"id,text,amount,id\n1,a,2,3\n", "each column must be in the header only once"),
    "no-name-in-the-header": Case(b"id,,text,amount\n1,,a,2\n", "name it, or remove it"),
    "delimiter-at-the-end-of-the-header": Case(b"id,text,amount,\n1,a,2,\n", "remove it"),
    "semicolons": Case(GOOD.replace(b",", b";"), "delimited by a semicolon"),
    "tabs": Case(GOOD.replace(b",", b"\t"), "delimited by a tab"),
    "bars": Case(GOOD.replace(b",", b"|"), "delimited by a vertical bar"),
    "utf-16": Case(GOOD.decode().encode("utf-16"), "set encoding: utf-16"),
    "utf-16-without-a-mark": Case(GOOD.decode().encode("utf-16-le"), "set encoding: utf-16-le"),
    "utf-16-big-endian": Case(GOOD.decode().encode("utf-16-be"), "set encoding: utf-16-be"),
    "utf-32": Case(GOOD.decode().encode("utf-32"), "set encoding: utf-32"),
    "latin-1-pound": Case(lines("1,£5,2").encode("latin-1"), "line 2 is not UTF-8 (byte a3, which is £ in cp1252)"),
    "cp1252-euro": Case(lines("1,a,2", "2,€,3").encode("cp1252"), "as in encoding: cp1252"),
    "cut-in-a-sign": Case(lines("1,a,2").encode() + "2,ż".encode()[:-1], "line 3 is not UTF-8"),
    "byte-order-mark": Case(b"\xef\xbb\xbf" + GOOD, "", 1),
    "nul-bytes": csv("1,a\x00b,2", count=1),
    "only-nul-bytes": Case(bytes(4096), "header differs"),
    "noise": Case(bytes(range(128, 256)) * 40, "is not UTF-8"),
    "a-field-of-10-mb": csv(f"1,{'x' * 10_000_000},2", says="line 2 is longer than"),
    "a-field-of-3-mb": csv(f"1,{'x' * 3_000_000},2", says="line 2 is longer than"),
    "a-field-of-1-mb": csv(f"1,{'x' * 1_000_000},2", count=1),
    "open-quote": csv('1,"a,2', "2,b,3", says="line 2 opens a quote"),
    "quote-at-the-very-end": csv("1,a,2", '2,b,"', says="line 3 opens a quote"),
    "text-after-a-quote": csv('1,"a"b,2', says="line 2 has 'b' after a closing quote"),
    "blank-before-a-quote": csv('1, "a",2', says="blank between a delimiter and a quote"),
    "blank-after-a-quote": csv('1,"a" ,2', says="blank between a quote and a delimiter"),
    "quote-inside": csv('1,5" nail,2', count=1),
    "mixed-line-ends": Case(b"id,text,amount\r\n1,a,2\n2,b,3\r3,c,4\r\n", "", 3),
    "blanks-around-a-number": csv('1,a," 1,137 "', count=1),
    "minus-for-nothing": csv("1,a,-", count=1),
    "decimal-comma": csv("1,a,2,50", says="perhaps a decimal comma makes two values of a number"),
    "too-few-values": csv("1,a,2", "2,b", says="line 3 has 2 values, and the header 3"),
    "too-many-values": csv("1,a,2", "2,b,3,c", says="put quotes around a value with a comma in it"),
    "empty-values-too-many": csv("1,a,2,,", count=1),
    "total-below": csv("1,a,2", "Total: 1 row", says="left out by skipLines and footerLines"),
    "blank-lines": csv("", "1,a,2", "", "2,b,3", "", count=2),
    "header-again": csv("1,a,2", HEADER, count=2),
    "year-0": csv("1,0000-00-00,2", "2,9999-12-31,3", count=2),
    "huge-numbers": csv("1,a,1e308", "2,b,1e400", "3,c,NaN", "4,d,-Infinity", count=4),
    "formulas": csv("1,=cmd|'/c calc'!A1,2", "2,@SUM(1),+1", count=2),
    "markup": csv("1,<script>alert(1)</script>,2", "2,'; drop table x; --,3", count=2),
    "terminal-escapes": csv("1,\x1b[2J\x07,2", count=1),
    "right-to-left": csv("1,\u202eabc\u2066,2", count=1),
    "json": Case(b'{"id": 1, "text": "a", "amount": 2}\n', "set format: json"),
    "json-list": Case(b'[{"id": 1}]', "set format: json"),
    "parquet": Case(parquet(id=[1]), "set format: parquet"),
    "workbook": Case(workbook(["id"]), "set format: xlsx"),
    "old-workbook": Case(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000), "old .xls format"),
    "html": Case(b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "header differs"),
    "gzip": Case(gzip.compress(lines("1,a,2", "2,b,3").encode()), "", 2),
    "gzip-cut-off": Case(PACKED[: len(PACKED) // 2], "is cut off: its gzip data ends after"),
    "gzip-without-its-checksum": Case(PACKED[:-8], "is cut off"),
    "gzip-damaged": Case(PACKED[:2000] + b"\0" * 20 + PACKED[2020:], "is damaged: its gzip data"),
    "gzip-with-more-behind": Case(PACKED + b"more", "other bytes after its gzip data"),
    "gzip-of-nothing": Case(gzip.compress(b""), "empty file"),
    "gzip-of-latin-1": Case(gzip.compress(lines("1,£,2").encode("latin-1")), "line 2 is not UTF-8"),
    "gzip-in-gzip": Case(gzip.compress(gzip.compress(GOOD)), "is compressed twice"),
    "gzip-bomb": Case(BOMB, "set maxCompressionRatio"),
    "zstd-cut-off": Case(zstd(os.urandom(300_000).hex().encode())[:200_000], "zstd data"),
    "zip": Case(zipped({"a.csv": lines("1,a,2", "2,b,4").encode()}), "", 2),
    "zip-of-two": Case(zipped({"a.csv": GOOD, "b.csv": GOOD}), "zip archive of 2 files: a.csv, b.csv"),
    "zip-of-none": Case(zipped({}), "zip archive of 0 files"),
    "zip-with-a-password": Case(zipped({"a.csv": GOOD}, password=True), "with a password"),
    "zip-cut-off": Case(zipped({"a.csv": PACKED})[:500], "is cut off or damaged"),
    "zip-of-zip": Case(zipped({"a.zip": zipped({"a.csv": GOOD})}), "is compressed twice"),
    "zip-with-a-path-that-leads-out": Case(zipped({"../../etc/a.csv": lines("7,a,2").encode()}), "", 1),
}  # fmt: skip

JSON = {
    "cut-off": Case(b'{"id": 1}\n{"id": ', "line 2 is not one whole JSON object"),
    "pretty": Case(b'{\n "id": 1\n}\n', "write each object on one line"),
    "list": Case(b'[{"id": 1}]\n', "begins a JSON list"),
    "csv": Case(GOOD, "line 1 is not a JSON object"),
    "unknown-key": Case(b'{"id":1,"text":2,"amount":3}\n{"id":1,"secret":2}\n', "unknown secret (first on line 2)"),
    "key-twice": Case(b'{"id": 1, "id": 2, "text": 1, "amount": 2}\n', "has the key id twice"),
    "no-value": Case(b'{"id": , "text": 1, "amount": 2}\n', "is not JSON"),
    "single-quotes": Case(b"{'id': 1}\n", "is not JSON"),
    "latin-1": Case('{"id": "£"}\n'.encode("latin-1"), "line 1 is not UTF-8"),
    "half-a-pair": Case(b'{"id": "\\ud800", "text": 1, "amount": 2}\n', "is not JSON"),
    "deep": Case(b'{"id": ' + b"[" * 5000 + b"]" * 5000 + b', "text": 1, "amount": 2}\n', "", 1),
    "empty": Case(b"", "", 0),
    "byte-order-mark": Case(b'\xef\xbb\xbf{"id": 1, "text": 2, "amount": 4}\n', "", 1),
    "carriage-returns": Case(b'{"id": 1, "text": 2, "amount": 5}\r\n', "", 1),
}  # fmt: skip

PARQUET = {
    "cut-off": Case(parquet(id=[1], text=["a"], amount=[2])[:-20], "is cut off"),
    "damaged": Case(b"PAR1" + bytes(500) + struct.pack("<I", 100) + b"PAR1", "cannot be read as Parquet"),
    "other-columns": Case(parquet(id=[1], text=["a"]), "columns differ: missing amount"),
    "more-columns": Case(parquet(id=[1], text=["a"], amount=[2], extra=[3]), "unknown extra"),
    "other-case": Case(parquet(ID=[1], text=["a"], amount=[2]), "set header: names"),
    "csv": Case(GOOD, "is no Parquet file"),
    "empty": Case(b"", "empty file"),
    "gzip": Case(gzip.compress(parquet(id=[1])), "Parquet files are compressed inside"),
    "name-twice": Case(twice("id", "text", "amount", "id"), "has the column id twice"),
    "name-twice-but-for-case": Case(twice("id", "text", "amount", "Text"), "has the column Text twice"),
    "wide-decimal": Case(parquet(id=[1], text=["a"], amount=pa.array([Decimal("1" * 41 + ".5")], pa.decimal256(60, 1))), "has decimals of 60 digits in the column amount"),
    "wide-decimal-in-a-list": Case(parquet(id=[1], text=["a"], amount=pa.array([[Decimal(1)]], pa.list_(pa.decimal256(39, 1)))), "has decimals of 39 digits"),
    "decimal": Case(parquet(id=[1], text=["a"], amount=pa.array([Decimal("1" * 37 + ".5")], pa.decimal128(38, 1))), "", 1),
    "int96": Case(moments(pa.timestamp("ns"), 123_456_789, int96=True), "has nanoseconds in the column amount"),
    "utc": Case(moments(pa.timestamp("ns", "UTC"), 1), "has nanoseconds in the column amount"),
    "time": Case(moments(pa.time64("ns"), 123_456_001), "has nanoseconds in the column amount"),
    "nested-utc": Case(moments(pa.timestamp("ns", "UTC"), 123_456_789, nested=True), "has nanoseconds in the column amount"),
    "whole-int96": Case(moments(pa.timestamp("ns"), 123_456_000, int96=True), "", 2),
    "whole-utc": Case(moments(pa.timestamp("ns", "UTC"), 123_456_000), "", 2),
    "whole-time": Case(moments(pa.time64("ns"), 123_456_000), "", 2),
    "whole-nested-utc": Case(moments(pa.timestamp("ns", "UTC"), 123_456_000, nested=True), "", 2),
    "no-rows": Case(parquet(id=pa.array([], pa.int64()), text=pa.array([], pa.string()), amount=pa.array([], pa.string())), "", 0),
}  # fmt: skip

SHEETS = {
    "csv": Case(GOOD, "is no .xlsx workbook"),
    "zip": Case(zipped({"a.csv": GOOD}), "without a workbook in it"),
    "two-sheets": Case(workbook(["id", "text", "amount"], more=("More",)), "has 2 visible sheets (Data, More)"),
    "cut-off": Case(workbook(["id"])[:-300], "is cut off or damaged"),
    "empty": Case(workbook(), "empty file"),
    "title": Case(workbook(["Report"], ["id", "text", "amount"]), "the header is on line 2: set skipLines: 1"),
    "formula": Case(workbook(["id", "text", "amount"], ["=1+1", "a", 2]), "a formula without a result in cell A2"),
    "too-many-values": Case(workbook(["id", "text", "amount"], [1, "a", 2, 3]), "has 4 values"),
    "password": Case(b"\xd0\xcf\x11\xe0" + bytes(999), "with a password"),
}  # fmt: skip

GOOD_ONES = {
    FileKind.CSV: (lines("1,good,2").encode(), lines("2,good,3").encode()),
    FileKind.JSON: (b'{"id": 1, "text": "good", "amount": 2}', b'{"id": 2, "text": "good", "amount": 3}'),
    FileKind.PARQUET: (
        parquet(id=[1], text=["good"], amount=[2]),
        parquet(id=[2], text=["good"], amount=[3]),
    ),
    FileKind.XLSX: (
        workbook(["id", "text", "amount"], [1, "good", 2]),
        workbook(["id", "text", "amount"], [2, "good", 3]),
    ),
}


@pytest.mark.parametrize(
    ("kind", "cases"),
    [(FileKind.CSV, TEXTS), (FileKind.JSON, JSON), (FileKind.PARQUET, PARQUET), (FileKind.XLSX, SHEETS)],
    ids=["csv", "json", "parquet", "xlsx"],
)
def test_each_has_its_verdict_and_its_neighbours_lose_nothing(
    tmp_path: Path, kind: FileKind, cases: Mapping[str, Case]
) -> None:
    area = Area(tmp_path)
    try:
        area.feed = replace(FEED, pattern="*", format=FileFormat(kind=kind))
        for name, case in cases.items():
            area.put(f"bad-{name}", case.content)
        for number, content in enumerate(GOOD_ONES[kind]):
            area.put(f"good-{number}", content)
        found = area.land()
        wrong = {}
        for name, case in cases.items():
            entry = found[f"bad-{name}"]
            is_right = (
                case.says in entry.reason
                if case.says
                else (entry.verdict, entry.rows) == ("accepted", case.rows)
            )
            if (
                not is_right
                or (case.says and entry.verdict != "rejected")
                or "\n" in entry.reason
                or "/" in entry.reason[:1]
            ):
                wrong[name] = (entry.verdict, entry.rows, entry.reason)
        assert wrong == {}
        assert {found[f"good-{number}"].verdict for number in (0, 1)} == {"accepted"}
        rows = area.rows()
        assert len(rows) == 2 + sum(case.rows for case in cases.values() if not case.says)
        assert sum(row[1] == "good" for row in rows) == 2
        assert area.land() == {}
    finally:
        area.close()


def test_there_are_many_cases() -> None:
    assert len(TEXTS) + len(JSON) + len(PARQUET) + len(SHEETS) >= 80


def test_what_is_no_file_is_set_aside(tmp_path: Path) -> None:
    area = Area(tmp_path)
    try:
        area.put("good.csv", GOOD)
        (area.folder / "folder.csv").mkdir()
        area.put("folder.csv/inside.csv", lines("2,b,3"))
        (tmp_path / "secret.csv").write_bytes(lines("9,x,9").encode())
        (area.folder / "out.csv").symlink_to(tmp_path / "secret.csv")
        (area.folder / "nowhere.csv").symlink_to(tmp_path / "gone.csv")
        (area.folder / "loop.csv").symlink_to("loop.csv")
        os.mkfifo(area.folder / "pipe.csv")
        found = area.land()
        assert {name: entry.verdict for name, entry in found.items()} == {
            "good.csv": "accepted",
            "folder.csv/inside.csv": "accepted",
            "out.csv": "rejected",
            "nowhere.csv": "rejected",
            "loop.csv": "rejected",
            "pipe.csv": "rejected",
        }
        assert [row[0] for row in area.rows()] == ["1", "2"]
    finally:
        area.close()


@pytest.mark.long
def test_five_thousand_columns(tmp_path: Path) -> None:
    area = Area(tmp_path)
    try:
        names = [f"c{number}" for number in range(5000)]
        area.feed = Feed("orders", names)
        area.put("wide.csv", "\n".join([",".join(names), ",".join(map(str, range(5000))), ""]))
        area.put("narrow.csv", "\n".join([",".join(names[:4999]), ",".join(map(str, range(4999))), ""]))
        found = area.land()
        assert (found["wide.csv"].verdict, found["wide.csv"].rows) == ("accepted", 1)
        assert "missing c4999" in found["narrow.csv"].reason
        landing = area.landing
        query = landing.select("orders", landing.find("orders", {found["wide.csv"].sha256}).files, "run")
        row = area.connection.execute(query).fetchone()
        assert row is not None
        assert row[:5000] == tuple(map(str, range(5000)))
    finally:
        area.close()


def test_a_limit_of_size_holds_for_every_compression(tmp_path: Path) -> None:
    area = Area(tmp_path)
    try:
        area.feed = replace(FEED, pattern="*", format=FileFormat(max_bytes=10_000))
        big = lines(*(f"{n},{n},{n}" for n in range(5000))).encode()
        area.put("a", gzip.compress(big))
        area.put("b", zstd(big))
        area.put("c", zipped({"c.csv": big}))
        area.put("d", big)  # what is not compressed fills no more than it says
        found = area.land()
        assert {name for name, entry in found.items() if "set maxUncompressedBytes" in entry.reason} == {
            "a",
            "b",
            "c",
        }
        assert found["d"].verdict == "accepted"
    finally:
        area.close()


@pytest.mark.parametrize("header", list(Header))
def test_no_first_line_is_too_odd(tmp_path: Path, header: Header) -> None:
    area = Area(tmp_path)
    try:
        area.feed = replace(FEED, format=FileFormat(header=header))
        for number, content in enumerate(
            [b'"', b'"""', b",", b"\x00", b"\xff\xfe", b",\n" * 9, b'"\n' * 9, b"\r"]
        ):
            area.put(f"{number}.csv", content)
        assert {entry.verdict for entry in area.land().values()} <= {"rejected", "accepted"}
    finally:
        area.close()
