"""Spark and DuckDB write the same table from the same request: rows, types, field ids, partitions, digest, and what a snapshot says."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.integration.spark.both_engines import Both, rows

from slipway.engines.duckdb.constraints import Contract
from slipway.errors import ContractError
from slipway.iceberg.metadata_files import data_files

ROWS = """
select cast(n as bigint) as id, cast(n as decimal(12, 3)) / 8 as share, cast(n as varchar(10)) as name,
    cast('2024-01-0' || cast(n as varchar(1)) as date) as day, timestamp '2024-05-01 12:30:00.123456' as at,
    n > 2 as is_late, cast(n as double) / 3 as third, cast(null as int) as nothing
from (values (1), (2), (3), (4)) as v(n)
"""
DAYS = "select cast(n as int) as n, cast(d as date) as day from (values {}) as v(n, d)"


def test_a_table_with_columns_of_many_types(both: Both) -> None:
    both.write(
        ROWS, column_docs={"id": "The number"}, table_properties={"write.parquet.compression-codec": "zstd"}
    )
    both.check()
    again = both.write(ROWS)
    assert [one.same_content for one in again.values()] == [True, True]
    both.check()
    both.write("select cast(1 as bigint) as id, 'a' as name")
    both.check()


def test_both_compress_alike(both: Both) -> None:
    both.write("select 1 as n")
    for table in both.bases.values():
        assert table is not None
        (file,) = data_files(table)
        with table.io.new_input(file.file_path).open() as opened:
            assert pq.ParquetFile(opened).metadata.row_group(0).column(0).compression == "ZSTD"


def test_columns_with_names_of_any_characters(both: Both) -> None:
    both.translate = lambda sql: sql.replace('"a`b"', "`a``b`").replace('"c.d"', "`c.d`")
    sql = 'select 1 as "a`b", {} as "c.d"'
    both.write(sql.format(2))
    both.check()
    both.write(sql.format(3), "merge", unique_key=["a`b"])
    both.check()
    assert both.bases["spark"] is not None
    assert rows(both.bases["spark"]) == [{"a`b": 1, "c.d": 3}]


def test_rows_in_an_order(both: Both) -> None:
    both.write(DAYS.format("(3, '2024-01-01'), (1, '2024-01-02'), (2, '2024-01-02')"), sorted_by=["n desc"])
    both.check()


def test_an_append_and_a_column_that_is_added(both: Both) -> None:
    both.write(DAYS.format("(1, '2024-01-01')"))
    both.write(DAYS.format("(2, '2024-01-02'), (2, '2024-01-02')"), "append")
    both.check()
    both.write(
        "select cast(3 as int) as n, cast('2024-01-03' as date) as day, 'x' as word",
        "append",
        on_schema_change="append_new_columns",
    )
    both.check()


def test_partitions_are_replaced(both: Both) -> None:
    partitioned: dict[str, Any] = {"partitioned_by": ["day(day)"]}
    both.write(DAYS.format("(1, '2024-01-01'), (2, '2024-01-02')"), **partitioned)
    both.check()
    both.write(DAYS.format("(9, '2024-01-02'), (3, '2024-01-03')"), "insert_overwrite", **partitioned)
    both.check()


@pytest.mark.parametrize("strategy", ["merge", "delete+insert"])
def test_rows_are_replaced_by_their_key(both: Both, strategy: str) -> None:
    keyed: dict[str, Any] = {"unique_key": ["n"]}
    both.write(DAYS.format("(1, '2024-01-01'), (2, '2024-01-02')"), later=strategy, **keyed)
    both.write(DAYS.format("(2, '2024-02-02'), (3, '2024-01-03')"), strategy, **keyed)
    both.check()
    assert [(row["n"], str(row["day"])) for row in rows(both.bases["spark"])] == [  # type: ignore[arg-type]
        (1, "2024-01-01"),
        (2, "2024-02-02"),
        (3, "2024-01-03"),
    ]
    again = both.write(DAYS.format("(3, '2024-01-03')"), strategy, **keyed)
    assert [one.same_content for one in again.values()] == [True, True]
    both.check()
    both.write(DAYS.format("(9, '2024-01-09')") + " where n < 9", strategy, **keyed)
    both.check()
    with pytest.raises(ContractError, match="1 row has NULL in unique_key"):
        both.write(DAYS.format("(null, '2024-01-01')"), strategy, **keyed)
    twice = DAYS.format("(4, '2024-01-04'), (4, '2024-01-05')")
    if strategy == "merge":
        with pytest.raises(ContractError, match="occurs more than once for 1 row of the query"):
            both.write(twice, strategy, **keyed)
    else:
        both.write(twice, strategy, **keyed)
        both.check()


def test_a_merge_leaves_columns_that_the_query_does_not_have(both: Both) -> None:
    both.write(DAYS.format("(1, '2024-01-01'), (2, '2024-01-02')"))
    both.write(
        "select cast(n as int) as n, 'x' as word from (values (2), (3)) as v(n)",
        "merge",
        unique_key=["n"],
        on_schema_change="append_new_columns",
    )
    both.check()


def test_a_table_without_rows(both: Both) -> None:
    both.write(DAYS.format("(1, '2024-01-01')") + " where n > 1")
    both.check()
    both.write(DAYS.format("(1, '2024-01-01')"), "append")
    both.check()
    both.write(DAYS.format("(1, '2024-01-01')") + " where n > 1")
    both.check()


def test_a_contract_holds_for_what_spark_wrote(both: Both) -> None:
    contract = Contract({"n": "integer", "day": "date"}, not_null=("n",), unique=(("n",),))
    both.write(DAYS.format("(1, '2024-01-01')"), contract=contract)
    both.check()
    with pytest.raises(ContractError, match="unique n"):
        both.write(DAYS.format("(2, '2024-01-01'), (2, '2024-01-02')"), contract=contract)
