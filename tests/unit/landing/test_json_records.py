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
