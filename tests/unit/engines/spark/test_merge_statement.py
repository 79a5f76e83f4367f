"""What a merge says of rows is translated expression by expression, and refused with the expression that is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
import pytest

from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.writer import columns_of
from slipway.engines.spark.merge_statement import KeyedChange, keyed_change
from slipway.engines.spark.translation.translate import translate_expression
from slipway.errors import ConfigError
from slipway.iceberg.schema import query_schema
from slipway.names import TableName

SQL = "select 1 as k, 'a' as part, cast(2 as bigint) as v, cast(1.5 as decimal(9, 2)) as price"
PAIR = {"T": {"k": "INTEGER", "price": "DECIMAL(9,2)", "Name": "VARCHAR"}, "s": {"k": "INTEGER"}}


def change(strategy: str = "merge", **options: Any) -> KeyedChange:  # noqa: ANN401 - of a WriteRequest
    request = WriteRequest(
        TableName("layer", "x"), SQL, strategy, "r", "release-1", **{"unique_key": ["k"], **options}
    )
    with duckdb.connect() as cursor:
        columns = columns_of(cursor, f"({SQL})")
        schema = query_schema(columns)
        return keyed_change(cursor, request, {name: str(kind) for name, kind in columns}, schema, schema)


def test_an_expression_names_columns_by_the_alias_of_their_table() -> None:
    assert translate_expression("t.K > s.k", PAIR, "BOOLEAN", "x") == "(`T`.`k` > `s`.`k`)"
    assert translate_expression("name", PAIR, "", "x") == "`T`.`Name`"


def test_an_expression_is_cast_as_duckdb_casts_what_it_assigns() -> None:
    assert translate_expression("price", PAIR, "INTEGER", "x") == "CAST(ROUND(`T`.`price`, 0) AS INT)"
    assert translate_expression("'7'", PAIR, "INTEGER", "x") == "CAST('7' AS INT)"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("k > 1", "the name k, which stands for several columns"),
        ("t.k in (select 1)", "a query in the merge"),
        ("exists (select 1)", "a query in the merge"),
        ("max(t.k) > 1", "an aggregate in the merge"),
        ("row_number() over (order by t.k) > 1", "an aggregate in the merge"),
        ("hash(t.k) > 1", "hash"),
        ("t.k > 1, t.k > 2", "the merge"),
        ("t.k > 1) from x --", "SQL that cannot be parsed"),
        ("t.price", r"DECIMAL\(9,2\) as a condition"),
    ],
)
def test_what_is_not_translated_is_refused_with_the_expression(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as refused:
        translate_expression(text, PAIR, "BOOLEAN", "the merge", "layer.x")
    assert refused.value.line().startswith("layer.x cannot be computed by Spark: ")
    assert f"in the merge, “{text}”," in refused.value.line()
    assert "line" not in refused.value.line()


REFUSED: dict[str, dict[str, Any]] = {
    "incremental_predicates, “hash.DBT_INTERNAL_DEST.k. > 1”": {
        "predicates": ["hash(DBT_INTERNAL_DEST.k) > 1"]
    },
    "the merge, “sqrt.DBT_INTERNAL_DEST.v.”": {
        "merge": {"merge_update_set_expressions": {"v": "sqrt(DBT_INTERNAL_DEST.v)"}}
    },
    "unique_key, “hash.k.”": {"strategy": "delete+insert", "unique_key": ["hash(k)"]},
    "Ambiguous reference to column name": {"merge": {"merge_update_condition": "v > 1"}},
    "column nothing is not in both": {"merge": {"merge_update_columns": ["nothing"]}},
    "unique_key names nothing: no such column": {"unique_key": ["nothing"]},
    'Referenced column "nothing" not found': {"strategy": "delete+insert", "predicates": ["nothing > 1"]},
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_configuration_that_cannot_be_carried_out_is_refused(why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        change(**REFUSED[why])


def clauses_of(found: Mapping[str, Any]) -> list[str]:
    return list(change(merge={"merge_clauses": found}).clauses)


def test_clauses_after_one_that_does_nothing_hold_only_where_it_does_not() -> None:
    found = clauses_of(
        {
            "when_matched": [
                {"action": "do_nothing", "condition": "DBT_INTERNAL_DEST.v > 1"},
                {"action": "delete"},
            ],
            "when_not_matched": [{"action": "do_nothing"}],
        }
    )
    assert found == [
        "when matched and not coalesce((`DBT_INTERNAL_DEST`.`v` > 1), false) then delete",
    ]


def test_an_error_names_its_clause() -> None:
    (found,) = clauses_of(
        {"when_matched": [{"action": "error", "error_message": "it's"}], "when_not_matched": [{"action": "do_nothing"}]}
    )  # fmt: skip
    assert found.endswith("raise_error('Merge error condition WHEN MATCHED: it\\'s')")
