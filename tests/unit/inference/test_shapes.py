"""Files of many shapes, none like the example's: what made them is what is inferred of them, and their values come back."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import openpyxl  # type: ignore[import-untyped]
import pytest
from tests.conftest import some
from tests.harness.samples import Row, typed_rows

from slipway.inference.contract_of import contract_of

D = Decimal
UTC = dt.UTC


@dataclass(frozen=True)
class Shape:
    """Files, and what has to be inferred of them.

    Args:
        files: by name.
        rows: their values, in the order of files.
        columns: header to the type, as ``logical type`` or ``physical type``.
        settings: of the contract's server, without guesses.
        pattern: of names.
        key: of rows.
        asked: columns, ``files`` or ``rows`` to a word of what a person is asked about them.
        classified: columns that seem to be personal.
        names: names in models, where they are others than the headers.
    """

    files: Mapping[str, bytes]
    rows: Sequence[Row]
    columns: Mapping[str, str]
    settings: Mapping[str, Any]
    pattern: str
    key: Sequence[str]
    asked: Mapping[str, str] = field(default_factory=dict)
    classified: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


def text_of(rows: Sequence[Sequence[object]], delimiter: str = ",", lineterminator: str = "\n") -> str:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator=lineterminator).writerows(rows)
    return out.getvalue()


def taxi() -> Shape:
    """Trips by month: title lines, a total below, thousands commas, zones that begin with zeros."""
    random, files, rows = Random(1), {}, []
    for month in (1, 2):
        lines: list[list[object]] = [["trip id", "Pickup", "passengers", "fare", "distance", "zone", "flag"]]
        for number in range(40):
            row = (
                f"T{month}{number:04}",
                dt.datetime.combine(dt.date(2024, month, 1 + number % 28), dt.time(number % 24, 5)),
                random.randint(1, 6),
                D(random.randint(250, 300_000)) / 100,
                D(random.randint(100, 90_000)) / 1000,
                f"{number:03}",
                number % 2,
            )
            rows.append(row)
            lines.append([row[0], row[1], row[2], f"{row[3]:,.2f}", f"{row[4]:.3f}", row[5], row[6]])
        title = "City Taxi\nTrips of the month, as reported\n\n"
        files[f"trips_2024-{month:02}.csv"] = (title + text_of(lines) + "Total,,,,,,\n").encode()
    return Shape(
        files,
        rows,
        {
            "trip id": "string", "Pickup": "timestamp", "passengers": "integer", "fare": "decimal(18, 2)",
            "distance": "decimal(18, 3)", "zone": "string", "flag": "integer",
        },
        {"skipLines": 3, "footerLines": 1, "thousandsMark": ","},
        "trips_*.csv",
        ["trip_id"],
        {"zone": "begin with 0", "pickup": "no offset", "flag": "false and true", "files": "footerLines", "rows": "required"},
        names={"trip id": "trip_id", "Pickup": "pickup"},
    )  # fmt: skip


def ledger() -> Shape:
    """German: semicolons, decimal commas, points between groups, latin-1, days first, a word for no value."""
    random, rows, lines = Random(2), [], []
    for number in range(30):
        amount = None if number % 9 == 4 else D(random.randint(-900_000, 900_000)) / 100
        day = dt.date(2024, 1 + number % 12, 1 + number % 28)
        rows.append(
            (
                f"B-{number}",
                f"Müßig & Söhne {number}",
                amount,
                day,
                f"{1000 + number * 317:05}",
                number % 3 == 0,
            )
        )
        shown = "k.A." if amount is None else f"{amount:,.2f}".translate(str.maketrans(",.", ".,"))
        lines.append(
            [rows[-1][0], rows[-1][1], shown, f"{day:%d.%m.%Y}", rows[-1][4], "Yes" if rows[-1][5] else "No"]
        )
    header = ["Beleg", "Kunde", "Betrag (€)".replace("€", "EUR"), "Tag", "PLZ", "bezahlt"]
    text = text_of([header, *lines], delimiter=";", lineterminator="\r\n")
    return Shape(
        {"Belege März.csv": text.encode("iso-8859-1")},
        rows,
        {"Beleg": "string", "Kunde": "string", "Betrag (EUR)": "decimal(18, 2)", "Tag": "date", "PLZ": "string", "bezahlt": "boolean"},
        {"delimiter": ";", "encoding": "cp1252", "decimalMark": ",", "thousandsMark": "."},
        "*.csv",
        ["beleg"],
        {"files": "alphabet", "betrag_eur": "nullValues", "plz": "begin with 0", "bezahlt": "true and false"},
        names={"Beleg": "beleg", "Kunde": "kunde", "Betrag (EUR)": "betrag_eur", "Tag": "tag", "PLZ": "plz"},
    )  # fmt: skip


def sensors() -> Shape:
    """JSON lines: offsets, codes as text, lists, a key that only some files have."""
    random, files, rows = Random(3), {}, []
    for name, has_note in (("a", False), ("b", True)):
        lines = []
        for number in range(25):
            at = dt.datetime(2024, 5, 1, 10, number, 0, number * 1000, tzinfo=UTC)
            value = D(random.randint(-9_000, 40_000)) / 1000
            row = (
                f"{name}{number}",
                at,
                value,
                number % 3 == 0,
                f"{number:04}",
                ["x", "1"],
                "fine" if has_note else None,
            )
            rows.append(row)
            record = f'{{"id":"{row[0]}","at":"{at:%Y-%m-%dT%H:%M:%S}.{number:03}Z","value":{value},"is ok":{json.dumps(row[3])},"code":"{row[4]}","tags":["x",1]'
            lines.append(record + (',"note":"fine"}' if has_note else "}"))
        files[f"{name}.jsonl"] = ("\n".join(lines) + "\n").encode()
    return Shape(
        files,
        rows,
        {
            "id": "string",
            "at": "timestamp",
            "value": "decimal(18, 3)",
            "is ok": "boolean",
            "code": "string",
            "tags": "array",
            "note": "string",
        },
        {},
        "*.jsonl",
        ["id"],
        {"files": "lack note"},
        names={"at": "at_value", "is ok": "is_ok"},
    )


def events() -> Shape:
    """Parquet, which states its types."""
    at = "timestamptz '2024-01-01 00:00:00+00' + to_minutes(range)"
    columns = f"range as id, {at} as \"at\", range / 7.0 as x, (range * 1.25)::decimal(12, 3) as amount, range % 2 = 0 as flag, date '2024-01-01' + range::int as day"
    select = f"select {columns}, lpad(range::varchar, 5, '0') as code from range(50)"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "made.parquet"
        duckdb.sql(f"copy ({select}) to '{file}' (format parquet)")
        content = file.read_bytes()
    start = dt.datetime(2024, 1, 1, tzinfo=UTC)
    rows = [
        (
            n,
            start + dt.timedelta(minutes=n),
            n / 7,
            D(n) * D("1.25"),
            n % 2 == 0,
            dt.date(2024, 1, 1) + dt.timedelta(n),
            f"{n:05}",
        )
        for n in range(50)
    ]
    return Shape(
        {"2024/events-0001.parquet": content},
        rows,
        {
            "id": "integer",
            "at": "timestamp",
            "x": "number",
            "amount": "decimal(12, 3)",
            "flag": "boolean",
            "day": "date",
            "code": "string",
        },
        {},
        "events-*.parquet",
        ["id"],
        names={"at": "at_value"},
    )


def genes() -> Shape:
    """Tabs, NA for no value, exponents, chromosomes that are numbers for the most part."""
    random, rows, lines = Random(5), [], []
    for number in range(45):
        p = None if number % 7 == 0 else float(f"{10 ** -random.uniform(0, 9):.3e}")
        count = None if number % 5 == 0 else random.randint(0, 900)
        fold = D(random.randint(-30_000, 30_000)) / 10_000
        rows.append(
            (
                f"BRCA{number}",
                "X" if number % 9 == 8 else str(number % 22 + 1),
                fold,
                p,
                count,
                "NA" if number == 7 else "ok",
            )
        )
        lines.append(
            [
                rows[-1][0],
                rows[-1][1],
                f"{fold:.4f}",
                "NA" if p is None else f"{p:.3e}",
                "NA" if count is None else count,
                rows[-1][5],
            ]
        )
    text = text_of([["gene", "chr", "log.fc", "p-value", "count", "note"], *lines], delimiter="\t")
    return Shape(
        {"run7.tsv": text.encode()},
        rows,
        {"gene": "string", "chr": "string", "log.fc": "decimal(18, 4)", "p-value": "number", "count": "integer", "note": "string"},
        {"delimiter": "\t"},
        "run*.tsv",
        ["gene"],
        {"p_value": "exponents", "count": "nullValues", "note": "stays text"},
        names={"log.fc": "log_fc", "p-value": "p_value"},
    )  # fmt: skip


def bank() -> Shape:
    """A statement: amounts in quotes, line breaks and quotes inside of values, an account, months first."""
    random, rows, lines = Random(6), [], []
    for number in range(26):
        amount = D(random.randint(-900_000, 900_000)) / 100
        day = dt.date(2024, 3, 1 + number)
        rows.append(
            (
                day,
                amount,
                f'line one\nsaid "{number}"',
                "DE89370400440532013000",
                dt.date(2024, number % 12 + 1, number % 12 + 1),
            )
        )
        lines.append([f"{day:%m/%d/%Y}", f"{amount:,.2f}", *rows[-1][2:4], f"{rows[-1][4]:%m/%d/%Y}"])
    text = text_of([["Booked on", "Amount", "Text", "IBAN", "Value date"], *lines], lineterminator="\r\n")
    return Shape(
        {"statement.csv": text.encode("utf-8-sig")},
        rows,
        {"Booked on": "date", "Amount": "decimal(18, 2)", "Text": "string", "IBAN": "string", "Value date": "date"},
        {"thousandsMark": ","},
        "*.csv",
        ["booked_on"],
        {"iban": "restricted", "value_date": "as in other columns"},
        {"iban": "restricted"},
        names={"Booked on": "booked_on", "Amount": "amount", "Text": "text", "IBAN": "iban", "Value date": "value_date"},
    )  # fmt: skip


def logs() -> Shape:
    """Compressed logs by day: vertical bars, milliseconds after a comma, addresses of clients."""
    files, rows = {}, []
    for day in (1, 2):
        lines: list[list[object]] = [["no", "ts", "level", "client ip", "message"]]
        for number in range(30):
            at = dt.datetime.combine(dt.date(2024, 5, day), dt.time(10, 0, number, number * 1000))
            rows.append((day * 1000 + number, at, "INFO", f"10.0.{day}.{number}", f"GET /x?a={number};b"))
            lines.append([rows[-1][0], f"{at:%Y-%m-%d %H:%M:%S},{number:03}", *rows[-1][2:]])
        files[f"app-2024-05-{day:02}.log.gz"] = gzip.compress(text_of(lines, delimiter="|").encode(), mtime=0)
    return Shape(
        files,
        rows,
        {"no": "integer", "ts": "timestamp", "level": "string", "client ip": "string", "message": "string"},
        {"delimiter": "|"},
        "app-*.log.gz",
        ["no"],
        {"client_ip": "IP address", "no": "if it is a code", "ts": "no offset"},
        {"client_ip": "confidential"},
        names={"client ip": "client_ip"},
    )


def odd() -> Shape:
    """Names that no table has: reserved words, digits, umlauts, one twice, one empty, blanks, those of our own columns."""
    header = [
        "order",
        "Größe (cm)",
        "a",
        "a",
        "",
        "2020",
        "select",
        "rule_id",
        "reason",
        " Name",
        "_run_id",
        "{{ x }}",
    ]
    rows = [(n, n * 3, f"x{n}", f"y{n}", f"z{n}", n * 7, "s", "r", "why", "n", "me", "j") for n in range(25)]
    return Shape(
        {"odd [1].csv": text_of([header, *rows]).encode()},
        rows,
        dict(zip(["order", "Größe (cm)", "a", "a_2", "column_5", "2020", "select", "rule_id", "reason", "Name", "run_id_of_file", "x"],
                 ["integer", "integer", "string", "string", "string", "integer", *["string"] * 6], strict=True)),
        {"header": "none", "skipLines": 1},
        "odd [[]*].csv",
        ["order_value"],
        {"files": "by their place"},
        names={
            "order": "order_value", "Größe (cm)": "grosse_cm", "2020": "column_2020", "select": "select_value", "rule_id": "rule_id_value",
            "reason": "reason_value", "Name": "name",
        },
    )  # fmt: skip


def workbook() -> Shape:
    """A sheet with a title and a total, in an archive of the producer's program."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Weights of the week"])
    sheet.append([])
    sheet.append(["parcel", "weighed on", "kg"])
    rows = []
    for number in range(24):
        rows.append((f"p{number}", dt.date(2024, 5, 1 + number), D(number) / 4))
        sheet.append([rows[-1][0], rows[-1][1], number / 4])
    sheet.append(["Total", None, 69])
    out = io.BytesIO()
    book.save(out)
    return Shape(
        {"weights.xlsx": out.getvalue()},
        rows,
        {"parcel": "string", "weighed on": "date", "kg": "decimal(18, 2)"},
        {"skipLines": 2, "footerLines": 1},
        "*.xlsx",
        ["parcel"],
        {"files": "footerLines"},
        names={"weighed on": "weighed_on"},
    )


