"""Rows of a raw table are followed to curated and quarantine; none can be lost or doubled without being counted."""

from __future__ import annotations

from collections import Counter

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from slipway.landing.books import rows_query

LOST, CURATED, QUARANTINED, BOTH = range(4)
ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from([None, "x"]), st.integers(0, 3)), max_size=12
)


@given(rows=ROWS, foreign=st.integers(0, 2), key=st.sampled_from([["one"], ["one", "two"]]))
def test_every_lost_and_every_doubled_row_is_counted(
    rows: list[tuple[str | None, str | None, int]], foreign: int, key: list[str]
) -> None:
    places: dict[int, list[str]] = {CURATED: [], QUARANTINED: []}
    kept: set[tuple[str | None, ...]] = set()
    for line, (one, two, goes) in enumerate(rows):
        for name, entries in places.items():
            if goes in (name, BOTH):
                entries.append(f"('f', {line})")
                kept.add((one, two)[: len(key)])
    places[CURATED] += [f"('from nowhere', {line})" for line in range(foreign)]
    landed = [f"({text(one)}, {text(two)}, 'f', {line})" for line, (one, two, _) in enumerate(rows)]
    raw = relation(landed, "one, two, _file_sha256, _source_line", "(null::text, null::text, '', 0)")
    outputs = [relation(rows, "_file_sha256, _source_line", "('', 0)") for rows in places.values()]
    found = duckdb.execute(rows_query(raw, outputs, key)).fetchone()
    lost = sum(goes == LOST and (one, two)[: len(key)] not in kept for one, two, goes in rows)
    assert found == (lost, Counter(goes for *_, goes in rows)[BOTH] + foreign, 0)


def text(value: str | None) -> str:
    return "null" if value is None else f"'{value}'"


def relation(rows: list[str], columns: str, typed: str) -> str:
    """A FROM item; the first row gives the types, and is left out."""
    return f"(select * from (values {', '.join([typed, *rows])}) as r({columns}) where _file_sha256 <> '')"
