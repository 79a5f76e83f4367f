"""What would change a value stays text and is asked about, and what cannot be read is said."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from tests.harness.samples import typed_again

from slipway.errors import ContractError
from slipway.inference.findings import InferredFeed
from slipway.inference.infer import infer
from slipway.landing.formats import FileFormat

D = Decimal


def inferred(folder: Path, *texts: str | bytes) -> tuple[InferredFeed, list[Path]]:
    paths = []
    for number, text in enumerate(texts):
        paths.append(folder / f"part-{number}.csv")
        paths[-1].write_bytes(text.encode() if isinstance(text, str) else text)
    return infer("some", paths), paths


def column(*values: str, name: str = "x", sign: str = ";") -> str:
    return "\n".join(
        [f"id{sign}{name}", *(f"k{number}{sign}{value}" for number, value in enumerate(values)), ""]
    )


AMBIGUOUS = {
    "codes with zeros": (column("01234", "98765", "50000"), "begin with 0"),
    "codes by name": (column("98765", "50000", name="PLZ"), "plz"),
    "codes with an E": (column("12E3", "45E1"), "codes with an E"),
    "more digits than a number has": (column("1234567890123456789", "1"), "as codes have"),
    "phone numbers": (column("+4912345678", "+4987654321"), "phone"),
    "a point that may part groups": (column("1.137", "2.500", "10.250"), "decimalMark '.'"),
    "a comma that may part groups": (column("1,137", "2,500"), "thousandsMark ','"),
    "blanks that may part groups": (column("555 123 456", "666 123 456"), "stays text"),
    "days or months": (column("03/04/2024", "05/06/2024"), "dd/MM/yyyy and MM/dd/yyyy"),
    "days or months by dashes": (column("03-04-2024", "05-06-2024"), "dd-MM-yyyy and MM-dd-yyyy"),
    "years without a century": (column("31.12.24", "30.11.23"), "without the century"),
    "letters for truth": (column("Y", "N", "Y"), "true and false"),
    "a word among numbers": (column(*(str(number) for number in range(20)), "heavy"), "20 of 21 values look like numbers"),
    "no value by a word in text": (column("a", "NA", "b"), "'NA' in 1 row"),
    "blanks around values": (column(" a ", "b"), "trim: false"),
    "a day that does not exist": (column("2024-02-28", "2024-02-30"), "look like dates"),
    "a word among times": (
        column(*(f"{day:02}.03.2024 10:{day:02}" for day in range(1, 20)), "31.02.2024 10:00"),
        "19 of 20 values are a timestamp in the form dd.MM.yyyy HH:mm",
    ),
    "days or months, and one that does not exist": (
        column(*(f"0{day}.03.2024" for day in range(1, 10)), *(f"0{day}.03.2024" for day in range(1, 10)), "31.02.2024"),
        "{format: 'dd.MM.yyyy'}, or 'MM.dd.yyyy' if the month comes first",
    ),
    "nanoseconds": (column("2024-02-28 10:00:00.123456789"), "look like dates"),
    "nothing at all": (column("", "", ""), "no sample has a value"),
}  # fmt: skip


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_what_has_two_readings_stays_text(case: str, tmp_path: Path) -> None:
    text, asked = AMBIGUOUS[case]
    feed, paths = inferred(tmp_path, text)
    found = feed.columns[1]
    assert (found.logical_type, found.null_values) == ("string", ())
    assert any(asked in guess.text for guess in feed.guesses if guess.about == found.name), feed.guesses
    rows, refused = typed_again(feed, paths)
    assert refused == []
    assert [row[1] or "" for row in rows] == [line.split(";")[1] for line in text.splitlines()[1:]]


ASKED = {
    "a one and a zero": (column("0", "1", "1"), "integer", "false and true"),
    "numbers of one length": (column("1001", "1002"), "integer", "if it is a code"),
    "yes and no": (column("yes", "no"), "boolean", "true and false"),
    "points in dates": (column("03.04.2024", "05.06.2024"), "date", "day is taken to come first"),
    "a mark by another column": (
        column("1.137;0.5", "2.500;12.25", name="x;y"),
        "number",
        "as in other columns",
    ),
    "digits of a day": (column("20240131", "20240201", name="day"), "date", "yyyyMMdd"),
    "a spelling of nothing": (column("1", "-", "2"), "integer", "nullValues"),
    "a clock without a zone": (
        column("2024-01-31 10:00:00", "2024-02-01 11:30:00"),
        "timestamp",
        "no offset",
    ),
}


@pytest.mark.parametrize("case", ASKED)
def test_a_likely_type_is_taken_and_asked_about(case: str, tmp_path: Path) -> None:
    text, kind, asked = ASKED[case]
    feed, paths = inferred(tmp_path, text)
    found = feed.columns[1]
    assert found.logical_type == kind
    assert any(asked in guess.text for guess in feed.guesses if guess.about == found.name), feed.guesses
    assert typed_again(feed, paths)[1] == []


def test_a_zero_that_a_number_would_lose_goes_to_quarantine(tmp_path: Path) -> None:
    """Samples did not show that it is a code; a later file does."""
    feed, paths = inferred(tmp_path, column("1001", "1002"))
    later = tmp_path / "later.csv"
    later.write_text(column("0999", "1003"))
    rows, refused = typed_again(feed, [*paths, later])
    assert [row[1] for row in rows] == [1003, 1001, 1002]
    assert [(rule, original["x"]) for rule, original in refused] == [("x_begins_with_0", "0999")]


def test_a_file_that_is_cut_off_loses_no_line(tmp_path: Path) -> None:
    """Its last line has too few values, and is no line below the records."""
    feed, _ = inferred(tmp_path, "id,x,y\n1,2,3\n4,5,6\n", "id,x,y\n7,8,9\n10,1")
    assert (feed.format.footer_lines, feed.rows) == (0, 2)
    assert [one.path.name for one in feed.set_aside] == ["part-1.csv"]
    assert "has 2 values, and the header 3" in feed.set_aside[0].reason
    for end in ("", "\n"):
        with pytest.raises(ContractError, match="cannot be read: line 3 has 2 values"):
            inferred(tmp_path, f"id,x,y\n7,8,9\n10,1{end}")


def test_a_file_without_the_line_below_the_records_is_named(tmp_path: Path) -> None:
    """Landing cannot see that its last line is a record, or a part of one."""
    whole = "id,x\n1,2\n3,4\nTotal,\n"
    feed, _ = inferred(tmp_path, whole, whole.replace("1,", "5,"), "id,x\n7,8\n9,1")
    assert feed.format.footer_lines == 1
    assert any("part-2.csv ends with fewer lines" in guess.text for guess in feed.guesses)


def test_utf_8_is_never_taken_for_another_encoding(tmp_path: Path) -> None:
    feed, _ = inferred(tmp_path, "id,x\n1,Müller\n".encode(), "id,x\n2,Müller\n".encode("cp1252"))
    assert feed.format.encoding == "utf-8"
    assert "not UTF-8" in feed.set_aside[0].reason


def test_numbers_of_a_file_with_types_keep_all_digits(tmp_path: Path) -> None:
    path = tmp_path / "some.parquet"
    select = "select 18446744073709551615::ubigint as a, 9::decimal(30, 0) as b, 1.5::decimal(4, 1) as c, 0.1::float as d, 0.3123::decimal(4, 4) as e, 123.4::decimal(4, 1) as f"
    duckdb.sql(f"copy ({select}) to '{path}' (format parquet)")
    feed = infer("some", [path])
    assert [one.physical_type or one.options for one in feed.columns] == [
        "decimal(38, 0)",
        "decimal(30, 0)",
        "decimal(4, 1)",
        {"format": "f32"},
        "decimal(18, 4)",  # the type is only as wide as its values are
        "decimal(18, 1)",
    ]
    ((a, b, c, d, e, f),), refused = typed_again(feed, [path])
    assert (a, b, c, e, f, refused) == (18446744073709551615, 9, D("1.5"), D("0.3123"), D("123.4"), [])
    assert abs(d - 0.1) < 1e-7


def test_another_alphabet_is_suspected(tmp_path: Path) -> None:
    feed, _ = inferred(tmp_path, "id;город\n1;Москва\n".encode("cp1251"))
    assert any("another alphabet is likely" in guess.text for guess in feed.guesses)
    feed, _ = inferred(tmp_path, "id;Ort\n1;München\n2;Köln\n".encode("cp1252"))
    assert not any("another alphabet is likely" in guess.text for guess in feed.guesses)


UNREADABLE = {
    "nothing": (b"", "is empty"),
    "a JSON list": (b'[{"a": 1}]', "JSON list"),
    "damaged gzip": (b"\x1f\x8b\x08\x00broken", "gzip"),
    "damaged Parquet": (b"PAR1broken", "Parquet"),
    "a quote that is not closed": (b'id,x\n1,"a\n', "quotes"),
    "names that differ in case in JSON": (b'{"a": 1, "A": 2}\n', "two columns are called a and A"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_is_reported(case: str, tmp_path: Path) -> None:
    content, why = UNREADABLE[case]
    with pytest.raises(ContractError, match=why):
        inferred(tmp_path, content)


def test_the_same_content_is_one_sample(tmp_path: Path) -> None:
    feed, _ = inferred(tmp_path, "id,x\n1,a\n", "id,x\n1,a\n")
    assert feed.rows == 1
    assert feed.set_aside[0].reason == "has the same content as part-0.csv"


def test_rows_that_repeat_others_have_no_key(tmp_path: Path) -> None:
    feed, _ = inferred(tmp_path, "id,x\n1,a\n1,a\n2,b\n")
    assert feed.key == ()
    assert any("1 row repeats another one" in guess.text for guess in feed.guesses)
    assert not any("fileMode" in guess.text for guess in feed.guesses)
    feed, _ = inferred(tmp_path, "id,x\n1,a\n2,b\n", "id,x\n1,a\n2,b\n3,c\n")
    assert any(
        "2 rows repeat another one" in guess.text and "fileMode full" in guess.text for guess in feed.guesses
    )


def test_a_key_may_need_three_columns(tmp_path: Path) -> None:
    lines = [f"{a},{b},{c},{a * b * c}.5" for a in range(3) for b in range(3) for c in range(3)]
    feed, _ = inferred(tmp_path, "\n".join(["a,b,c,amount", *lines, ""]))
    assert feed.key == ["a", "b", "c"]


def test_records_are_never_taken_for_a_header(tmp_path: Path) -> None:
    """Files without one, whose first line could be names by itself."""
    feed, _ = inferred(tmp_path, "anna,berlin\nbert,bonn\n", "carl,köln\ndora,kiel\n".encode().decode())
    assert (str(feed.format.header), feed.rows, feed.set_aside) == ("none", 4, [])
    feed, paths = inferred(tmp_path, "1;heavy\n2;5\n3;7\n4;8\n")
    assert typed_again(feed, paths)[0] == [(1, "heavy"), (2, "5"), (3, "7"), (4, "8")]
    feed, _ = inferred(tmp_path, "name;city\nanna;berlin\n", "name;city\nbert;bonn\n")
    assert [one.header for one in feed.columns] == ["name", "city"]
    assert not any("header" in guess.text for guess in feed.guesses)
    feed, _ = inferred(tmp_path, "name;2023;2024\nanna;1;2\nbert;3;4\n")
    assert [one.header for one in feed.columns] == ["name", "2023", "2024"]


FORMS = {
    "a note of Excel": (b"sep=;\nid;x\n1;a\n2;b\n", {"skip_lines": 1, "delimiter": ";"}, [(1, "a"), (2, "b")]),
    "an escape": (b'id,x\n1,"say \\"a\\", b"\n2,"c"\n', {"escape": "\\"}, [(1, 'say "a", b'), (2, "c")]),
    "comments": (b"# made, by x\n# on y\nid,x\n1,a\n2,b\n", {"skip_lines": 2}, [(1, "a"), (2, "b")]),
    "padded titles and totals": (b"Report,,\n,,\nid,x,y\n1,2,3\nTotal,2,\n", {"skip_lines": 2, "footer_lines": 1}, [(1, 2, 3)]),
    "blank lines": (b"\n\nid;x\n\n1;2,5\n\n2;3,75\n", {"skip_lines": 2, "delimiter": ";"}, [(1, D("2.5")), (2, D("3.75"))]),
    "a mark of the end": (b"id,x,y\n1,2,3\nEOF\n", {"footer_lines": 1}, [(1, 2, 3)]),
    "a count of rows": (b"id,x\n1,a\n2,b\n\n2 rows\n", {"footer_lines": 1}, [(1, "a"), (2, "b")]),
    "returns only": (b"id,x\r1,a\r2,b\r", {}, [(1, "a"), (2, "b")]),
    "lines of text": (b"2024-01-01 up, ok\nfoo, a, b\nbar\n", {"delimiter": ";", "header": "none"}, [("2024-01-01 up, ok",), ("foo, a, b",), ("bar",)]),
    "one column": (b"id\n1\n2\n", {}, [(1,), (2,)]),
    "a title with commas": (b"Trips, all\n\nid,x\n1,a\n2,b\n", {"skip_lines": 2}, [(1, "a"), (2, "b")]),
    "the code page of DOS": ("id;x\n1;Jürgen\n2;Köln\n".encode("cp850"), {"delimiter": ";", "encoding": "cp850"}, [(1, "Jürgen"), (2, "Köln")]),
    "groups by apostrophes": (b"id;x\n1;1'137.50\n2;12'000.00\n", {"delimiter": ";"}, [(1, D("1137.50")), (2, D(12000))]),
    "groups by blanks": (b"id;x\n1;1 137,50\n2;12 000,25\n", {"delimiter": ";"}, [(1, D("1137.50")), (2, D("12000.25"))]),
    "clocks of twelve hours": (b"id,x\n1,12/31/2024 1:05 PM\n", {}, [(1, dt.datetime.fromisoformat("2024-12-31 13:05"))]),
}  # fmt: skip


@pytest.mark.parametrize("case", FORMS)
def test_a_form_is_found(case: str, tmp_path: Path) -> None:
    content, settings, meant = FORMS[case]
    feed, paths = inferred(tmp_path, content)
    assert {
        name: value for name, value in vars(feed.format).items() if value != getattr(FileFormat(), name)
    } == settings
    assert typed_again(feed, paths) == (meant, [])
