"""Contracts and files change in any order: every landed value is in raw, and every row is curated, quarantined or repeated.

The other opinion is a list of what each file was written with.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.harness.feed_versions import TYPES, VERSIONS, Sent, Version, contract
from tests.harness.landing_area import Area

from slipway.contracts.contract_files import read_contract
from slipway.contracts.model import EXTRA, Contract
from slipway.contracts.row_checks import UNKNOWN
from slipway.contracts.typed_rows import quarantined_sql, typed_sql
from slipway.errors import ConfigError
from slipway.landing.books import rows_query, with_extra
from slipway.landing.feeds import Feed

LINEAGE = "null::varchar as _source_file, null::bigint as _source_line, null::varchar as _file_sha256, null::timestamptz as _landed_at, null::varchar as _run_id"
FITS = {"kg": re.compile(r"\d+(\.\d{1,2})?"), "note": re.compile(r"\d+")}


@dataclass
class Story:
    """A landing area, a raw table, and what was sent."""

    area: Area
    sent: dict[str, Sent] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sql(f"create table raw as select {LINEAGE} limit 0")

    def sql(self, query: str) -> list[dict[str, Any]]:
        found = self.area.connection.execute(query)
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def go_through(self, now: Version) -> None:
        feed = Feed.of(now.contract)
        assert feed is not None
        self.area.feed = feed
        for header, rows in now.files:
            number = len(self.sent)
            text, self.sent[f"orders/{number}.csv"] = Sent.of(number, header, rows)
            self.area.put(f"{number}.csv", text)
        self.ingest(now)
        self.check_raw()
        self.check_typed(now)

    def ingest(self, now: Version) -> None:
        """Add to raw what it does not hold, by columns of the same name, or write it anew."""
        held = {row["_file_sha256"] for row in self.sql("select distinct _file_sha256 from raw")}
        self.area.ingested = held
        self.area.land()
        landing = self.area.landing
        for path, one in self.sent.items():
            one.is_accepted |= now.takes(one.header)
            known = landing.ledger.latest("orders")[path]
            assert (known.verdict == "accepted") is one.is_accepted, (path, known.reason)
        pending = landing.wanted("orders") - (set() if now.is_anew else held)
        files, missing = landing.find("orders", pending)
        assert not missing
        query = landing.select("orders", files, "run")
        before = f"select {LINEAGE} limit 0" if now.is_anew else "select * from raw"
        self.sql(f"create or replace table raw as ({before}) union all by name ({query})")
        raw = {row["column_name"] for row in self.sql("describe raw")}
        assert set(landing.columns("orders")) <= raw

    def check_raw(self) -> None:
        """Each cell of each accepted file is in its column, or in the one for the others; and nothing else is."""
        raw = self.sql("select * from raw")
        accepted = {path: one for path, one in self.sent.items() if one.is_accepted}
        assert len(raw) == sum(len(one.rows) for one in accepted.values())
        for row in raw:
            accepted[f"orders/{row['_source_file']}"].check(row)

    def check_typed(self, now: Version) -> None:
        misfits = [
            (row, name)
            for row in self.landed(now)
            for name in now.names
            if name in FITS and name in row and not FITS[name].fullmatch(row[name])
        ]
        query = typed_sql(now.contract, "raw")
        if now.data_type == "freeze" and misfits:
            with pytest.raises(duckdb.Error, match=r"data_type: freeze: in \d+\.csv, line \d+"):
                self.sql(query)
            return
        self.sql(f"create or replace table typed as {query}")
        self.sql(f"create or replace table quarantine as {quarantined_sql(now.contract, 'raw')}")
        self.sql(
            "create or replace table curated as select * from typed where rule_id is null "
            "qualify row_number() over (partition by _row_key order by _source_file, _source_line) = 1"
        )
        # the table of raw has the columns of the contract, of which one may be new
        names = ", ".join(f'null::varchar as "{name}"' for name in (*now.names, EXTRA))
        raw = f"(select * from raw union all by name select {names} where false)"
        ((unaccounted, doubled, expired),) = self.area.connection.execute(
            rows_query(with_extra(raw, now.names), ["curated", "quarantine"], now.names)
        ).fetchall()
        assert (unaccounted, doubled, expired) == (0, 0, 0)
        for row in self.sql("select * from typed"):
            self.check_row(now, row)

    def landed(self, now: Version) -> list[dict[str, str]]:
        return [row for one in self.sent.values() if one.is_accepted for row in one.rows]

    def check_row(self, now: Version, row: dict[str, Any]) -> None:
        sent = self.sent[f"orders/{row['_source_file']}"].rows[row["_source_line"] - 2]
        keeps = now.columns in ("discard_row", "discard_value")
        unknown = json.loads(row[EXTRA] or "{}").keys() - set(now.names) if keeps else set()
        assert (row["rule_id"] == UNKNOWN) is bool(unknown and now.columns == "discard_row")
        misfits = {}
        for name in now.names:
            if not keeps and name not in now.optional and row["_original"][name] is None:
                continue  # it landed while the contract did not name it, and is not asked for where it was kept
            value = sent.get(name)
            assert row["_original"][name] == value
            if name in FITS and value and not FITS[name].fullmatch(value):
                misfits[name] = value
                assert row[name] is None
            elif name in FITS and value:
                assert str(row[name]) == (f"{float(value):.2f}" if name == "kg" else value)
            else:
                assert row[name] == value
        discarded = json.loads(row.get("_discarded") or "{}")
        if now.data_type == "discard_value":
            assert {rule.partition("_not_")[0]: value for rule, value in discarded.items()} == misfits
        assert (row["rule_id"] is not None) is bool(
            (unknown and now.columns == "discard_row") or (misfits and now.data_type == "discard_row")
        )


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(VERSIONS, min_size=1, max_size=5))
def test_no_value_is_lost_whatever_the_contract_becomes(versions: list[Version]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        area = Area(Path(folder))
        try:
            story = Story(area)
            for version in versions:
                story.go_through(version)
        finally:
            area.close()


@pytest.fixture
def area(tmp_path: Path) -> Iterator[Area]:
    made = Area(tmp_path)
    yield made
    made.close()


def with_feed(area: Area, found: Contract) -> Feed:
    feed = Feed.of(found)
    assert feed is not None
    area.feed = feed
    return feed


def rows(area: Area) -> list[tuple[object, ...]]:
    landing = area.landing
    files = landing.find("orders", landing.wanted("orders")).files
    query = landing.select("orders", files, "run")
    lineage = "_source_file, _source_line, _file_sha256, _landed_at, _run_id"
    return area.connection.execute(f"select * exclude ({lineage}) from ({query}) order by all").fetchall()


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
@pytest.mark.parametrize("mode", ["evolve", "discard_row", "discard_value", "freeze"])
def test_a_new_column_of_a_file_goes_where_the_contract_says(area: Area, kind: str, mode: str) -> None:
    feed = with_feed(area, contract(["id", "note"], {"columns": mode}, kind=kind))
    content = {
        "csv": "id,note,day,x\n1,,a,\n2,5,,\n",
        "json": '{"id": "1", "day": "a", "x": null}\n{"id": 2, "note": 5, "day": null}\n',
    }
    area.put("old", {"csv": "id,note\n0,3\n", "json": '{"id": 0, "note": 3}\n'}.get(kind, b""))
    if kind == "parquet":
        pq.write_table(pa.table({"id": ["0"], "note": [3]}), area.folder / "old")
        table = pa.table({"id": ["1", "2"], "note": [None, 5], "day": ["a", None], "x": [None, None]})
        pq.write_table(table, area.folder / "new")
    else:
        area.put("new", content[kind])
    found = area.land()
    assert found["old"].verdict == "accepted"
    assert found["old"].reason == ""
    reason = found["new"].reason
    if mode == "freeze":
        assert "unknown day, x" in reason
        assert "schemaContract of the contract has columns: freeze: to take a new column, add it" in reason
        assert rows(area) == [("0", "3")]
    elif mode == "evolve":
        assert reason == "brings day, x, which the contract does not name: raw.orders has a column for it now"
        assert rows(area) == [("0", "3", None, None), ("1", None, "a", None), ("2", "5", None, None)]
    else:
        assert (
            "brings day, x, which the contract does not name: its values are kept in _extra of raw.orders"
            in reason
        )
        assert (UNKNOWN in reason) is (mode == "discard_row")
        assert rows(area) == [("0", "3", None), ("1", None, '{"day":"a"}'), ("2", "5", None)]
    # a later file with the same columns brings nothing new
    if mode != "freeze" and kind == "csv":
        area.put("newer", "id,note,Day\n3,,b\n")
        assert area.land()["newer"].reason == ""
    assert feed.unknown == mode


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("id,note,_run_id", "has the column _run_id, which .*: the name is reserved"),
        ("id,note,filename", "the name is reserved"),
        ("id,note,a\u200bb", r"has the column 'a\\u200bb', which .* invisible character U\+200B"),
        ("id,note,", "the contract does not name and which cannot be kept: it is empty"),
        ("id,note,ID", "has the column ID, which differs from id only in its spelling"),
        ("id,note,x,X", "has the column X, which differs from x only in its spelling, or is there twice"),
        ("id,note,x,x", "has the column x, which differs from x only in its spelling, or is there twice"),
        ("x,note", "header differs: missing id; unknown x"),
        ("note,id,x", "header has the columns in another order"),
    ],
)
@pytest.mark.parametrize("mode", ["evolve", "discard_value"])
def test_a_column_that_cannot_be_kept_sets_its_file_aside(
    area: Area, mode: str, header: str, said: str
) -> None:
    with_feed(area, contract(["id", "note"], {"columns": mode}, optional=()))
    area.put("a", header + "\n" + ",".join("1" * len(header.split(","))) + "\n")
    found = area.land()["a"]
    assert found.verdict == "rejected"
    assert re.search(said, found.reason), found.reason


def test_a_blank_line_is_a_row_only_in_a_file_of_one_column(area: Area) -> None:
    """It is the file that counts, not the contract."""
    with_feed(area, contract(["id"], {"columns": "evolve"}))
    area.put("one.csv", "id\na\n\n")
    area.put("two.csv", "id,note\nb,1\n\n")
    assert {name: (one.verdict, one.rows) for name, one in area.land().items()} == {
        "one.csv": ("accepted", 2),
        "two.csv": ("accepted", 1),
    }


def test_a_file_is_read_by_its_own_header_after_the_contract_changed(area: Area) -> None:
    """Raw written anew reads files of earlier contracts, also those of which the ledger does not say how they are read."""
    with_feed(area, contract(["id", "kg", "note"], {}, optional=()))
    area.put("a.csv", "id,kg,note\n1,2,3\n")
    area.land()
    with_feed(area, contract(["id", "note", "Neu 1"], {}))
    assert rows(area) == [("1", "3", None, "2")]
    landing = area.landing
    entry = landing.ledger.latest("orders")["orders/a.csv"].model_copy(update={"layout": None})
    query = landing.select("orders", [entry], "run")
    assert area.connection.execute(f'select id, note, "Neu 1" from ({query})').fetchall() == [
        ("1", "3", None)
    ]
    # only by the content that landed is it known that the file is still the same, and cannot be read
    path = area.put("a.csv", 'id,note\n"1,2\n')
    bad = entry.model_copy(update={"sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    with pytest.raises(ConfigError, match=r"orders/a.csv cannot be read again: .*another contract"):
        landing.select("orders", [bad], "run")


@pytest.mark.parametrize(
    ("modes", "server", "said"),
    [
        ({"tables": "evolve"}, {}, "`tables` is evolve, and a contract is of one table"),
        ({"data_type": "evolve"}, {}, "`data_type` is evolve, and a type does not follow the data"),
        ({"columns": "evolve"}, {"header": "none"}, "files without a header do not name their columns"),
        (
            {"columns": "drop"},
            {},
            '`columns` is "drop", and has to be evolve, freeze, discard_row or discard_value',
        ),
        ({"colums": "evolve"}, {}, "has `colums`, which nothing reads"),
        ("evolve", {}, 'is "evolve", and has to be a mapping'),
        ({"columns": "evolve"}, None, "is about files, and the contract has no server named `landing`"),
    ],
)
def test_what_has_no_meaning_is_refused(modes: object, server: dict[str, str] | None, said: str) -> None:
    document: dict[str, Any] = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "orders",
        "version": "1.0.0",
        "customProperties": [{"property": "schemaContract", "value": modes}],
        "schema": [{"name": "orders", "properties": [{"name": "id"}]}],
    }
    if server is not None:
        custom = [{"property": key, "value": value} for key, value in server.items()]
        document["servers"] = [
            {
                "server": "landing",
                "type": "local",
                "path": "orders/*",
                "format": "csv",
                "customProperties": custom,
            }
        ]
    found, problems = read_contract(yaml.safe_dump(document), "orders.odcs.yaml")
    assert found is None
    assert said in " ".join(problem.what for problem in problems)


@pytest.mark.parametrize("name", [EXTRA, "_RUN_ID"])
def test_names_of_columns_that_raw_has_are_not_the_contracts(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TYPES, name, {})
    with pytest.raises(ConfigError, match=f"column {name} has the name of a column that Slipway adds to raw"):
        Feed.of(contract(["id", name], {}))
