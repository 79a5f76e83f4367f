"""What a contract says of a feed."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from slipway.contracts.contract_files import read_contract
from slipway.contracts.model import OnRejected
from slipway.errors import ConfigError
from slipway.landing.feeds import Feed
from slipway.landing.formats import FileFormat, Header

FEED = Feed("orders", ["id", "the text", "amount"])
SETTINGS = {
    "delimiter": "\t",
    "quote": "'",
    "escape": "\\",
    "encoding": "cp1252",
    "header": "names",
    "skipLines": 3,
    "footerLines": 1,
    "sheet": "Data",
    "maxUncompressedBytes": 1_000_000,
    "maxCompressionRatio": 50,
}


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
    assert feed == Feed("orders", ["id", "amt"], "*.txt", FileFormat(), [])


def test_what_is_left_out_has_a_default() -> None:
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
    assert (feed.format.delimiter, feed.format.quote) == (";", "'")


def test_everything_that_files_may_be_is_a_custom_property() -> None:
    given = [{"property": name, "value": value} for name, value in SETTINGS.items()]
    feed = feed_of(contract(customProperties=given))
    assert feed is not None
    assert feed.format == FileFormat(
        delimiter="\t",
        quote="'",
        escape="\\",
        encoding="cp1252",
        header=Header.NAMES,
        skip_lines=3,
        footer_lines=1,
        sheet="Data",
        max_bytes=1_000_000,
        max_ratio=50,
    )
    assert feed.digest != Feed(feed.name, feed.columns).digest


@pytest.mark.parametrize(
    ("value", "header"),
    [(True, Header.EXACT), (False, Header.NONE), ("none", Header.NONE), ("names", Header.NAMES)],
)
def test_header_is_a_word_or_a_truth_value(value: object, header: Header) -> None:
    feed = feed_of(contract(customProperties=[{"property": "header", "value": value}]))
    assert feed is not None
    assert feed.format.header is header


def test_columns_may_be_missing_where_the_contract_says_so() -> None:
    document = contract()
    document["schema"][0]["properties"] += [
        {"name": "note", "customProperties": [{"property": "optional", "value": True}]},
        {"name": "shop", "customProperties": [{"property": "since", "value": "2024-05-01"}]},
    ]
    feed = feed_of(document)
    assert feed is not None
    assert feed.optional == ["note", "shop"]


@pytest.mark.parametrize(
    "servers", [[], [{"server": "warehouse", "type": "local", "path": "x", "format": "csv"}]]
)
def test_a_contract_without_landing_server_is_no_feed(servers: list[Any]) -> None:
    assert feed_of({**contract(), "servers": servers}) is None


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        pytest.param({"format": "avro"}, "of format csv, json, parquet or xlsx", id="format"),
        pytest.param(
            {"customProperties": [{"property": "encoding", "value": "base64"}]},
            "encoding 'base64' is not known",
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
        ("escape", ",", "other than the delimiter"),
        ("header", "first", "has to be"),
        ("skipLines", "3", "a whole number"),
        ("skipLines", -1, "at least 0"),
        ("skiplines", 3, "Did you mean `skipLines`"),
        ("encoding", "utf8mb4", "encoding 'utf8mb4' is not known"),
        ("maxCompressionRatio", 0, "at least 1"),
    ],
)
def test_a_custom_property_that_would_have_no_effect_is_refused(name: str, value: object, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        feed_of(contract(customProperties=[{"property": name, "value": value}]))
