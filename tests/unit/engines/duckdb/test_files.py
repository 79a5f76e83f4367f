"""Data files have the size and the order that the table asks for, found only in the Parquet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import some

from slipway.engines.duckdb.target import open_files
from slipway.errors import ConfigError

if TYPE_CHECKING:
    from tests.unit.conftest import Lake

TARGET = "write.target-file-size-bytes"
KILO = 1024
# rows of about 28 bytes that hardly compress, partition and order independent of where they stand
NOISE = "select range as k, hash(range) as h, md5(range::varchar) as t, (hash(range + 7) % {parts})::integer as p from range({rows})"


def noise(rows: int, parts: int = 4) -> str:
    return NOISE.format(rows=rows, parts=parts)


def sizes(lake: Lake) -> list[int]:
    return [task.file.file_size_in_bytes for task in lake.table.scan().plan_files()]


def on_disk(lake: Lake) -> int:
    return len(list(lake.folder.glob("warehouse/layer/thing/data/**/*.parquet")))


def disordered(lake: Lake, order: str, *, by: str = "true") -> int:
    """Files whose rows, as they stand in it, are not those rows sorted; read without Iceberg."""
    wrong = 0
    for path in lake.files():
        source = f"read_parquet('{path.removeprefix('file://')}', file_row_number = true, hive_partitioning = false)"
        row = lake.connection.execute(
            f"select count(*) from (select row_number() over (order by file_row_number) as stands, "
            f"rank() over (order by {order}) as first, rank() over (order by {order}) + count(*) over "
            f"(partition by {', '.join(by_columns(order))}) - 1 as last from {source} where {by}) "
            "where stands not between first and last"
        ).fetchone()
        assert row is not None
        wrong += row[0] > 0
    return wrong


def by_columns(order: str) -> list[str]:
    return [item.split()[0] for item in order.split(",")]


@pytest.mark.parametrize("sorted_by", [[], ["t"]], ids=["unsorted", "sorted"])
@pytest.mark.parametrize("partitioned_by", [[], ["p"]], ids=["whole", "partitioned"])
def test_no_file_is_above_the_target_by_more_than_half(
    lake: Lake, partitioned_by: list[str], sorted_by: list[str]
) -> None:
    target = 512 * KILO
    lake.write(
        noise(100_000),
        partitioned_by=partitioned_by,
        sorted_by=sorted_by,
        table_properties={TARGET: str(target)},
    )
    found = sizes(lake)
    assert sum(found) > 4 * target
    assert max(found) <= 1.5 * target
    # no more than twice the fewest that it could be, and one for the rest of each partition
    assert len(found) <= 2 * sum(found) / target + 4
    assert on_disk(lake) == len(found)
    row = lake.connection.execute(f"select count(*), sum(k), count(distinct k) from {lake.scan}").fetchone()
    assert row == (100_000, 100_000 * 99_999 // 2, 100_000)
    if sorted_by:
        assert disordered(lake, "t") == 0


def test_the_target_stays_with_the_table(lake: Lake) -> None:
    lake.write(noise(10), table_properties={TARGET: str(256 * KILO)})
    lake.write(noise(50_000), "append")
    assert max(sizes(lake)) <= 384 * KILO
    lake.write(noise(50_000), table_properties={TARGET: str(64 * 1024 * KILO)})
    assert len(sizes(lake)) == 1


@pytest.mark.parametrize("sorted_by", [[], ["t"]], ids=["unsorted", "sorted"])
def test_wide_values_do_not_make_large_files(lake: Lake, sorted_by: list[str]) -> None:
    """What is known of a row before it is written are types; these rows are thirty times as wide."""
    target = 1024 * KILO
    text = " || ".join(f"md5((range * 30 + {n})::varchar)" for n in range(30))
    lake.write(
        f"select range as k, {text} as t, range % 2 as p from range(20000)",
        partitioned_by=["p"],
        sorted_by=sorted_by,
        table_properties={TARGET: str(target)},
    )
    assert sum(sizes(lake)) > 4 * target
    assert max(sizes(lake)) <= 1.5 * target
    assert on_disk(lake) == len(sizes(lake))
    if sorted_by:
        assert disordered(lake, "t") == 0


@pytest.mark.parametrize("rows", some(2, [150_000, 1_000_000]))
def test_many_partitions_make_no_fragments(lake: Lake, rows: int) -> None:
    lake.write(noise(rows, parts=300), partitioned_by=["p"])
    assert len(sizes(lake)) == 300
    lake.write(noise(15_000, parts=60), partitioned_by=["p"], sorted_by=["t"])
    assert len(sizes(lake)) == 60


def test_small_partitions_fit_into_little_memory(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    (before,) = connection.execute("select current_setting('memory_limit')").fetchone() or ("",)
    connection.execute("set memory_limit = '150MB'")
    try:
        lake.write(noise(150_000, parts=1500), partitioned_by=["p"])
    finally:
        connection.execute(f"set memory_limit = '{before}'")
    assert 1500 <= len(sizes(lake)) <= 1575


@given(
    group=st.integers(1, 1 << 40),
    part=st.integers(0, 1 << 30),
    threads=st.integers(1, 256),
    memory=st.integers(0, 1 << 45),
    descriptors=st.integers(0, 1 << 62),
)
def test_open_files_leave_memory_and_descriptors_to_others(
    group: int, part: int, threads: int, memory: int, descriptors: int
) -> None:
    opened = open_files(group, part, threads, memory, descriptors)
    least = max(16, 2 * threads)
    assert least <= opened <= 2048
    if opened > least:
        assert 2 * opened * (group + part) <= memory
        assert 4 * opened <= descriptors


@pytest.mark.long
@pytest.mark.parametrize("sorted_by", [[], ["t"]], ids=["unsorted", "sorted"])
def test_a_thousand_partitions_of_shuffled_rows(lake: Lake, sorted_by: list[str]) -> None:
    lake.write(noise(3_000_000, parts=1000), partitioned_by=["p"], sorted_by=sorted_by)
    assert 1000 <= len(sizes(lake)) <= 1050
    if sorted_by:
        assert disordered(lake, "t") == 0


def test_a_small_table_is_one_file(lake: Lake) -> None:
    lake.write(noise(200_000))
    assert len(sizes(lake)) == 1
    assert sum(sizes(lake)) > 5_000_000


@pytest.mark.parametrize("partitioned_by", [[], ["p"]], ids=["whole", "partitioned"])
@pytest.mark.parametrize(
    ("entry", "order"),
    some(
        2,
        [
            pytest.param("v", "v asc nulls first", id="plain"),
            pytest.param("v desc", "v desc nulls last", id="descending"),
            pytest.param("v asc nulls last", "v asc nulls last", id="nulls-last"),
            pytest.param('"V" DESC  NULLS  FIRST', "v desc nulls first", id="nulls-first"),
        ],
    ),
)
def test_rows_of_a_file_are_in_order(lake: Lake, partitioned_by: list[str], entry: str, order: str) -> None:
    """Enough rows in one partition for several row groups and threads, few in the others, NULLs in all."""
    sql = (
        "select range as k, if(hash(range + 1) % 7 = 0, null, (hash(range) % 1000)::integer) as v, "
        "if(range % 100 = 0, range % 700, 1)::integer as p from range(300000)"
    )
    lake.write(sql, partitioned_by=partitioned_by, sorted_by=[entry])
    assert disordered(lake, order) == 0
    row = lake.connection.execute(
        f"select count(*), count(distinct k), sum(k), count(v) from {lake.scan}"
    ).fetchone()
    assert (
        row == lake.connection.execute(f"select count(*), 300000, sum(k), count(v) from ({sql})").fetchone()
    )
    (field,) = lake.table.sort_order().fields
    assert (field.source_id, str(field.transform)) == (2, "identity")
    assert str(field).split(maxsplit=1)[1].lower() == order.removeprefix("v ").lower()
    orders = {task.file.sort_order_id for task in lake.table.scan().plan_files()}
    assert orders == {lake.table.metadata.default_sort_order_id}


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.integers(0, 9000),
    st.integers(1, 5),
    st.sampled_from([[], ["p"], ["bucket(3, t)", "p"]]),
    st.lists(st.sampled_from(["t", "h desc", "p desc", "k"]), max_size=3, unique=True),
    st.sampled_from([20 * KILO, 128 * 1024 * KILO]),
)
def test_whatever_the_layout_the_rows_are_the_same(
    lakes: Iterator[Lake], rows: int, parts: int, partitioned_by: list[str], sorted_by: list[str], target: int
) -> None:
    lake = next(lakes)
    lake.write(
        noise(rows, parts),
        partitioned_by=partitioned_by,
        sorted_by=sorted_by,
        table_properties={TARGET: str(target)},
    )
    expected = lake.connection.execute(
        f"select k, h::decimal(20, 0), t, p from ({noise(rows, parts)})"
    ).fetchall()
    assert Counter(lake.connection.execute(f"from {lake.scan}").fetchall()) == Counter(expected)
    assert Counter(map(str, lake.by_pyiceberg())) == Counter(map(str, expected))
    assert on_disk(lake) == len(lake.files())
    if sorted_by:
        assert disordered(lake, ", ".join(sorted_by)) == 0


def test_sorted_files_overlap_little(lake: Lake) -> None:
    """One value lies between the bounds of one file, or of two where it is the last of one and the first of another."""
    lake.write(noise(100_000), sorted_by=["t"], table_properties={TARGET: str(256 * KILO)})
    assert len(sizes(lake)) >= 10
    for value in ("1", "5", "a", "f"):
        assert len(list(lake.table.scan(row_filter=f"t == '{value * 32}'").plan_files())) <= 2


@pytest.mark.parametrize("name", ["c0", "c1", "p0", "__column_0"])
def test_the_order_is_that_of_the_column_whatever_its_name(lake: Lake, name: str) -> None:
    lake.write(
        f"select range as id, 7 - range as {name}, 1 as p from range(8)",
        partitioned_by=["p"],
        sorted_by=[name],
    )
    (path,) = lake.files()
    rows = lake.connection.execute(
        f"select id from read_parquet('{path.removeprefix('file://')}')"
    ).fetchall()
    assert [number for (number,) in rows] == [7, 6, 5, 4, 3, 2, 1, 0]


def test_another_order_on_a_later_run(lake: Lake) -> None:
    lake.write(noise(3000), sorted_by=["t"])
    first = lake.table.metadata.default_sort_order_id
    lake.write(noise(3000), sorted_by=["h desc"])
    assert lake.table.metadata.default_sort_order_id not in (0, first)
    assert disordered(lake, "h desc") == 0
    lake.write("select 9999 as k, 1::ubigint as h, 'x' as t, 0 as p", "append", sorted_by=["t"])
    assert lake.table.metadata.default_sort_order_id == first
    assert {task.file.sort_order_id for task in lake.table.scan().plan_files()} == {first, first + 1}
    lake.write(noise(5))
    assert lake.table.sort_order().fields == []
    lake.write("select 'gone' as other", sorted_by=["other"])
    assert lake.by_duckdb() == [("gone",)]


@pytest.mark.parametrize(
    ("sorted_by", "why"),
    [
        pytest.param(["missing desc"], "sorted_by names missing desc: no such column", id="missing"),
        pytest.param(["k", "K desc"], "sorted_by names k twice", id="twice"),
        pytest.param(["l"], "values of type list<int> have no order", id="list"),
        pytest.param(["k upwards"], "sorted_by names k upwards: no such column", id="direction"),
    ],
)
def test_orders_that_cannot_be_are_refused(lake: Lake, sorted_by: list[str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        lake.write("select 1 as k, [1] as l", sorted_by=sorted_by)


def test_a_column_may_be_called_like_a_direction(lake: Lake) -> None:
    lake.write('select unnest([2, 1]) as "k desc", 1 as k', sorted_by=["k desc", "k"])
    assert [str(field) for field in lake.table.sort_order().fields] == [
        "1 ASC NULLS FIRST",
        "2 ASC NULLS FIRST",
    ]


@pytest.mark.parametrize(
    ("properties", "codec"),
    [
        pytest.param({}, "ZSTD", id="default"),
        pytest.param({"write.parquet.compression-codec": "snappy"}, "SNAPPY", id="snappy"),
        pytest.param({"write.parquet.compression-codec": "GZIP"}, "GZIP", id="gzip"),
        pytest.param({"write.parquet.compression-codec": "uncompressed"}, "UNCOMPRESSED", id="none"),
        pytest.param({"write.parquet.compression-level": "19"}, "ZSTD", id="level"),
    ],
)
def test_compression_is_the_tables_own(lake: Lake, properties: dict[str, str], codec: str) -> None:
    lake.write(noise(5000), table_properties=properties)
    (path,) = lake.files()
    found = lake.connection.execute(
        f"select distinct compression from parquet_metadata('{path.removeprefix('file://')}')"
    ).fetchall()
    assert found == [(codec,)]


def test_row_groups_have_the_rows_that_the_table_says(lake: Lake) -> None:
    lake.write(noise(20_000), table_properties={"write.parquet.row-group-limit": "4096"})
    (path,) = lake.files()
    found = lake.connection.execute(
        f"select max(row_group_num_rows) from parquet_metadata('{path.removeprefix('file://')}')"
    ).fetchone()
    assert found == (4096,)


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        pytest.param(TARGET, "128MB", "not a whole number from 1", id="unit"),
        pytest.param(TARGET, "0", "not a whole number from 1", id="zero"),
        pytest.param("write.parquet.compression-codec", "lzo", "unknown. Use zstd, snappy", id="codec"),
        pytest.param("write.parquet.compression-level", "99", "from 1 to 22", id="level"),
    ],
)
def test_properties_without_a_meaning_are_refused(lake: Lake, key: str, value: str, why: str) -> None:
    with pytest.raises(ConfigError, match=f"layer.thing: table property {key} is {value}.*{why}"):
        lake.write("select 1 as k", table_properties={key: value})


def test_a_tiny_table_costs_one_copy_and_one_file(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.write("select 1 as k")
    assert on_disk(lake) == 1
    for partitioned_by, sorted_by in (([], ["k"]), (["k"], []), (["k"], ["t"])):
        lake.write("select 2 as k, 'a' as t", partitioned_by=partitioned_by, sorted_by=sorted_by)
        assert len(lake.files()) == 1
    assert on_disk(lake) == 4


@pytest.mark.parametrize("partitioned_by", [[], ["k"]], ids=["whole", "partitioned"])
@pytest.mark.parametrize("sorted_by", [[], ["t"]], ids=["unsorted", "sorted"])
def test_no_rows_make_no_file_and_a_readable_table(
    lake: Lake, partitioned_by: list[str], sorted_by: list[str]
) -> None:
    empty = "select 1 as k, 'a' as t where false"
    lake.write(empty, partitioned_by=partitioned_by, sorted_by=sorted_by)
    lake.check([])
    assert on_disk(lake) == 0
    lake.write("select 1 as k, 'a' as t", "append", partitioned_by=partitioned_by, sorted_by=sorted_by)
    lake.check([(1, "a")])
    lake.write(empty, partitioned_by=partitioned_by, sorted_by=sorted_by)
    lake.check([])
