"""Which tables a query may read, and which names resemble one that is not there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.releases.cut import Cut, TableVersion

TABLES = ("curated.orders", "curated.people", "quarantine.orders", "raw.orders", 'odd "layer".a table')


def cut(*tables: str) -> Cut:
    return Cut("test", {name: TableVersion(f"{name}.metadata.json") for name in tables})


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        pytest.param("select * from curated.orders", ["curated.orders"], id="plain"),
        pytest.param('FROM "CURATED" . "Orders"', ["curated.orders"], id="quoted-and-upper-case"),
        pytest.param("from raw.orders join curated.people using (id)", ["curated.orders", "curated.people", "raw.orders"],
                     id="finds-more-rather-than-less"),
        pytest.param('from "odd ""layer"""."a table"', ['odd "layer".a table'], id="quotes-in-names"),
        pytest.param("from orders", [], id="without-layer"),
        pytest.param("select 1", [], id="no-table"),
    ],
)  # fmt: skip
def test_tables_are_found_by_their_words(sql: str, expected: list[str]) -> None:
    assert cut(*TABLES).mentioned_in(sql) == sorted(expected)


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(
    layer=NAMES,
    name=NAMES.filter(lambda name: "." not in name),
    before=st.text(max_size=8),
    after=st.text(max_size=8),
)
def test_a_quoted_table_is_found_in_any_text(layer: str, name: str, before: str, after: str) -> None:
    quoted = '"{}"."{}"'.format(layer.replace('"', '""'), name.replace('"', '""'))
    assert cut(f"{layer}.{name}").mentioned_in(f"{before}{quoted}{after}") == [f"{layer}.{name}"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("curated.peple", ["curated.people"], id="slip"),
        pytest.param("orders", ["curated.orders", "quarantine.orders", "raw.orders"], id="no-layer"),
        pytest.param('"raw"."order"', ["raw.orders", "curated.orders", "quarantine.orders"], id="best-first"),
        pytest.param("RAW.ORDERS_", ["raw.orders", "curated.orders", "quarantine.orders"], id="case"),
        pytest.param("x.zebra", [], id="nothing-alike"),
    ],
)
def test_close_names(name: str, expected: list[str]) -> None:
    assert cut(*TABLES).close_to(name) == expected


def test_an_empty_cut_resembles_nothing() -> None:
    assert cut().close_to("a.b") == []


@given(st.lists(st.from_regex(r"[a-z]{1,6}\.[a-z]{1,6}", fullmatch=True), min_size=1, unique=True), st.data())
def test_a_table_that_is_there_is_among_the_closest(tables: list[str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(tables))
    found = cut(*tables).close_to(name)
    # more than three share a name in other layers only if it is not unique there
    same = [table for table in tables if table.partition(".")[2] == name.partition(".")[2]]
    assert name in found or len(same) > 3
