"""Whatever is written into files, and in whatever form: what is inferred gives it back, or keeps the text as it was written."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.harness.samples import typed_rows

Values = list[Any]


@dataclass(frozen=True)
class Kind:
    """Values of a column, and how they are written."""

    values: st.SearchStrategy[Any]
    written: Callable[[Any], str]


Table = tuple[list[Kind], list[Values], dict[str, Any]]
WITHOUT_SHRINKING = (Phase.explicit, Phase.generate)  # an example takes a fifth of a second


def number(mark: str, groups: str) -> Callable[[Any], str]:
    def write(value: int | Decimal) -> str:
        return f"{value:,}".replace(".", " ").replace(",", groups).replace(" ", mark)

    return write


def kinds(mark: str, groups: str, day: str) -> list[Kind]:
    """Columns of a feed in which numbers are written in one way, and so are days."""
    days = st.dates(dt.date(1950, 1, 1), dt.date(2049, 12, 31))
    times = st.tuples(days, st.integers(0, 86_399)).map(
        lambda one: dt.datetime.combine(one[0], dt.time()) + dt.timedelta(seconds=one[1])
    )
    words = st.text(
        st.characters(codec="cp1252", exclude_categories=["Cc", "Cf", "Zs"]), min_size=1, max_size=12
    )
    return [
        Kind(st.integers(-(10**12), 10**12), str),
        Kind(st.integers(-(10**9), 10**9), number(mark, groups)),
        Kind(st.integers(0, 1), str),
        Kind(st.decimals(-10**9, 10**9, places=2), number(mark, groups)),
        Kind(st.decimals(-10, 10, places=3), number(mark, "")),
        Kind(st.from_regex(r"[0-9]{5}", fullmatch=True), str),
        Kind(st.sampled_from(["true", "false"]), str),
        Kind(st.sampled_from(["Y", "N"]), str),
        Kind(days, dt.date.isoformat),
        Kind(days, lambda day: day.strftime("%d.%m.%Y")),
        Kind(days, lambda one: one.strftime(day)),
        Kind(days, lambda one: one.strftime(day.replace("/", "-"))),
        Kind(days, lambda one: one.strftime("%Y%m%d")),
        Kind(times, lambda time: time.isoformat(" ")),
        Kind(times, lambda time: time.strftime("%d.%m.%Y %H:%M:%S")),
        Kind(times, lambda time: f"{time.isoformat()}Z"),
        Kind(words, str),
    ]  # fmt: skip


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Columns, rows, and the form of the file."""
    mark, groups = draw(st.sampled_from([(".", ","), (".", ""), (",", "."), (",", ""), (".", "'")]))
    day = draw(st.sampled_from(["%d/%m/%Y", "%m/%d/%Y"]))
    columns = draw(st.lists(st.sampled_from(kinds(mark, groups, day)), min_size=2, max_size=5))
    missing = draw(st.lists(st.booleans(), min_size=len(columns), max_size=len(columns)))
    rows = draw(
        st.lists(
            st.tuples(
                *(
                    (st.none() | one.values) if may_lack else one.values
                    for one, may_lack in zip(columns, missing, strict=True)
                )
            ).map(list),
            min_size=2,
            max_size=12,
        )
    )
    delimiter = draw(st.sampled_from([",", ";", "\t", "|"]))
    form = {
        "delimiter": delimiter,
        "quoting": draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
        "lineterminator": draw(st.sampled_from(["\n", "\r\n"])),
        "encoding": draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])),
        "title": draw(
            st.sampled_from(
                [
                    "",
                    "Report of the day\n",
                    "A title, with a comma\n\n".replace(",", "" if delimiter == "," else ","),
                ]
            )
        ),
        "nothing": draw(st.sampled_from(["", "NA", "-"])),
    }
    return columns, rows, form


def file_of(columns: Sequence[Kind], rows: Sequence[Values], form: dict[str, Any]) -> bytes:
    text = io.StringIO(newline="")
    text.write(form["title"])
    writer = csv.writer(
        text, delimiter=form["delimiter"], quoting=form["quoting"], lineterminator=form["lineterminator"]
    )
    writer.writerow([f"col {number}" for number in range(len(columns))])
    writer.writerows([written(columns, row, form) for row in rows])
    return text.getvalue().encode(form["encoding"])


def written(columns: Sequence[Kind], row: Values, form: dict[str, Any]) -> list[str]:
    return [
        form["nothing"] if value is None else one.written(value)
        for one, value in zip(columns, row, strict=True)
    ]


