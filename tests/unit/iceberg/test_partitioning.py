"""Partition values are those of the Iceberg specification, so that every reader looks in the same place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from pyiceberg import types as ice
from pyiceberg.expressions import EqualTo
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from tests.conftest import some

from slipway.engines.duckdb.metrics import partition_value
from slipway.errors import ConfigError, ContractError
from slipway.iceberg.partitioning import parse_partitioned_by, spec_for

if TYPE_CHECKING:
    from tests.unit.conftest import Lake

SCHEMA = Schema(
    ice.NestedField(1, "at", ice.TimestamptzType()),
    ice.NestedField(2, "Name", ice.StringType()),
    ice.NestedField(3, "n", ice.LongType()),
    ice.NestedField(4, "größe", ice.IntegerType()),
)

# the specification's "Appendix B: 32-bit Hash Requirements"
HASHES = [
    ("34::integer", 2017239379),
    ("34::bigint", 2017239379),
    ("14.20::decimal(9, 2)", -500754589),
    ("date '2017-11-16'", -653330422),
    ("time '22:31:08'", -662762989),
    ("timestamp '2017-11-16 22:31:08'", -2047944441),
    ("timestamp '2017-11-16 22:31:08.000001'", -1207196810),
    ("timestamptz '2017-11-16 14:31:08-08:00'", -2047944441),
    ("'iceberg'", 1210000089),
    ("unhex('00010203')", -188683207),
]


@pytest.mark.parametrize(("value", "hashed"), HASHES, ids=[value for value, _ in HASHES])
@pytest.mark.parametrize("buckets", [16, 1000])
def test_buckets_are_those_of_the_specification(lake: Lake, value: str, hashed: int, buckets: int) -> None:
    lake.write(f"select {value} as c", partitioned_by=[f"bucket({buckets}, c)"])
    assert partitions(lake) == [((hashed & 0x7FFFFFFF) % buckets,)]


@pytest.mark.parametrize(
    ("transform", "value", "expected"),
    [
        pytest.param("truncate(10, c)", "1", 0, id="truncate-one"),
        pytest.param("truncate(10, c)", "-1", -10, id="truncate-minus-one"),
        pytest.param("truncate(50, c)", "10.65::decimal(10, 2)", "10.50", id="truncate-decimal"),
        pytest.param("truncate(50, c)", "-0.05::decimal(10, 2)", "-0.50", id="truncate-negative-decimal"),
        pytest.param("truncate(3, c)", "'iceberg'", "ice", id="truncate-text"),
        pytest.param("truncate(1, c)", "'🚲🚲'", "🚲", id="truncate-counts-characters"),
        pytest.param("year(c)", "date '1969-12-31'", -1, id="year-before-1970"),
        pytest.param("year(c)", "timestamp '2017-11-16 22:31:08'", 47, id="year"),
        pytest.param("month(c)", "date '1969-12-31'", -1, id="month-before-1970"),
        pytest.param("month(c)", "timestamp '2017-11-16 22:31:08'", 574, id="month"),
        pytest.param("day(c)", "date '1969-12-31'", -1, id="day-before-1970"),
        pytest.param(
            "day(c)", "timestamptz '2017-12-01 01:00:00+02:00'", 17500, id="day-of-the-instant-in-utc"
        ),
        pytest.param("hour(c)", "timestamp '1969-12-31 23:00:00'", -1, id="hour-before-1970"),
        pytest.param("hour(c)", "timestamp '1969-12-31 23:30:00'", -1, id="half-an-hour-before-1970"),
        pytest.param("hour(c)", "timestamp '2017-11-16 22:31:08'", 419686, id="hour"),
    ],
)
def test_transforms_are_those_of_the_specification(
    lake: Lake, transform: str, value: str, expected: object
) -> None:
    lake.write(f"select {value} as c", partitioned_by=[transform])
    found = partitions(lake)[0][0]
    assert (str(found) if isinstance(expected, str) else found) == expected


def partitions(lake: Lake) -> list[tuple[Any, ...]]:
    width = len(lake.table.spec().fields)
    return [tuple(task.file.partition[at] for at in range(width)) for task in lake.table.scan().plan_files()]


def test_null_is_a_partition_of_its_own_under_every_transform(lake: Lake) -> None:
    for transform in ("c", "year(c)", "month(c)", "day(c)", "hour(c)", "bucket(4, c)"):
        lake.write(
            "select null::timestamp as c union all select timestamp '2024-01-01'", partitioned_by=[transform]
        )
        assert sorted(value is None for (value,) in partitions(lake)) == [False, True], transform


def test_fields_are_named_after_column_and_transform() -> None:
    entries = ["day(at)", " BUCKET ( 16 , name ) ", 'truncate(3, "Name")', "n", "bucket(2, größe)"]
    columns = parse_partitioned_by(entries, SCHEMA, "m")
    assert [(column.name, column.source) for column in columns] == [
        ("at_day", "at"),
        ("Name_bucket_16", "Name"),
        ("Name_truncate_3", "Name"),
        ("n", "n"),
        # Avro has only ASCII names
        ("column_4_bucket_2", "größe"),
    ]
    assert columns[0].expression == "(\"at\" at time zone 'UTC')::date"


def test_a_field_keeps_its_id_and_no_id_is_given_twice() -> None:
    def spec(*entries: str, used: list[PartitionSpec]) -> PartitionSpec:
        return spec_for(parse_partitioned_by(entries, SCHEMA, "m"), SCHEMA, used)

    first = spec("day(at)", used=[])
    second = spec("n", "day(at)", used=[first])
    third = spec("Name", used=[first, second])
    again = spec("day(at)", "n", used=[first, second, third])
    ids = [[field.field_id for field in found.fields] for found in (first, second, third, again)]
    assert ids == [[1000], [1001, 1000], [1002], [1000, 1001]]


@pytest.mark.parametrize("entry", ["", "day()", "day(at, n)", "bucket(x, n)", "day(at", "unknown(n)"])
def test_what_is_no_partitioning_is_refused(entry: str) -> None:
    with pytest.raises(ConfigError, match="m: partitioned_by"):
        parse_partitioned_by([entry], SCHEMA, "m")


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        pytest.param(None, ice.DateType(), None, id="null"),
        pytest.param("-5", ice.IntegerType(), -5, id="integer"),
        pytest.param("1969-12-31", ice.DateType(), -1, id="date"),
        pytest.param("true", ice.BooleanType(), True, id="boolean"),
        pytest.param("00:00:01.5", ice.TimeType(), 1_500_000, id="time"),
        pytest.param("1970-01-01 00:00:00.000001", ice.TimestampType(), 1, id="timestamp"),
        pytest.param("1969-12-31 23:59:59+00", ice.TimestamptzType(), -1_000_000, id="timestamptz"),
        pytest.param("", ice.StringType(), "", id="empty-text"),
    ],
)
def test_values_as_pyiceberg_keeps_them(text: str | None, kind: ice.IcebergType, value: object) -> None:
    assert partition_value(text, kind) == value


def test_a_value_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(ContractError, match="Rows cannot be partitioned by 12345-01-01"):
        partition_value("12345-01-01", ice.DateType())


@pytest.mark.parametrize("transform", some(2, ["year", "day", "month"]))
@pytest.mark.parametrize("kind", some(2, ["date", "timestamp", "timestamptz"]))
@pytest.mark.parametrize("value", some(2, ["infinity", "-infinity"]))
def test_only_null_has_the_partition_null(lake: Lake, kind: str, transform: str, value: str) -> None:
    rows = f"select 1 as k, {kind} '2024-05-01' as d union all select 2, null union all select 3, '{value}'::{kind}"
    for sorted_by in ([], ["k"]):
        with pytest.raises(ContractError, match="Rows cannot be partitioned by"):
            lake.write(rows, partitioned_by=[f"{transform}(d)"], sorted_by=sorted_by)
    assert lake.base is None
    lake.write(f"{rows} limit 2", partitioned_by=[f"{transform}(d)"])
    assert lake.connection.execute(f"select k from {lake.scan} where d > date '2024-01-01'").fetchall() == [
        (1,)
    ]
    assert lake.connection.execute(f"select k from {lake.scan} where d is null").fetchall() == [(2,)]


@pytest.mark.parametrize(
    "value", some(2, ["e\u0301te\u0301", "हिन्दी", "🇩🇪🇫🇷", "\r\nx"]), ids=["accent", "hindi", "flags", "line"]
)
def test_text_is_truncated_to_code_points_or_not_at_all(lake: Lake, value: str) -> None:
    """DuckDB's truncate counts letters, its reader as well; the specification counts code points."""
    refused = 0
    for width in range(1, 8):
        options: dict[str, Any] = {"partitioned_by": [f"truncate({width}, name)"], "unique_key": ["name"]}
        try:
            lake.write(f"select '{value}' as name, 1 as v", **options)
        except ContractError:
            refused += 1
            continue
        assert partitions(lake) == [(value[:width],)]
        lake.write(f"select '{value}' as name, 2 as v", "merge", **options)
        assert lake.by_duckdb() == lake.by_pyiceberg() == [(value, 2)]
        assert lake.by_pyiceberg(EqualTo("name", value)) == [(value, 2)]  # type: ignore[misc,call-arg]
    assert 0 < refused < 7
    with pytest.raises(ContractError, match="would not agree on its partition"):
        lake.write(f"select '{value}' as name", partitioned_by=["truncate(1, name)"])


def test_a_partition_is_written_as_one_file(lake: Lake) -> None:
    lake.write("select range % 3 as p, range as v from range(3000)", partitioned_by=["p"], sorted_by=["v"])
    assert sorted(partitions(lake)) == [(0,), (1,), (2,)]


def test_rows_are_sorted_in_the_file_of_a_table_without_partitions(
    lake: Lake, connection: duckdb.DuckDBPyConnection
) -> None:
    lake.write("select (range * 7919) % 1000 as v, range as n from range(3000)", sorted_by=["v", "N"])
    (path,) = (name.removeprefix("file://") for name in lake.files())
    rows = connection.execute(f"select v, n from read_parquet('{path}')").fetchall()
    assert len(rows) == 3000
    assert rows == sorted(rows)
