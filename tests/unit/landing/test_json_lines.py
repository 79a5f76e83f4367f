"""JSON lines that are read as they are: whatever is not refused has the records, keys and values that the exact count gives."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slipway.landing.json_lines import JsonLines, Written, as_written
from slipway.landing.json_records import JsonRecords

TEXTS = st.sampled_from(["", "a", 'a "quoted" text', "é", "a\nb", "[1, 2]", "{}", "NaN", "\\", " ", "1.50"])
NUMBERS = st.sampled_from(
    ["0", "-0", "7", "-12", "1.5", "1.50", "0.1", "1e5", "1E+2", "1e-7", "0.00001", "-0.0", "100000000000000000000", "12345678901234567",
     "0.14285714285714285", "0.142857142857142857", "1.7976931348623157e308", "2e400", "9007199254740993.0", "NaN", "inf", "01", "1."]
)  # fmt: skip
SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" ,", "  :")])


@st.composite
def values(draw: st.DrawFn, depth: int = 0) -> str:
    kind = draw(st.integers(0, 5 if depth < 2 else 3))
    if kind == 0:
        return draw(st.sampled_from(["true", "false", "null"]))
    if kind == 1:
        return json.dumps(draw(TEXTS), ensure_ascii=draw(st.booleans()))
    if kind in (2, 3):
        return draw(NUMBERS)
    comma, colon = draw(SEPARATORS)
    inner = draw(st.lists(values(depth + 1), max_size=2))
    if kind == 4:
        return f"[{comma.join(inner)}]"
    return "{" + comma.join(f'"{number}"{colon}{value}' for number, value in enumerate(inner)) + "}"


@st.composite
def files(draw: st.DrawFn) -> bytes:
    comma, colon = draw(SEPARATORS)
    keys = st.sampled_from(["a", "b", "é", "", 'c"', "d,e"])
    lines = [
        "{"
        + comma.join(f"{json.dumps(key, ensure_ascii=False)}{colon}{draw(values())}" for key in record)
        + "}"
        for record in draw(st.lists(st.lists(keys, max_size=3), max_size=4))
    ]
    return draw(st.sampled_from(["\n", "\n", "\r\n", "\n\n"])).join(lines).encode()


def plain(content: bytes, path: Path, sizes: tuple[int, ...] = ()) -> Written | None:
    sink, at = io.BytesIO(), 0
    lines = JsonLines(0, sink.write)
    for size in [*sizes, len(content)]:
        lines.add(content[at : at + size])
        at += size
    assert sink.getvalue() == content
    path.write_bytes(content)
    count = lines.end()
    return None if count is None else as_written(duckdb.cursor(), str(path), count, is_flat=lines.is_flat)


def rows(path: Path, keys: list[str]) -> list[Any]:
    columns = dict.fromkeys(keys or ["a"], "VARCHAR")
    found = duckdb.cursor().read_json(str(path), columns=columns, format="newline_delimited")
    return found.fetchall()


def same(content: bytes, folder: Path, sizes: tuple[int, ...] = ()) -> Written | None:
    """What is read as it is; it is the same as with values between quotes."""
    found = plain(content, folder / "plain.jsonl", sizes)
    if found is not None:
        sink = io.BytesIO()
        records = JsonRecords(0, sink.write)
        records.add(content)
        assert records.end() == found.records
        (folder / "quoted.jsonl").write_bytes(sink.getvalue())
        keys = list(found.keys)
        assert rows(folder / "plain.jsonl", keys) == rows(folder / "quoted.jsonl", keys)
        lines = [list(json.loads(line)) for line in content.split(b"\n") if line.strip()]
        firsts = {key: number for number, line in reversed(list(enumerate(lines, 1))) for key in line}
        assert dict(found.keys) == firsts
    return found


def test_numbers_of_every_size_keep_their_text(tmp_path: Path) -> None:
    """DuckDB writes a number as a value of a column in another way than as JSON when it is small or large."""
    read = set()
    for exponent in (*range(-8, 1), *range(14, 23)):
        for digits in ("1", "15"):
            number = Decimal(f"{digits}e{exponent}")
            for text in {f"{number:f}", f"{number:f}.0" if exponent >= 0 else "0", repr(float(number))}:
                if same(f'{{"a":-{text},"b":{{"c":[{text}]}}}}'.encode(), tmp_path) is not None:
                    read.add(text)
    assert {"1", "15.0", "0.001", "0.0001", "1000000000000000.0"} <= read
    assert not {"0.00001", "1e-05", "10000000000000000.0", "1e+22"} & read


QUICK = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


@settings(QUICK, max_examples=60)
@given(content=files(), sizes=st.lists(st.integers(0, 30), max_size=4).map(tuple))
def test_what_is_read_as_it_is_has_the_values_that_the_file_has(
    tmp_path: Path, content: bytes, sizes: tuple[int, ...]
) -> None:
    same(content, tmp_path, sizes)


@settings(QUICK, max_examples=60)
@given(
    content=files(), at=st.integers(0, 200), sign=st.sampled_from(list(b'{}[]:,"0123456789-+.eE aN\\\t\n'))
)
def test_damage_is_never_read_as_it_is(tmp_path: Path, content: bytes, at: int, sign: int) -> None:
    damaged = bytearray(content)
    if damaged:
        damaged[at % len(damaged)] = sign
    same(bytes(damaged), tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        '{"a":1,"b":-12.5,"c":"x","d":null,"e":true}',
        '{"a": 1, "b": -12.5, "c": "x y"}',
        '{"a":{"b":[1,"x",{}]}}',
        '{"a":0.14285714285714285,"b":100000000000000000000,"c":"é \\" \\\\ \\n"}',
        "{}",
    ],
    ids=["compact", "blanks", "nested", "numbers", "empty"],
)
def test_usual_lines_are_read_as_they_are(tmp_path: Path, line: str) -> None:
    for end in ("\n", "\r\n"):
        assert same(f"{line}{end}{line}{end}".encode(), tmp_path) is not None


@pytest.mark.parametrize(
    "line",
    ['{"a":1.50}', '{"a": [1, 2]}', '{"a":"\\u00e9"}', '{"a":1,"a":2}', '{"a":1,}', '{"a":[NaN]}', '{"a":1}{"a":2}', "5", '[{"a":1}]', "", '{"a":'],
)  # fmt: skip
def test_other_lines_are_not(tmp_path: Path, line: str) -> None:
    assert plain(f'{{"a":1}}\n{line}\n{{"a":1}}\n'.encode(), tmp_path / "plain.jsonl") is None


def test_a_line_that_is_too_long_is_not_read_as_it_is() -> None:
    lines = JsonLines(0, lambda _: None)
    for _ in range(40):
        lines.add(b" " * (1 << 19))
    lines.add(b"\n{}\n")
    assert lines.end() is None
