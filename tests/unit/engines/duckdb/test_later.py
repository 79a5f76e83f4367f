"""What only the second run would find is refused by the first, which reads no row for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from slipway.errors import ConfigError

if TYPE_CHECKING:
    from tests.unit.conftest import Lake

# a row of it cannot be read
QUERY = "select range::integer as id, error('read')::date as day, 1 as v from range(3)"
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("merge", {"unique_key": ["id, day"]}, r"names id, day: no such column. Write a list, \['id', 'day'\]"),
    ("merge", {"unique_key": ["id + 1"]}, r"names id \+ 1: no such column. Use columns of id, day, v"),
    ("merge", {"unique_key": ["ID", "dey"]}, "names dey: no such column"),
    ("merge", {"merge": {"merge_on_using_columns": ["nr"]}}, "merge_on_using_columns names nr"),
    (
        "merge",
        {"unique_key": ["id"], "predicates": ["DBT_INTERNAL_DEST.dey > 1"]},
        "merge cannot be carried out",
    ),
    ("delete+insert", {"unique_key": ["id, day"]}, "names id, day: no such column. Write a list"),
    ("delete+insert", {"unique_key": ["nr + 1"]}, "delete.insert cannot be carried out"),
    (
        "delete+insert",
        {"unique_key": ["id"], "predicates": ["dey > 1"]},
        "delete.insert cannot be carried out",
    ),
    ("delete+insert", {}, "delete.insert needs unique_key"),
]


@pytest.mark.parametrize(("later", "options", "expected"), WRONG)
def test_keys_and_predicates_that_later_runs_cannot_use(
    lake: Lake, later: str, options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected):
        lake.write(QUERY, later=later, **options)


@pytest.mark.parametrize(
    ("later", "options"),
    [
        (
            "merge",
            {"unique_key": ["ID", "day"], "predicates": ["DBT_INTERNAL_DEST.v < DBT_INTERNAL_SOURCE.v + 1"]},
        ),
        (
            "delete+insert",
            {"unique_key": ["id + 1"], "predicates": ["v > 0", "DBT_INCREMENTAL_TARGET.id >= 0"]},
        ),
        (
            "delete+insert",
            {"unique_key": ["id"], "predicates": ["DBT_INTERNAL_SOURCE.v = DBT_INTERNAL_DEST.v"]},
        ),
    ],
)
def test_what_later_runs_can_use_is_the_same_then(lake: Lake, later: str, options: dict[str, Any]) -> None:
    query = QUERY.replace("error('read')::date", "date '2024-01-01'")
    lake.write(query, later=later, **options)
    lake.write(query, later, **options)
    assert len(lake.by_duckdb()) == 3