def headless() -> Shape:
    """No header, in UTF-16 and a zip archive."""
    rows = [(n, dt.time(n % 24, 30), f"w {n}", D(n) / 8) for n in range(30)]
    text = text_of(
        [[n, f"{time:%H:%M}", word, f"{value:.3f}"] for n, time, word, value in rows], delimiter=";"
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("inner.txt", text.encode("utf-16"))
    return Shape(
        {"dump.txt.zip": out.getvalue()},
        rows,
        {"column_1": "integer", "column_2": "time", "column_3": "string", "column_4": "decimal(18, 3)"},
        {"delimiter": ";", "encoding": "utf-16", "header": "none"},
        "*.txt.zip",
        ["column_1"],
        {"files": "no line is a header"},
    )


def shuffled() -> Shape:
    """Files with other columns, in another order and spelling; single quotes around values."""
    files = {
        "one.csv": b"id,Name,city\n1,'a, b',x\n2,'c',y\n3,'d',z\n",
        "two.csv": b"NAME,id,extra\n'e',4,true\n'f, g',5,false\n",
    }
    rows = [
        (1, None, "a, b", "x"),
        (2, None, "c", "y"),
        (3, None, "d", "z"),
        (4, True, "e", None),
        (5, False, "f, g", None),
    ]
    return Shape(
        files,
        rows,
        {"id": "integer", "extra": "boolean", "Name": "string", "city": "string"},
        {"quote": "'", "header": "names"},
        "*.csv",
        ["id"],
        {"files": "by name"},
        names={"Name": "name"},
    )


def nested() -> Shape:
    """JSON lines with objects and lists: one that is missing, one with keys that differ in case only, one of keys that are data, one that is nested now and then."""
    rows, lines = [], []
    for n in range(30):
        person = {
            "fullName": f"Anna Berg {n}",
            "address": {"zip": f"{n:05}", "since": f"2020-01-{n % 28 + 1:02}"},
        }
        items = [{"sku": f"A{at}", "price": f"{n}.{at}50"} for at in range(n % 3)]
        sensors = {f"s{n * 3 + at}": at for at in range(3)}
        record = f'{{"id": {n}, "person": {json.dumps(person if n else None)}, "items": [' + ", ".join(
            f'{{"sku": "{one["sku"]}", "price": {one["price"]}}}' for one in items
        ) + f'], "sensors": {json.dumps(sensors)}, "now and then": {json.dumps({"a": 1} if n % 2 else n)}, "twins": {{"A": {n}, "a": "x"}}}}'  # fmt: skip
        lines.append(record)
        rows.append(
            (
                n,
                {
                    "full_name": f"Anna Berg {n}",
                    "address": {"zip": f"{n:05}", "since": dt.date(2020, 1, n % 28 + 1)},
                }
                if n
                else None,
                [{"sku": one["sku"], "price": D(one["price"])} for one in items],
                json.dumps(sensors),
                json.dumps({"a": 1}) if n % 2 else str(n),
                {"a": n, "a_2": "x"},
            )
        )
    return Shape(
        {"nested.jsonl": "\n".join([*lines, ""]).encode()},
        rows,
        {
            "id": "integer",
            "person": "object",
            "items": "array",
            "sensors": "string",
            "now and then": "string",
            "twins": "object",
        },
        {},
        "*.jsonl",
        ["id"],
        {"person": "full_name: classification", "sensors": "90 different keys"},
        {"person": "confidential"},
        {"now and then": "now_and_then"},
    )


SHAPES = {
    one.__name__: one
    for one in (nested, taxi, ledger, sensors, events, genes, bank, logs, odd, workbook, headless, shuffled)
}


@pytest.mark.parametrize("name", some(3, SHAPES))
def test_what_made_the_files_is_found(name: str, tmp_path: Path) -> None:
    shape = SHAPES[name]()
    paths = []
    for file, content in shape.files.items():
        paths.append(tmp_path / "samples" / file)
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        paths[-1].write_bytes(content)
    feed, rows, refused = typed_rows(name, paths)
    assert refused == []
    assert feed.set_aside == []
    assert [(one.header, one.physical_type or one.logical_type) for one in feed.columns] == list(
        shape.columns.items()
    )
    assert [one.name for one in feed.columns] == [shape.names.get(header, header) for header in shape.columns]
    server = contract_of(feed).landing
    assert server is not None
    found = server.files.model_dump(by_alias=True, exclude_defaults=True, exclude={"guesses"}, mode="json")
    assert found == shape.settings
    assert server.path == f"{name}/{shape.pattern}"
    assert (rows, feed.rows) == (list(shape.rows), len(shape.rows))
    assert list(feed.key) == list(shape.key)
    for about, word in shape.asked.items():
        assert any(word in guess.text for guess in feed.guesses if guess.about == about), (
            about,
            feed.guesses,
        )
    assert {one.name: one.classification for one in feed.columns if one.classification} == shape.classified
