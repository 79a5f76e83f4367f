"""The characters that Spark maps otherwise are those that the decision counts, each with what DuckDB makes of it."""

from __future__ import annotations

import duckdb
import pytest

from slipway.engines.spark.translation.case_mapping import DIFFERENT


@pytest.mark.parametrize(("function", "count"), [("upper", 129), ("lower", 28)])
def test_the_exceptions_are_what_duckdb_makes(function: str, count: int) -> None:
    exceptions = DIFFERENT[function]
    assert len(exceptions) == count
    with duckdb.connect() as connection:
        for sign, made in exceptions.items():
            assert connection.execute(f"select {function}(?)", [sign]).fetchone() == (made,), hex(ord(sign))
