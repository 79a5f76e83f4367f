"""Samples of feeds: inferred, then landed and typed by what was inferred, all in one process."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from slipway.contracts.typed_rows import typed_sql
from slipway.inference.contract_of import contract_of
from slipway.inference.findings import InferredFeed
from slipway.inference.infer import infer
from slipway.inference.raw_rows import RAW, load
from slipway.landing.feeds import Feed

Row = tuple[Any, ...]


def typed_rows(name: str, paths: Sequence[Path]) -> tuple[InferredFeed, list[Row], list[Row]]:
    """What was inferred of samples, their typed rows in the order of files, and rule and original of rows that break one."""
    found = infer(name, paths)
    return found, *typed_again(found, paths)


def typed_again(found: InferredFeed, paths: Sequence[Path]) -> tuple[list[Row], list[Row]]:
    """The rows of files, landed and typed by the contract of a feed as it is written into the project."""
    contract = contract_of(found)
    feed = Feed.of(contract)
    assert feed is not None
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        load(feed, list(paths), Path(folder), connection)
        names = ", ".join(f'"{column.name}"' for column in found.columns)
        typed = f"from ({typed_sql(contract, RAW)})"
        order = "order by _source_file, _source_line"
        good = connection.execute(f"select {names} {typed} where rule_id is null {order}").fetchall()
        bad = connection.execute(
            f"select rule_id, _original {typed} where rule_id is not null {order}"
        ).fetchall()
    return good, bad
