"""What names are allowed, and that the nearest one is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.names import LONGEST_TABLE, RESERVED, Kind, nearest, shown, twins, why_not, why_not_together

ANY_TEXT = st.one_of(
    st.text(max_size=300),
    st.text(alphabet="_.- Aa0ßé\u0301\u202e\u00a0/\\\"'", max_size=200),
    st.sampled_from([name for kind in RESERVED for name in RESERVED[kind]]).map(str.upper),
    st.sampled_from(["__slipway_x", "__PARTITION_1", "..", ".", "", "_slipway"]),
)


@given(st.sampled_from(Kind), ANY_TEXT, st.booleans())
def test_the_nearest_name_is_allowed_and_stays(kind: Kind, name: str, lower_case: bool) -> None:
    found = nearest(kind, name, lower_case=lower_case)
    assert why_not(kind, found, lower_case=lower_case) == ""
    assert nearest(kind, found, lower_case=lower_case) == found
    if not why_not(kind, name, lower_case=lower_case):
        assert found == name


@given(st.sampled_from([Kind.LAYER, Kind.TABLE, Kind.FEED, Kind.TARGET]), ANY_TEXT)
def test_an_allowed_name_is_one_part_of_a_path_everywhere(kind: Kind, name: str) -> None:
    if why_not(kind, name):
        return
    assert name.isascii()
    assert not set(name) & set("/\\.%:?#*\"'<>| \t\n$`")
    assert name[0] not in "._-"


@given(ANY_TEXT, ANY_TEXT)
def test_the_longest_record_fits_into_a_file_name(layer: str, table: str) -> None:
    """140 bytes: 255 is what most file systems take, 143 what eCryptfs does."""
    if not (why_not(Kind.LAYER, layer) or why_not(Kind.TABLE, table) or why_not_together(layer, table)):
        assert len(f"{layer}.{table}.json.000001".encode()) <= 140
    long = "t" * (LONGEST_TABLE - len("serving.") + 1)
    assert why_not_together("serving", long)
    assert not why_not_together("serving", long[1:])


@pytest.mark.parametrize(
    ("kind", "name", "why", "call"),
    [
        (Kind.TABLE, "stg.orders", "only letters of ASCII", "stg_orders"),
        (Kind.TABLE, "..", "only letters of ASCII", "table"),
        (Kind.TABLE, "größe", "only letters of ASCII", "grosse"),
        (Kind.TABLE, "_hidden", "a letter or digit in front", "hidden"),
        (Kind.TABLE, "two words", "only letters of ASCII", "two_words"),
        (Kind.TABLE, "", "it is empty", "table"),
        (Kind.TABLE, "x" * 200, "it has 200 characters", "x" * 64),
        (Kind.LAYER, "_slipway", "a letter or digit in front", "slipway"),
        (Kind.LAYER, "a/b", "only letters of ASCII", "a_b"),
        (Kind.LAYER, "Landing", "reserved: slipway shows the landed files", "Landing_layer"),
        (Kind.LAYER, "ops", "reserved: slipway keeps its own tables", "ops_layer"),
        (Kind.LAYER, "TEMP", "reserved: DuckDB has a database", "TEMP_layer"),
        (Kind.TARGET, "main", "reserved: DuckDB does not attach", "main_target"),
        (Kind.TARGET, "../dev", "only letters of ASCII", "dev"),
        (Kind.FEED, "..", "only letters of ASCII", "feed"),
        (Kind.COLUMN, "", "it is empty", "column"),
        (Kind.COLUMN, "a\u202eb", "invisible character U+202E", "ab"),
        (Kind.COLUMN, "a\u00a0b", "invisible character U+00A0", "a b"),
        (Kind.COLUMN, "two\nlines", "invisible character U+000A", "two lines"),
        (Kind.COLUMN, " a", "begins or ends with a space", "a"),
        (Kind.COLUMN, "gro\u0308ße", "NFC", "größe"),
        (Kind.COLUMN, "ż" * 200, "it has 400 bytes", "ż" * 127),
        (Kind.COLUMN, "__slipway_file", "reserved for writing", "slipway_file"),
    ],
)
def test_what_is_refused_and_what_to_call_it(kind: Kind, name: str, why: str, call: str) -> None:
    assert why in why_not(kind, name)
    assert nearest(kind, name) == call


@pytest.mark.parametrize("name", ["order", "2024_rates", "daily-kg", "Foo", "x", "a__b"])
def test_plain_names_are_allowed(name: str) -> None:
    for kind in Kind:
        assert why_not(kind, name) == ""


@pytest.mark.parametrize(
    "name", ["Größe 日本 🚲", 'say "hi"', "it's", "a.b.c", "back\\slash", "{};:%#*", "°C"]
)
def test_columns_may_have_any_visible_text(name: str) -> None:
    assert why_not(Kind.COLUMN, name) == ""


def test_glue_takes_lower_case() -> None:
    for name, call in (("Foo", "foo"), ("daily-kg", "daily_kg")):
        assert "this catalog takes only lower-case" in why_not(Kind.TABLE, name, lower_case=True)
        assert nearest(Kind.LAYER, name, lower_case=True) == call
    assert why_not(Kind.COLUMN, "Foo", lower_case=True) == ""


def test_twins_are_one_name_to_some_reader() -> None:
    name = "żółw"
    assert twins(["a", "b", "A", name, unicodedata.normalize("NFD", name).upper(), "a"]) == [
        ("a", "A"),
        (name, unicodedata.normalize("NFD", name).upper()),
        ("a", "a"),
    ]


def test_invisible_characters_are_shown_as_escapes() -> None:
    assert shown("a\u202eb") == r"'a\u202eb'"
    assert (shown(" a"), shown(""), shown("größe")) == ("' a'", "''", "größe")
