"""What a contract says of a feed, and what a first line says against it."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.errors import ConfigError
from slipway.landing.feeds import Feed, OnRejected

FEED = Feed("orders", ["id", "the text", "amount"])


def contract(**server: Any) -> dict[str, Any]:  # noqa: ANN401 - YAML
    return {
        "id": "orders-contract",
        "servers": [{"server": "warehouse"}, {"server": "landing", "format": "csv", **server}],
        "schema": [
            {"name": "orders", "properties": [{"name": "id"}, {"name": "Amount", "physicalName": "amt"}]}
        ],
    }


def test_a_contract_becomes_a_feed() -> None:
    feed = Feed.from_contract(contract(path="orders/*.txt"), "x")
    assert feed == Feed("orders", ["id", "amt"], "*.txt", ",", '"')


def test_what_is_not_said_has_a_default() -> None:
    feed = Feed.from_contract(contract(), "x")
    assert feed is not None
    assert (feed.name, feed.pattern) == ("orders-contract", "*.csv")
    feed = Feed.from_contract(contract(path="*.csv"), "x")
    assert feed is not None
    assert feed.name == "orders"


def test_dialect_is_a_custom_property() -> None:
    given = [{"property": "delimiter", "value": ";"}, {"property": "quote", "value": "'"}]
    feed = Feed.from_contract(contract(customProperties=given), "x")
    assert feed is not None
    assert (feed.delimiter, feed.quote) == (";", "'")
    assert feed.header_problem(b"id;'amt'") is None


@pytest.mark.parametrize("servers", [None, [], [{"server": "warehouse", "format": "csv"}]])
def test_a_contract_without_landing_server_is_no_feed(servers: list[Any] | None) -> None:
    assert Feed.from_contract({"servers": servers, "schema": []}, "x") is None


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        pytest.param({"format": "parquet"}, "a feed is one csv object", id="format"),
        pytest.param(
            {"customProperties": [{"property": "encoding", "value": "latin-1"}]},
            "read as utf-8",
            id="encoding",
        ),
        pytest.param(
            {"customProperties": [{"property": "delimiter", "value": "\\t"}]},
            "is not one character",
            id="delimiter",
        ),
        pytest.param(
            {"customProperties": [{"property": "quote", "value": ""}]}, "is not one character", id="quote"
        ),
        pytest.param({"path": "a/b/*.csv"}, "a folder in a folder", id="nested"),
    ],
)
def test_a_feed_that_cannot_be_read_is_refused(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Feed.from_contract(contract(**changed), "orders.odcs.yaml")


@pytest.mark.parametrize(
    "contract",
    [
        {"servers": {"landing": {"format": "csv"}}},
        {"servers": [{"server": "landing", "format": "csv"}], "schema": {"orders": {}}},
        {"servers": [{"server": "landing", "format": "csv"}], "schema": ["orders"]},
        {"servers": [{"server": "landing", "format": "csv"}], "schema": [{"properties": ["id"]}]},
        {
            "servers": [{"server": "landing", "format": "csv", "customProperties": {"delimiter": ";"}}],
            "schema": [{"name": "orders", "properties": [{"name": "id"}]}],
        },
    ],
    ids=["servers", "schema", "object", "property", "custom properties"],
)
def test_a_contract_of_another_shape_is_refused(contract: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^x\.odcs\.yaml is not a (contract|feed)"):
        Feed.from_contract(contract, "x.odcs.yaml")


def test_a_feed_without_or_with_two_equal_columns_is_refused() -> None:
    empty = {**contract(), "schema": [{"name": "orders", "properties": []}]}
    with pytest.raises(ConfigError, match=r"x\.yaml is not a feed"):
        Feed.from_contract(empty, "x.yaml")
    twice = {**contract(), "schema": [{"name": "orders", "properties": [{"name": "id"}, {"name": "ID"}]}]}
    with pytest.raises(ConfigError, match="column id is declared twice"):
        Feed.from_contract(twice, "x.yaml")


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"id,the text,amount", id="plain"),
        pytest.param(b"\xef\xbb\xbfid,the text,amount", id="byte-order-mark"),
        pytest.param(b'"id","the text","amount"', id="quoted"),
        pytest.param(b"id,the text,amount\r", id="carriage-return"),
    ],
)
def test_the_header_may_be_written_in_several_ways(line: bytes) -> None:
    assert FEED.header_problem(line) is None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        pytest.param(b"", "empty file", id="nothing"),
        pytest.param(b"  \r", "empty file", id="blank"),
        pytest.param(b"id,amount", "header differs: missing the text", id="missing"),
        pytest.param(
            b"id,the text,amount,more,and more", "header differs: unknown more, and more", id="excess"
        ),
        pytest.param(b"id,text,amount", "header differs: missing the text; unknown text", id="renamed"),
        pytest.param(
            b"id,id,amount",
            "header differs: id twice; missing the text; each column is to stand in the header once",
            id="duplicate-instead-of-another",
        ),
        pytest.param(
            b"id,the text,amount,",
            "header differs: unknown a column without a name; a delimiter at the end of the header makes one: remove it",
            id="delimiter-at-the-end",
        ),
        pytest.param(
            b"id,,the text,amount",
            "header differs: unknown a column without a name; name it, or remove it",
            id="no-name",
        ),
        pytest.param(b"ID,the text,amount", "header differs: missing id; unknown ID", id="case"),
        pytest.param(b" id,the text,amount", "header differs: missing id; unknown  id", id="blank-in-front"),
        pytest.param(
            b"amount,id,the text", "header has the columns in another order: amount, id, the text", id="order"
        ),
        pytest.param(b"id,id,the text,amount", "header differs: id twice; each column", id="twice"),
        pytest.param("id,the text,ä".encode("latin-1"), "header is not utf-8 (byte 12)", id="latin-1"),
        pytest.param(b"x" * 200_000, "header cannot be read", id="endless"),
    ],
)
def test_another_header_is_reported_in_one_line(line: bytes, problem: str) -> None:
    found = FEED.header_problem(line)
    assert found is not None
    assert found.startswith(problem)
    assert "\n" not in found


@pytest.mark.parametrize(
    ("name", "fits"),
    [("a.csv", True), ("a b.csv", True), (".csv", True), ("a.CSV", False), ("a.csv.gz", False)],
)
def test_names_are_matched_by_the_pattern(name: str, fits: bool) -> None:
    assert (FEED.name_problem(name) is None) is fits


def test_what_is_allowed_of_rejected_files_is_a_custom_property() -> None:
    given = [
        {"property": "onRejectedFiles", "value": "warn"},
        {"property": "ignoredFiles", "value": ["*.md", "old/*"]},
    ]
    feed = Feed.from_contract(contract(path="orders/*.csv", customProperties=given), "x")
    assert feed is not None
    assert feed.on_rejected is OnRejected.WARN
    assert [feed.is_ignored(f"orders/{name}") for name in ("a.md", "b/a.md", "old/a.csv", "a.csv")] == [
        True,
        True,
        True,
        False,
    ]
    plain = Feed.from_contract(contract(path="orders/*.csv"), "x")
    assert plain is not None
    assert plain.on_rejected is OnRejected.FAIL
    assert plain.digest == feed.digest  # neither decides about a file


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("delimeter", ";", "customProperty delimeter: nothing reads it. Write delimiter"),
        ("onRejectedFile", "warn", "Write onRejectedFiles"),
        ("onRejectedFiles", "ignore", "it is fail or warn"),
        ("quote", "§", "not an ASCII character"),
        ("quote", ",", "other than the delimiter"),
        ("delimiter", "\n", "not one character of a line"),
    ],
)
def test_a_custom_property_that_would_have_no_effect_is_refused(name: str, value: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Feed.from_contract(contract(customProperties=[{"property": name, "value": value}]), "x")


def test_a_file_with_another_delimiter_says_which_setting() -> None:
    told = FEED.header_problem(b"id;the text;amount")
    assert told is not None
    assert "it is delimited by a semicolon, which the contract's customProperty delimiter has to say" in told


def test_a_line_that_is_no_header_of_the_feed_is_not_repeated() -> None:
    told = FEED.header_problem(b"root:x:0:0,hunter2,more")
    assert told is not None
    assert told.startswith("header differs: missing id, the text, amount; 3 unknown")
    assert "hunter2" not in told
