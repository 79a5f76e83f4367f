"""Rows leave quarantine when their retention is over, no younger one leaves with them, and the books balance."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import duckdb
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from slipway.contracts.contract_files import read_contract
from slipway.contracts.model import Contract
from slipway.contracts.quarantine_retention import Retention, retention_of
from slipway.errors import ConfigError
from slipway.landing.books import rows_query

SHA, START = "0a" * 32, datetime(2024, 5, 1, tzinfo=UTC)


def feed(maximum: int, *, required: bool = True, retention: object = None, is_feed: bool = True) -> str:
    column = {"name": "n", "logicalType": "integer", "required": required}
    document = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "f",
        "version": "1.0.0",
        "schema": [{"name": "f", "properties": [{**column, "logicalTypeOptions": {"maximum": maximum}}]}],
    }
    if is_feed:
        document["servers"] = [{"server": "landing", "type": "local", "path": "f/*.csv", "format": "csv"}]
    if retention is not None:
        document["customProperties"] = [{"property": "quarantineRetention", "value": retention}]
    return yaml.safe_dump(document, sort_keys=False)


def contract(text: str) -> Contract:
    found, problems = read_contract(text, "f.odcs.yaml")
    assert found, problems
    return found


@given(
    rows=st.lists(st.tuples(st.sampled_from(["1", "5", "9", "x", None]), st.integers(0, 9)), max_size=10),
    maximum=st.integers(0, 10),
    required=st.booleans(),
    days=st.integers(1, 12),
    as_of=st.none() | st.integers(0, 25),
    lost=st.none() | st.integers(0, 9),
)
def test_the_books_balance_and_nothing_younger_than_the_cutoff_is_lost(
    rows: list[tuple[str | None, int]],
    maximum: int,
    required: bool,
    days: int,
    as_of: int | None,
    lost: int | None,
) -> None:
    """The quarantine table keeps the first of equal rows, as a model does; ``lost`` is a line that it leaves out, however old it is."""
    retention = Retention(
        contract(feed(maximum, required=required)),
        timedelta(days=days),
        START + timedelta(days=as_of) if as_of is not None else None,
    )
    newest = as_of if as_of is not None else max((day for _, day in rows), default=0)

    def breaks(value: str | None) -> bool:
        return required if value is None else value == "x" or int(value) > maximum

    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(
            "create table raw (n varchar, _source_file varchar, _source_line bigint, _file_sha256 varchar,"
            " _landed_at timestamptz, _run_id varchar)"
        )
        for line, (value, day) in enumerate(rows):
            landed = START + timedelta(days=day)
            connection.execute(
                "insert into raw values (?, 'a.csv', ?, ?, ?, 'r')", [value, line, SHA, landed]
            )
        good = [line for line, (value, _) in enumerate(rows) if not breaks(value)]
        place = "_source_line, _file_sha256"
        connection.execute(
            f"create table curated as select {place} from raw where _source_line in (select unnest($1))",
            [good],
        )
        connection.execute(
            f"create table quarantine as select {place}, n, _landed_at from ({retention.broken_sql('raw')})"
            f" where {retention.kept_sql('raw')} qualify row_number() over (partition by n order by _source_line) = 1"
        )
        kept = {row[0] for row in connection.execute("select _source_line from quarantine").fetchall()}
        connection.execute("delete from quarantine where _source_line = ?", [-1 if lost is None else lost])
        expired = f"(select * from ({retention.broken_sql('raw')}) where _landed_at < {retention.cutoff_sql('raw')})"
        found = connection.execute(rows_query("raw", ["curated", "quarantine"], ["n"], expired)).fetchone()
        again = connection.execute(rows_query("raw", ["curated", "quarantine"], ["n"], expired)).fetchone()

    young = [
        (line, value) for line, (value, day) in enumerate(rows) if breaks(value) and day >= newest - days
    ]
    first = {value: line for line, value in reversed(young)}
    assert kept == set(first.values())  # every value of a young row is there, and no old row
    old = sum(breaks(value) for value, _ in rows) - len(young)
    missing = Counter(value for _, value in young)[rows[lost][0]] if lost in kept and lost is not None else 0
    assert found == again == (missing, 0, old)
    assert len(rows) == len(good) + len(kept) + (len(young) - len(kept)) + old


@pytest.mark.parametrize(
    ("given_as_of", "expected"),
    [
        pytest.param("2024-05-11", START, id="a date is its beginning"),
        pytest.param("2024-05-11T06:00:00", START + timedelta(hours=6), id="UTC without an offset"),
        pytest.param("2024-05-11T06:00:00+02:00", START + timedelta(hours=4), id="offset"),
        pytest.param((START + timedelta(days=10)).date(), START, id="as YAML reads a date"),
    ],
)
def test_the_cutoff_is_counted_back_from_as_of(given_as_of: object, expected: datetime) -> None:
    found = retention_of(contract(feed(1, retention={"value": 10, "unit": "d"})), {"as_of": given_as_of}, [])
    assert found
    assert duckdb.execute(f"select epoch_us({found.cutoff_sql('nothing')})").fetchone() == (
        expected.timestamp() * 1_000_000,
    )


def test_an_as_of_that_is_no_time_is_refused() -> None:
    text = feed(1, retention={"value": 10, "unit": "d"})
    with pytest.raises(ConfigError, match="The var as_of is soon, which is no time"):
        retention_of(contract(text), {"as_of": "soon"}, [])
    assert retention_of(contract(feed(1)), {"as_of": "soon"}, []) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            feed(1, retention={"value": 1, "unit": "d"}, is_feed=False), "has no server named", id="product"
        ),
        pytest.param(
            feed(1, retention={"value": 1, "unit": "fortnight"}), "has the unit fortnight", id="unit"
        ),
        pytest.param(feed(1, retention={"value": 0, "unit": "d"}), "greater than 0", id="nothing"),
        pytest.param(feed(1, retention=90), "quarantineRetention", id="a number"),
    ],
)
def test_a_retention_that_says_nothing_is_refused(text: str, problem: str) -> None:
    found, problems = read_contract(text, "f.odcs.yaml")
    assert found is None
    assert problem in "; ".join(one.error.line() for one in problems)
