"""Above a bound, Spark counts the rows that break a contract: the same numbers as DuckDB, in the same sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.harness.projects import Meters
from tests.integration.spark.both_engines import Both
from tests.integration.spark.conftest import starts_soon

from slipway.engines.duckdb import constraints
from slipway.engines.duckdb.constraints import Contract, Question
from slipway.errors import ContractError

TYPES: dict[str, str | None] = {"k": "integer", "t": "varchar", "d": "double", "m": "timestamp"}
ROW = "(cast({} as int), cast({} as varchar(20)), cast({} as double), cast({} as timestamp))"
Row = tuple[int | None, str | None, float | None, str | None]


def query(rows: Sequence[Row]) -> str:
    values = ", ".join(
        ROW.format(*("null" if value is None else f"'{value}'" for value in row)) for row in rows
    )
    return f"select * from (values {values}) as v(k, t, d, m)"


CONTRACT = Contract(
    TYPES,
    unique=(("k",), ("t", "k"), ("m",)),
    checks=("d >= 0 and d < 100", "t <> 'b' or k > 1", "m < timestamp '2025-01-01 00:00:00'"),
)
GOOD: list[Row] = [
    (1, "a", 0.5, "2024-01-01 00:00:00"),
    (2, "a", None, "2024-01-01 00:00:01"),
    (3, None, 0.5, "2024-01-02"),
]


@pytest.fixture
def asked_of_duckdb(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Constraints that DuckDB counts."""
    real, found = constraints._broken_by_duckdb, list[str]()

    def counted(cursor: Any, model: str, asked: Sequence[Question], relation: str) -> list[str]:  # noqa: ANN401
        found.extend(one.label for one in asked)
        return real(cursor, model, asked, relation)

    monkeypatch.setattr(constraints, "_broken_by_duckdb", counted)
    return found


def said(both: Both, engine: str, rows: Sequence[Row], strategy: str = "replace") -> str:
    """Why a contract is broken, without the name of the table."""
    try:
        both.by(engine, query(rows), strategy, contract=CONTRACT)
    except ContractError as error:
        return f"{error.why}"
    return ""


number = st.sampled_from(["0.5", "-0.0", "0.0", "NaN", "100", "-1", "7"]).map(float)
row = st.tuples(
    st.none() | st.integers(0, 3),
    st.none() | st.sampled_from(["a", "A", "b", "b ", "\u00e9", "e\u0301", ""]),
    st.none() | number,
    st.none()
    | st.sampled_from(["2024-01-01 00:00:00", "2024-01-01 00:00:00.000001", "2025-01-01", "0001-01-01"]),
)


def test_both_engines_count_alike(both: Both) -> None:
    both.above = 0

    @settings(max_examples=25)
    @given(rows=st.lists(row, min_size=1, max_size=8))
    def check(rows: list[Row]) -> None:
        assert said(both, "spark", rows) == said(both, "duckdb", rows)

    check()


def test_spark_checks_the_whole_table_and_then_what_is_new(both: Both, asked_of_duckdb: list[str]) -> None:
    both.above = 0
    made = both.write(query(GOOD), contract=CONTRACT)
    (note,) = made["spark"].notes
    assert note.startswith("constraints checked by Spark, because the table has ")
    assert note.endswith(", and spark_above is 0 B")
    asked_of_duckdb.clear()
    new: list[Row] = [(4, "c", 101, "2024-01-03"), (4, "c", 7, "2024-01-04")]
    broken = "unique k: 1 row; unique t, k: 1 row; check d >= 0 and d < 100: 1 row"
    assert said(both, "spark", new, "append") == broken
    assert not any(asked_of_duckdb)
    assert said(both, "duckdb", new, "append") == broken


def test_null_in_a_required_column_is_one_sentence(both: Both) -> None:
    contract = Contract(TYPES, not_null=("k",))
    with pytest.raises(ContractError, match=r": column k is required in its table, and NULL in a row"):
        both.by("spark", query([(None, "a", 1.0, "2024-01-01")]), "replace", contract=contract)


def test_duckdb_checks_what_is_not_larger(both: Both, asked_of_duckdb: list[str]) -> None:
    both.above = 10**9
    made = both.by("spark", query(GOOD), "replace", contract=CONTRACT)
    assert made.notes == []
    assert "unique t, k" in asked_of_duckdb


def test_what_cannot_be_translated_is_left_to_duckdb(both: Both, asked_of_duckdb: list[str]) -> None:
    both.above = 0
    contract = Contract(TYPES, unique=(("k",), ("d",)), checks=("hash(k) > 0", "k < 3"))
    with pytest.raises(ContractError, match=r"check k < 3: 1 row"):
        both.by("spark", query(GOOD), "replace", contract=contract)
    assert asked_of_duckdb == ["unique d", "check hash(k) > 0"]
    made = both.by("spark", query(GOOD[:2]), "replace", contract=contract)
    left, by_spark, of_double = sorted(made.notes)
    assert "GROUP BY DOUBLE" in of_double
    assert left.startswith("check hash(k) > 0 checked by DuckDB, although the table has ")
    assert "hash" in left.rpartition(": ")[2]
    assert by_spark.startswith("constraints checked by Spark")


def test_a_run_whose_contract_spark_checks(project: Meters) -> None:
    starts_soon(project)
    project.edit(
        "dbt_project.yml",
        "    serving: {+schema: serving}",
        "    serving: {+schema: serving, daily_consumption: {+engine: spark, +spark_above: 0 B}}",
    )
    (node,) = (one for one in project.run()["nodes"] if one["table"] == "serving.daily_consumption")
    assert any(note.startswith("constraints checked by Spark, because") for note in node["notes"])
    published = project.locations()

    wrong = "- {name: meters, data_type: bigint, constraints: [{type: check, expression: meters < 2}]}"
    project.edit("models/_models.yml", "- {name: meters, data_type: bigint}", wrong)
    done = project.slipway("run")
    assert (done.code, project.locations()) == (1, published), done
    assert "daily_consumption breaks its contract" in done.out + done.err
    assert "check meters < 2: " in done.out + done.err
