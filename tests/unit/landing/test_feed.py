"""What a contract says of a feed, and what a first line says against it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from slipway.contracts.contract_files import read_contract
from slipway.contracts.model import OnRejected
from slipway.errors import ConfigError
from slipway.landing.feeds import Feed

FEED = Feed("orders", ["id", "the text", "amount"])


def contract(**server: Any) -> dict[str, Any]:  # noqa: ANN401 - YAML
    landing = {"server": "landing", "type": "local", "path": "orders/*.csv", "format": "csv", **server}
    return {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "orders-contract",
        "version": "1.0.0",
        "servers": [{"server": "warehouse", "type": "custom"}, landing],
        "schema": [
            {"name": "orders", "properties": [{"name": "id"}, {"name": "Amount", "physicalName": "amt"}]}
        ],
    }


def feed_of(document: dict[str, Any]) -> Feed | None:
    contract, problems = read_contract(yaml.safe_dump(document), "orders.odcs.yaml")
    if contract is None:
        raise problems[0].error
    return Feed.of(contract)


def test_a_contract_becomes_a_feed() -> None:
    feed = feed_of(contract(path="orders/*.txt"))
    assert feed == Feed("orders", ["id", "amt"], "*.txt", ",", '"')


def test_what_is_not_said_has_a_default() -> None:
    feed = feed_of(contract(path="sent/"))
    assert feed is not None
    assert (feed.name, feed.pattern) == ("sent", "*.csv")
    feed = feed_of(contract(path="*.csv"))
    assert feed is not None
    assert feed.name == "orders"


def test_dialect_is_a_custom_property() -> None:
    given = [{"property": "delimiter", "value": ";"}, {"property": "quote", "value": "'"}]
    feed = feed_of(contract(customProperties=given))
    assert feed is not None
    assert (feed.delimiter, feed.quote) == (";", "'")
    assert feed.header_problem(b"id;'amt'") is None


@pytest.mark.parametrize(
    "servers", [[], [{"server": "warehouse", "type": "local", "path": "x", "format": "csv"}]]
)
def test_a_contract_without_landing_server_is_no_feed(servers: list[Any]) -> None:
    assert feed_of({**contract(), "servers": servers}) is None


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
        feed_of(contract(**changed))


def test_a_feed_without_or_with_two_equal_columns_is_refused() -> None:
    empty = {**contract(), "schema": [{"name": "orders", "properties": []}]}
    with pytest.raises(ConfigError, match=r"orders\.odcs\.yaml is not a feed"):
        feed_of(empty)
    twice = {**contract(), "schema": [{"name": "orders", "properties": [{"name": "id"}, {"name": "ID"}]}]}
    with pytest.raises(
        ConfigError, match="is the second property of this name, which differs from `id` only in its spelling"
    ):
        feed_of(twice)


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
    feed = feed_of(contract(path="orders/*.csv", customProperties=given))
    assert feed is not None
    assert feed.on_rejected is OnRejected.WARN
    assert [feed.is_ignored(f"orders/{name}") for name in ("a.md", "b/a.md", "old/a.csv", "a.csv")] == [
        True,
        True,
        True,
        False,
    ]
    plain = feed_of(contract(path="orders/*.csv"))
    assert plain is not None
    assert plain.on_rejected is OnRejected.FAIL
    assert plain.digest == feed.digest  # neither decides about a file


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        (
            "delimeter",
            ";",
            r"Unknown custom property `delimeter` in servers\.landing .*Did you mean `delimiter`",
        ),
        ("onRejectedFile", "warn", "Did you mean `onRejectedFiles`"),
        ("onRejectedFiles", "ignore", "has to be fail or warn"),
        ("quote", "§", "not an ASCII character"),
        ("quote", ",", "other than the delimiter"),
        ("delimiter", "\n", "not one character of a line"),
    ],
)
def test_a_custom_property_that_would_have_no_effect_is_refused(name: str, value: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        feed_of(contract(customProperties=[{"property": name, "value": value}]))


def test_a_file_with_another_delimiter_says_which_setting() -> None:
    told = FEED.header_problem(b"id;the text;amount")
    assert told is not None
    assert "it is delimited by a semicolon, which the contract's customProperty delimiter has to say" in told


def test_a_line_that_is_no_header_of_the_feed_is_not_repeated() -> None:
    told = FEED.header_problem(b"root:x:0:0,hunter2,more")
    assert told is not None
    assert told.startswith("header differs: missing id, the text, amount; 3 unknown")
    assert "hunter2" not in told
