"""Records of JSON lines, counted and with their values as text, however the bytes come; Python's json is the other opinion."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.landing.json_records import JsonRecords

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.lists(st.dictionaries(st.text(max_size=4), VALUES, max_size=4), max_size=6)


def read(content: bytes, sizes: Sequence[int] = ()) -> tuple[int | str, bytes]:
    """What is counted, and what the sink gets, with blocks of the given sizes, the rest in one."""
    sink = io.BytesIO()
    records, at = JsonRecords(0, sink.write), 0
    for size in [*sizes, len(content)]:
        records.add(content[at : at + size])
        at += size
    return records.end(), sink.getvalue()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    RECORDS,
    st.booleans(),
    st.sampled_from([(", ", ": "), (",", ":")]),
    st.lists(st.integers(0, 9), max_size=9),
)
def test_values_are_text_as_they_are_written(
    records: list[dict[str, Any]], is_ascii: bool, separators: tuple[str, str], sizes: list[int]
) -> None:
    def dumped(value: object) -> str:
        return json.dumps(value, ensure_ascii=is_ascii, separators=separators)

    found, text = read("\n".join(map(dumped, records)).encode(), sizes)
    assert found == len(records)
    is_kept = str | bool | None
    assert [json.loads(line) for line in text.splitlines()] == [
        {key: value if isinstance(value, is_kept) else dumped(value) for key, value in record.items()}
        for record in records
    ]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        pytest.param('{"a": 1}\n\n{"a": ', "line 3 is not one whole JSON object", id="cut-off"),
        pytest.param('{"a": 1}\n{\n"a": 1\n}\n', "line 2 is not one whole JSON object", id="several-lines"),
        pytest.param('[{"a": 1},\n{"a": 2}]\n', "line 1 begins a JSON list", id="list"),
        pytest.param('{"a": 1}\n5\n', "line 2 is not a JSON object", id="number"),
        pytest.param('{"a": "b\nc"}\n', "line 1 is not one whole JSON object", id="line-break-in-a-text"),
        pytest.param('{"a": 1}\n' + '{"a": "' + "x" * 20_000_000, "line 2 is longer than", id="endless"),
    ],
)
def test_the_line_is_named_whatever_the_blocks(body: str, problem: str) -> None:
    for size in (1, 2, 7, 1 << 20) if len(body) < 100 else (1 << 20,):
        found, _ = read(body.encode(), [size] * (len(body) // size))
        assert str(found).startswith(problem)


def test_nothing_is_no_record() -> None:
    assert read(b"")[0] == read(b"\n \r\n")[0] == 0


def is_json(text: bytes) -> bool:
    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(text.decode(), parse_constant=refuse)
    except (ValueError, UnicodeDecodeError):
        return False
    return True


@pytest.mark.parametrize(
    "record",
    [
        '{"a": 01}',
        '{"a": 1-2}',
        '{"a": 1.}',
        '{"a": -}',
        '{"a": 1e}',
        '{"a": [01]}',
        '{"a": [1,]}',
        '{"a": [1}}',
        '{"a": {1: 2}}',
        '{"a": [NaN]}',
        "{\"a\": ['x']}",
        '{"a": [1], "b": 01}',
    ],
)
def test_values_that_are_no_json_are_refused_with_their_line(record: str) -> None:
    body = f'{{"a": 1}}\n{{"a": [1]}}\n{record}\n{{"a": 2}}\n'.encode()
    found, _ = read(body)
    assert isinstance(found, str), found
    assert found.startswith("line 3 is not JSON"), found


def test_a_value_may_be_nested_to_any_depth() -> None:
    deep = "[" * 5000 + "]" * 5000
    assert read(f'{{"a": {deep}}}\n'.encode())[0] == 1
    assert isinstance(read(f'{{"a": {deep[:-2]}}}]}}\n'.encode())[0], str)


def test_blanks_in_a_nested_value_stay_as_they_are() -> None:
    value = '{"b":\t[1,\r 2]}'
    found, text = read(f'{{"a": {value}}}\n'.encode())
    assert (found, json.loads(text)) == (1, {"a": value})


def test_a_number_may_have_any_length() -> None:
    assert read(f'{{"a": {"9" * 5000}, "b": [{"9" * 5000}]}}\n'.encode())[0] == 1


@settings(max_examples=300, deadline=None, derandomize=True)
@given(RECORDS, st.integers(0, 200), st.sampled_from(list(b'{}[]:,"0123456789-+.eE aN\\\t')))
def test_what_is_no_json_stays_none(records: list[dict[str, Any]], at: int, sign: int) -> None:
    """DuckDB, which reads what the sink gets, refuses what is no JSON; so that must not become JSON on the way."""
    body = bytearray("\n".join(map(json.dumps, records)).encode())
    if body:
        body[at % len(body)] = sign
    found, text = read(bytes(body))
    if isinstance(found, int):
        lines = [line for line in bytes(body).split(b"\n") if line.strip()]
        assert [is_json(line) for line in lines] == [
            is_json(line) for line in text.split(b"\n") if line.strip()
        ]