def same(found: object, meant: object) -> bool:
    """Whether a typed value is the one that was meant; a number and its zone's instant are compared as such."""
    if isinstance(found, bool):
        return meant in (("true", "false")[not found], found)
    if isinstance(found, int | float | Decimal) and isinstance(meant, int | Decimal):
        return Decimal(str(found)) == meant
    if isinstance(found, dt.datetime) and isinstance(meant, dt.datetime):
        return found.replace(tzinfo=None) == meant
    return found == meant


def check(table: Table) -> None:
    columns, rows, form = table
    lines = [written(columns, row, form) for row in rows]
    if any(not any(line) for line in lines):
        return  # a blank line is no row
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "some.csv"
        path.write_bytes(file_of(columns, rows, form))
        feed, found, refused = typed_rows("some", [path])
    assert refused == []
    assert len(found) == len(rows), feed
    for at, column in enumerate(feed.columns):
        for line, row, typed in zip(lines, rows, found, strict=True):
            is_kept = column.logical_type == "string" and (typed[at] or "") == line[at]
            is_meant = same(typed[at], row[at])
            is_number_of_digits = (
                column.logical_type == "integer" and typed[at] is not None and str(typed[at]) == line[at]
            )
            assert is_kept or is_meant or is_number_of_digits, (column, line[at], typed[at], feed.format)


@settings(max_examples=15, phases=WITHOUT_SHRINKING)
@given(tables())
def test_no_value_is_changed(table: Table) -> None:
    check(table)


@pytest.mark.long
@settings(max_examples=400, phases=WITHOUT_SHRINKING)
@given(tables())
def test_no_value_is_changed_in_many_tables(table: Table) -> None:
    check(table)


RECORDS: list[st.SearchStrategy[Any]] = [
    st.integers(-(10**15), 10**15),
    st.decimals(-(10**6), 10**6, places=4),
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zs", "Zl", "Zp"]), min_size=1, max_size=8),
    st.from_regex(r"[0-9]{3}", fullmatch=True),
    st.dates(dt.date(1950, 1, 1), dt.date(2049, 12, 31)),
    st.lists(st.integers(0, 9), min_size=1, max_size=3),
]
RECORDS += [
    st.lists(st.none() | RECORDS[1], max_size=3),
    st.fixed_dictionaries({}, optional={"a": RECORDS[3], "b": st.none() | RECORDS[1]}),
    st.fixed_dictionaries({"a": RECORDS[5]}, optional={"b": st.fixed_dictionaries({"c": RECORDS[0]})}),
    st.lists(st.fixed_dictionaries({"a": RECORDS[4]}, optional={"b": st.lists(RECORDS[2])}), max_size=2),
]


@settings(max_examples=8, phases=WITHOUT_SHRINKING)
@given(st.data())
def test_no_value_of_json_is_changed(data: st.DataObject) -> None:
    """Numbers keep all their digits, texts stay texts whatever they look like, and a key may be missing anywhere."""
    columns = data.draw(st.lists(st.sampled_from(RECORDS), min_size=2, max_size=4))
    rows = data.draw(st.lists(st.tuples(*(st.none() | one for one in columns)), min_size=2, max_size=10))
    lines = [
        json.dumps({f"k{at}": value for at, value in enumerate(row) if value is not None}, default=in_json)
        for row in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "some.jsonl"
        path.write_text(
            "\n".join([json.dumps({f"k{at}": None for at in range(len(columns))}), *lines, ""]),
            encoding="utf-8",
        )
        feed, found, refused = typed_rows("some", [path])
    assert refused == []
    assert len(found) == len(rows) + 1
    for at, column in enumerate(feed.columns):
        for row, typed in zip(rows, found[1:], strict=True):
            assert is_kept(typed[at], row[at], is_text=column.logical_type == "string"), (
                column,
                row[at],
                typed[at],
            )
            assert not isinstance(row[at], str) or isinstance(typed[at], str), (column, row[at])


def in_json(value: object) -> object:
    """A value that JSON has no kind for."""
    return float(value) if isinstance(value, Decimal) else str(value)


def is_kept(found: Any, meant: Any, *, is_text: bool = False) -> bool:  # noqa: ANN401 - values of JSON
    """Whether a typed value is the one that was written; what stays text is the JSON of it."""
    if is_text and isinstance(meant, dict | list):
        return bool(json.loads(found) == json.loads(json.dumps(meant, default=in_json)))
    if isinstance(meant, dict) and isinstance(found, dict):
        return set(meant) <= set(found) and all(is_kept(found[key], meant.get(key)) for key in found)
    if isinstance(meant, list) and isinstance(found, list):
        return len(found) == len(meant) and all(map(is_kept, found, meant))
    if isinstance(meant, Decimal) and found is not None:
        return Decimal(str(found)) == meant
    return found == meant or (isinstance(meant, str | dt.date) and found == str(meant))
