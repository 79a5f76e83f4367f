"""Bounds are right or absent: a wrong one loses rows without a word."""

from __future__ import annotations

import math
import struct
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg import types as ice
from pyiceberg.conversions import from_bytes

from slipway.engines.duckdb.metrics import (
    BOUND_LENGTH,
    WrittenFile,
    _bound,
    _cut_bytes,
    _cut_text,
    _split,
    null_count,
)

MANY = settings(derandomize=True, deadline=None, max_examples=300)
points = st.one_of(
    st.characters(exclude_categories=["Cs"]),
    st.sampled_from("a\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"),
)


@MANY
@given(st.text(points, max_size=2 * BOUND_LENGTH))
def test_a_text_lies_between_its_bounds(text: str) -> None:
    lower, upper = _cut_text(text, upper=False), _cut_text(text, upper=True)
    assert lower is not None
    assert lower <= text.encode()
    assert len(lower.decode()) <= BOUND_LENGTH
    if upper is None:
        assert set(text[:BOUND_LENGTH]) == {"\U0010ffff"}
    else:
        assert upper >= text.encode()
        assert len(upper.decode()) <= BOUND_LENGTH
    if len(text) <= BOUND_LENGTH and len(text.encode()) < 256:
        assert lower == upper == text.encode()


@MANY
@given(st.text(points, min_size=130, max_size=300))
def test_a_text_that_the_statistics_cut_lies_between_its_bounds(text: str) -> None:
    """DuckDB gives the first 256 bytes of a longer text, and does not say so."""
    message = text.encode()[:256].decode(errors="ignore")
    if len(text.encode()) < 256 or len(message.encode()) < 256:
        return
    lower, upper = _cut_text(message, upper=False), _cut_text(message, upper=True)
    assert lower is not None
    assert lower <= text.encode()
    assert upper is None or upper >= text.encode()


def test_a_text_of_wide_characters_that_the_statistics_cut_is_rounded_up() -> None:
    text = "🚲" * 65  # 64 of them are 256 bytes, and no longer than a bound
    upper = _cut_text(text.encode()[:256].decode(), upper=True)
    assert upper is not None
    assert upper > text.encode()


@MANY
@given(
    st.binary(max_size=200)
    | st.binary(min_size=60, max_size=70).map(lambda value: value.replace(b"\x00", b"\xff"))
)
def test_bytes_lie_between_their_bounds(value: bytes) -> None:
    for cut in (False, True):
        lower, upper = (
            _cut_bytes(value, stats_cut=cut, upper=False),
            _cut_bytes(value, stats_cut=cut, upper=True),
        )
        assert lower is not None
        assert lower <= value
        assert upper is None or upper >= value
        if cut and upper is not None:  # whatever follows what was cut is below
            assert upper > value[: len(upper)] or len(upper) < len(value)


def test_an_upper_bound_of_cut_text_skips_what_is_no_character() -> None:
    text = "a" * 63 + "\ud7ff" + "more"
    assert _cut_text(text, upper=True) == ("a" * 63 + "\ue000").encode()
    assert _cut_text("a" * 63 + "\U0010ffff" + "more", upper=True) == ("a" * 62 + "b").encode()
    assert _cut_text("\U0010ffff" * 70, upper=True) is None


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        pytest.param(ice.BooleanType(), "1", True, id="true"),
        pytest.param(ice.BooleanType(), "0", False, id="false"),
        pytest.param(ice.IntegerType(), "-2147483648", -(2**31), id="int"),
        pytest.param(ice.LongType(), "9223372036854775807", 2**63 - 1, id="long"),
        pytest.param(ice.DecimalType(18, 4), "-0.5", Decimal("-0.5000"), id="decimal"),
        pytest.param(ice.DecimalType(38, 0), "9" * 38, Decimal("9" * 38), id="wide-decimal"),
        pytest.param(ice.DateType(), "1969-12-31", -1, id="date"),
        pytest.param(ice.TimeType(), "00:00:01.000002", 1_000_002, id="time"),
        pytest.param(ice.TimestampType(), "1969-12-31 23:59:59.999999", -1, id="timestamp"),
        pytest.param(ice.TimestamptzType(), "1970-01-01 00:00:01+00", 1_000_000, id="timestamptz"),
        pytest.param(ice.TimestamptzType(), "1970-01-01 01:00:00+01", 0, id="timestamptz-with-offset"),
        pytest.param(ice.StringType(), "", "", id="empty-text"),
    ],
)
def test_bounds_hold_the_value(kind: ice.PrimitiveType, text: str, value: object) -> None:
    for upper in (False, True):
        found = _bound(kind, text, upper=upper)
        assert found is not None
        assert from_bytes(kind, found) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        pytest.param(ice.DateType(), "infinity", id="infinite-date"),
        pytest.param(ice.DateType(), "0044-03-15 (BC)", id="before-christ"),
        pytest.param(ice.DateType(), "12345-01-01", id="far-date"),
        pytest.param(ice.TimestampType(), "294247-01-10 04:00:54.775806", id="far-timestamp"),
        pytest.param(ice.TimeType(), "24:00:00", id="end-of-day"),
        pytest.param(ice.DecimalType(9, 2), "not a number", id="nonsense"),
    ],
)
def test_what_cannot_be_held_has_no_bound(kind: ice.PrimitiveType, text: str) -> None:
    assert _bound(kind, text, upper=False) is None
    assert _bound(kind, text, upper=True) is None
    assert _bound(kind, None, upper=True) is None


@MANY
@given(st.floats() | st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan]))
def test_floats_lie_between_their_bounds(value: float) -> None:
    for kind, code in ((ice.DoubleType(), "d"), (ice.FloatType(), "f")):
        try:
            stored = struct.unpack(code, struct.pack(code, value))[0]
        except OverflowError:
            continue
        bounds = [_bound(kind, str(stored), upper=upper) for upper in (False, True)]
        if math.isnan(stored):
            assert bounds == [None, None]
        else:
            low, high = (cast("float", from_bytes(kind, bound or b"")) for bound in bounds)
            assert low == stored == high
            # readers that tell -0.0 from 0.0 find either between them
            assert stored != 0 or (math.copysign(1, low), math.copysign(1, high)) == (-1, 1)


@MANY
@given(st.dates(date(1, 1, 1), date(9999, 12, 31)), st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))  # noqa: DTZ001
def test_dates_and_times_of_python_have_exact_bounds(day: date, moment: datetime) -> None:
    days: Any = from_bytes(ice.DateType(), _bound(ice.DateType(), day.isoformat(), upper=True) or b"")
    assert date(1970, 1, 1) + timedelta(days=days) == day
    micros: Any = from_bytes(
        ice.TimestampType(), _bound(ice.TimestampType(), str(moment), upper=False) or b""
    )
    assert datetime(1970, 1, 1) + timedelta(microseconds=micros) == moment  # noqa: DTZ001


@MANY
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=4))
def test_paths_of_columns_are_split_as_they_were_joined(parts: list[str]) -> None:
    path = ".".join('"' + part.replace('"', '""') + '"' for part in parts)
    assert _split(path) == tuple(parts)


def test_nulls_are_counted_over_all_files_by_any_spelling() -> None:
    def file(nulls: str) -> WrittenFile:
        return WrittenFile("p", 5, 1, {'"Key"': {"null_count": nulls}, '"s"."part"': {"null_count": "5"}}, {})

    written = [file("2"), file("0"), file("1")]
    assert (null_count(written, "key"), null_count(written, "KEY")) == (3, 3)
    # of a nested column only the parts are counted
    assert null_count(written, "s") is None
    assert null_count([], "anything") == 0
