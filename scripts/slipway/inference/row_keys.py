"""The smallest set of columns that identifies every row of the samples."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from math import prod

import duckdb

from slipway.contracts.nested_values import NESTED
from slipway.inference.findings import InferredColumn
from slipway.inference.raw_rows import RAW
from slipway.inference.value_types import Facts
from slipway.sql_text import quote

_MOST_COLUMNS = 3
_CANDIDATES = 12
_TRIED = 150
_SAMPLE = 20_000  # rows that rule out most sets
_LONGEST = 64  # characters of a value that identifies rows; longer ones are texts for people
_KEY_WORDS = ("id", "key", "uuid", "guid", "no", "nr", "number", "nummer", "code", "ref", "reference")


def row_key(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[InferredColumn], facts: Mapping[str, Facts]
) -> list[str]:
    """Names of the columns of a key, of at most three; none where no set identifies all rows.

    Measures, truth values, nested values, long texts and columns with missing values are no part of a key. Of sets of one size the one comes first whose
    names say that they are keys, then the one whose columns come first.

    Args:
        connection: has the table ``RAW``.
        columns: of the feed.
        facts: by header.
    """
    rows = next(iter(facts.values())).rows if facts else 0
    if rows < 2:
        return []
    possible = [
        column
        for column in columns
        if column.logical_type not in ("number", "boolean", *NESTED)
        and not column.is_optional
        and facts[column.header].filled == rows
        and not column.null_values
        and facts[column.header].longest <= _LONGEST
        and not (
            column.logical_type == "string"
            and any(re.search(r"\s", one) for one in facts[column.header].values)
        )
        and facts[column.header].different > 1
    ]
    possible.sort(key=lambda one: (not _is_key_word(one.name), columns.index(one)))
    possible = possible[:_CANDIDATES]
    connection.execute(f"create or replace temp table some_rows as select * from {RAW} limit {_SAMPLE}")
    tried = 0
    for size in range(1, _MOST_COLUMNS + 1):
        for chosen in combinations(possible, size):
            if prod(facts[one.header].different for one in chosen) < rows:
                continue
            tried += 1
            if tried > _TRIED:
                return []
            headers = [one.header for one in chosen]
            if _is_unique(connection, "some_rows", headers) and _is_unique(connection, RAW, headers):
                return [one.name for one in sorted(chosen, key=columns.index)]
    return []


def repeated_rows(connection: duckdb.DuckDBPyConnection, headers: Sequence[str]) -> tuple[int, int]:
    """How many rows are equal to another one in all columns, and how many to another one of the same file."""
    names = ", ".join(quote(name) for name in headers)
    apart = f"(select count(*) from (select distinct {names} from {RAW}))"
    in_files = f"(select count(*) from (select distinct _file_sha256, {names} from {RAW}))"
    ((all_, of_one),) = connection.execute(
        f"select count(*) - {apart}, count(*) - {in_files} from {RAW}"
    ).fetchall()
    return int(all_), int(of_one)


def _is_key_word(name: str) -> bool:
    return bool({name.split("_", maxsplit=1)[0], name.rsplit("_", maxsplit=1)[-1]} & set(_KEY_WORDS))


def _is_unique(connection: duckdb.DuckDBPyConnection, table: str, headers: Sequence[str]) -> bool:
    names = ", ".join(quote(name) for name in headers)
    query = f"select 1 from {table} group by {names} having count(*) > 1 limit 1"
    return not connection.execute(query).fetchall()
