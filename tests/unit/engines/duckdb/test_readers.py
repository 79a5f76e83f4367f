"""What was written is what all readers read, whatever the values, and no filter or partition loses a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import some

from slipway.errors import ConfigError, ContractError

if TYPE_CHECKING:
    from tests.unit.conftest import Lake

LONG = "x" * 300
TEXTS = ("", " ", "NULL", "null", "a", "A", "ab", "'", '"', "\\", "/", "..", "%2F", "#?", "ż", "日本", "🚲", "\x00", "a\x00b",
         "\n", "\t", "[a]", "*", LONG, LONG + "a", LONG + "🚲", "\U0010ffff" * 70, "ÿ" * 80, "__HIVE_DEFAULT_PARTITION__")  # fmt: skip
BLOBS = ("", "00", "ff", "80ff", "ff" * 70, "ff" * 300, "00" * 130 + "01", "61" * 128, "61" * 127 + "ff")
STAMPS = ("0001-01-01 00:00:00", "1582-10-15 12:00:00", "1969-12-31 23:59:59.999999", "1970-01-01 00:00:00",
          "2011-10-30 01:30:00", "2024-02-29 23:59:59.000001", "9999-12-31 23:59:59.999999")  # fmt: skip
DAYS = tuple(stamp.split(" ", maxsplit=1)[0] for stamp in STAMPS)


def quoted(text: str) -> str:
    parts = ["'" + part.replace("'", "''") + "'" for part in text.split("\x00")]
    return " || chr(0) || ".join(parts)


def integers(low: int, high: int) -> tuple[str, ...]:
    return tuple(str(value) for value in (low, low + 1, -1 if low < 0 else 1, 0, 7, high - 1, high))


# column: its type, what it is read as, and literals of that type that are worth trying
COLUMNS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "flag": ("boolean", "boolean", ("true", "false")),
    "tiny": ("tinyint", "integer", integers(-128, 127)),
    "small": ("usmallint", "integer", integers(0, 65535)),
    "whole": ("integer", "integer", integers(-(2**31), 2**31 - 1)),
    "unsigned": ("uinteger", "bigint", integers(0, 2**32 - 1)),
    "big": ("bigint", "bigint", integers(-(2**63), 2**63 - 1)),
    "ubig": ("ubigint", "decimal(20, 0)", integers(0, 2**64 - 1)),
    "huge": ("hugeint", "decimal(38, 0)", integers(-(10**38) + 1, 10**38 - 1)),
    "half": ("float", "float", ("'nan'", "'inf'", "'-inf'", "0", "'-0.0'", "1.5", "-1.5", "3.4e38", "1e-45")),
    "wide": ("double", "double", ("'nan'", "'inf'", "'-inf'", "0", "'-0.0'", "0.1", "-1.5", "1.7e308", "5e-324")),
    "money": ("decimal(18, 4)", "decimal(18, 4)", ("0", "0.0001", "-0.0001", "99999999999999.9999", "-12.5")),
    "exact": ("decimal(38, 10)", "decimal(38, 10)", ("0", "-0.0000000001", f"{'9' * 28}.{'9' * 10}", "1")),
    "short": ("decimal(4, 2)", "decimal(4, 2)", ("0", "99.99", "-99.99", "0.05")),
    "words": ("varchar", "varchar", tuple(quoted(text) for text in TEXTS)),
    "bytes": ("blob", "blob", tuple(f"unhex('{value}')" for value in BLOBS)),
    "mood": ("enum('ok', 'sad', 'ż')", "varchar", ("'ok'", "'sad'", "'ż'")),
    "bits": ("bit", "varchar", ("'0'", "'0101'", "'1'")),
    "doc": ("json", "varchar", ("""'{"a": 1}'""", "'null'", "'[]'")),
    "ident": ("uuid", "uuid", tuple(f"'{digit * 32}'" for digit in "0178f")),
    "day": ("date", "date", tuple(f"'{value}'" for value in DAYS)),
    "clock": ("time", "time", ("'00:00:00'", "'12:30:00.000001'", "'23:59:59.999999'")),
    "ts": ("timestamp", "timestamp", tuple(f"'{value}'" for value in STAMPS)),
    "ts_s": ("timestamp_s", "timestamp", tuple(f"'{value[:19]}'" for value in STAMPS[:6])),
    "ts_ms": ("timestamp_ms", "timestamp", tuple(f"'{value[:23]}'" for value in STAMPS[:6])),
    "instant": ("timestamptz", "timestamptz", tuple(f"'{value}+00'" for value in STAMPS)),
    "pair": ("struct(a integer, \"b c\" varchar)", "struct(a integer, \"b c\" varchar)",
             ("{a: 1, 'b c': 'x'}", "{a: null, 'b c': ''}", "{a: -5, 'b c': null}")),
    "items": ("integer[]", "integer[]", ("[]", "[1, null, 3]", "[null]")),
    "lookup": ("map(varchar, integer)", "map(varchar, integer)", ("map {}", "map {'a': 1, 'b': null}")),
}  # fmt: skip
SCALAR = [name for name in COLUMNS if name not in ("pair", "items", "lookup")]
TRANSFORMS: tuple[list[str], ...] = (
    [],
    ["flag"],
    ["words"],
    ["day"],
    ["money"],
    ["big", "words"],
    ["month(day)", "bucket(3, words)"],
    ["year(ts)", "day(instant)"],
    ["hour(ts)", "truncate(3, words)"],
    ["day(ts)", "truncate(10, whole)"],
    ["bucket(4, bytes)", "bucket(4, day)", "bucket(4, instant)"],
    ["truncate(50, money)"],
    ["bucket(5, big)", "bucket(5, clock)", "bucket(5, huge)"],
    ["year(day)", "hour(instant)"],
    ["ts"],
    ["instant"],
    ["clock"],
    ["mood", "tiny", "unsigned"],
)

rows = st.fixed_dictionaries(
    {name: st.none() | st.sampled_from(values) for name, (_, _, values) in COLUMNS.items()}
)
batches = st.lists(st.lists(rows, min_size=1, max_size=4), min_size=1, max_size=3)


def query(batch: Sequence[dict[str, str | None]], *, as_read: bool = False) -> str:
    """The rows of a batch, typed as they are written or as they are read."""
    selects = []
    for row in batch:
        items = []
        for name, (kind, read, _) in COLUMNS.items():
            value = f"({row[name] or 'null'})::{kind}"
            items.append(f"{f'({value})::{read}' if as_read else value} as {name}")
        selects.append(f"select {', '.join(items)}")
    return " union all ".join(selects)


def differences(lake: Lake, left: str, right: str, columns: str = "") -> list[tuple[Any, ...]]:
    names = columns or ", ".join(COLUMNS)
    both = [f"(select {names} from {one} except all select {names} from {other})"
            for one, other in ((left, right), (right, left))]  # fmt: skip
    return lake.connection.execute(" union all ".join(both)).fetchall()


def fit(batch: Sequence[dict[str, str | None]], partitioned_by: Sequence[str]) -> list[dict[str, str | None]]:
    """Without values that are refused for the partitioning: tested below."""
    taken: dict[str, Callable[[str], bool]] = {}
    for entry in partitioned_by:
        match entry:
            case "words":  # no folder could be named after it
                taken["words"] = lambda text: len(text) < 40
            case "truncate(10, whole)":
                taken["whole"] = lambda text: int(text) > -(2**31) + 10
            case "day(ts)" | "day(instant)":
                taken[entry[4:-1]] = lambda text: text[1:5] >= "1970" or " 00:00:00" in text
    return [
        {
            name: None if value and name in taken and not taken[name](value) else value
            for name, value in row.items()
        }
        for row in batch
    ]


def every_value(partitioned_by: Sequence[str]) -> list[dict[str, str | None]]:
    """Row n holds the n-th value of each column; a row of NULLs is last."""
    length = max(len(values) for _, _, values in COLUMNS.values())
    table: list[dict[str, str | None]] = [
        {name: values[n % len(values)] for name, (_, _, values) in COLUMNS.items()} for n in range(length)
    ]
    return fit([*table, dict.fromkeys(COLUMNS)], partitioned_by)


def write_and_compare(
    lake: Lake, rows_of_batches: list[list[dict[str, str | None]]], partitioned_by: list[str]
) -> None:
    written = [fit(batch, partitioned_by) for batch in rows_of_batches]
    for batch in written:
        lake.write(query(batch), "append", partitioned_by=partitioned_by, sorted_by=["words"])
    everything = [row for batch in written for row in batch]
    lake.connection.execute(f"create or replace temp table truth as {query(everything, as_read=True)}")
    assert differences(lake, "truth", lake.scan) == []

    arrow = lake.table.scan().to_arrow()
    lake.connection.register("by_pyiceberg", arrow)
    casts = ", ".join(f"{name}::{read} as {name}" for name, (_, read, _) in COLUMNS.items())
    assert differences(lake, "truth", f"(select {casts} from by_pyiceberg)") == []

    lake.connection.register("by_datafusion", lake.arrow_by_datafusion())
    casts = casts.replace("ident::uuid", "hex(ident)::uuid")
    assert differences(lake, "truth", f"(select {casts} from by_datafusion)") == []

    used = [name for name in SCALAR if not partitioned_by or any(name in entry for entry in partitioned_by)]
    for name in used:
        read = COLUMNS[name][1]
        column = [row[name] for row in everything]
        literals = [f"(({value})::{COLUMNS[name][0]})::{read}" for value in dict.fromkeys(column) if value]
        for value in literals[:2]:
            for condition in (
                f"{name} = {value}",
                f"{name} >= {value}",
                f"{name} < {value}",
                f"{name} <> {value}",
            ):
                assert count(lake, lake.scan, condition) == count(lake, "truth", condition), condition
        for condition in (f"{name} is null", f"{name} is not null"):
            assert count(lake, lake.scan, condition) == count(lake, "truth", condition), condition


def count(lake: Lake, relation: str, condition: str) -> int:
    found = lake.connection.execute(f"select count(*) from {relation} where {condition}").fetchone()
    assert found is not None
    return int(found[0])


@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(batches, st.sampled_from(TRANSFORMS))
def test_both_readers_read_what_was_written(
    lakes: Iterator[Lake], written: list[list[dict[str, str | None]]], partitioned_by: list[str]
) -> None:
    write_and_compare(next(lakes), written, partitioned_by)


@pytest.mark.long
@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(batches, st.sampled_from(TRANSFORMS))
def test_both_readers_read_what_was_written_many_times(
    lakes: Iterator[Lake], written: list[list[dict[str, str | None]]], partitioned_by: list[str]
) -> None:
    write_and_compare(next(lakes), written, partitioned_by)


@pytest.mark.parametrize("partitioned_by", some(12, TRANSFORMS), ids=lambda way: " ".join(way) or "none")
def test_every_value_of_every_column_survives_every_partitioning(
    lake: Lake, partitioned_by: list[str]
) -> None:
    table = every_value(partitioned_by)
    write_and_compare(lake, [table[:10], table[10:]], partitioned_by)


# a value in other types, and the type that it makes of another
WRAPPED = {
    "struct": ("struct_pack(f := {v})", "struct(f {t})"),
    "list": ("[{v}, null, {v}]", "{t}[]"),
    "array": ("array_value({v}, null)", "{t}[]"),
    "map-value": ("map {{'k': {v}}}", "map(varchar, {t})"),
    "map-key": ("case when {v} is not null then map {{{v}: 1}} end", "map({t}, integer)"),
    "struct-of-list-of-map": ("struct_pack(l := [map {{'k': {v}}}])", "struct(l map(varchar, {t})[])"),
    "list-of-struct": ("[struct_pack(f := {v}), null]", "struct(f {t})[]"),
}


@pytest.mark.parametrize("wrapped", some(4, WRAPPED))
def test_every_value_survives_inside_other_types(lake: Lake, wrapped: str) -> None:
    value, kind = WRAPPED[wrapped]
    names = [
        name for name in SCALAR if not (wrapped == "map-key" and name in ("half", "wide"))
    ]  # NaN is no key

    def rows_as(*, read: bool) -> str:
        selects = []
        for row in every_value([]):
            items = []
            for name in names:
                item = value.format(v=f"({row[name] or 'null'})::{COLUMNS[name][0]}")
                items.append(f"{item}{f'::{kind.format(t=COLUMNS[name][1])}' * read} as {name}")
            selects.append(f"select {', '.join(items)}")
        return " union all ".join(selects)

    lake.write(rows_as(read=False))
    # as text, in which -0.0 is not 0.0
    text = ", ".join(f"{name}::varchar as {name}" for name in names)
    lake.connection.execute(
        f"create or replace temp table truth as select {text} from ({rows_as(read=True)})"
    )
    assert differences(lake, "truth", f"(select {text} from {lake.scan})", ", ".join(names)) == []
    lake.connection.register("by_pyiceberg", lake.table.scan().to_arrow())
    lake.connection.register("by_datafusion", lake.arrow_by_datafusion())
    for reader in ("by_pyiceberg", "by_datafusion"):
        known = [
            name for name in names if name != "ident" or reader == "by_pyiceberg"
        ]  # the other gives its bytes
        text = ", ".join(f"{name}::{kind.format(t=COLUMNS[name][1])}::varchar as {name}" for name in known)
        assert differences(lake, "truth", f"(select {text} from {reader})", ", ".join(known)) == []


def test_a_scan_by_bounds_reads_only_the_files_that_can_match(lake: Lake) -> None:
    for start in range(0, 50, 10):
        lake.write(f"select range + {start} as k, 'a' || (range + {start}) as t from range(10)", "append")
    assert len(list(lake.table.scan(row_filter="k = 25").plan_files())) == 1
    assert len(list(lake.table.scan(row_filter="k >= 30").plan_files())) == 2
    assert len(list(lake.table.scan(row_filter="k > 100").plan_files())) == 0


FAR = ("12345-06-07", "0044-03-15 (BC)", "infinity", "-infinity", "2024-01-01")


@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamptz"])
def test_days_that_python_cannot_hold_are_kept(lake: Lake, kind: str) -> None:
    for value in FAR:
        lake.write(f"select '{value}'::{kind} as c", "append")
    truth = f"(select unnest({list(FAR)})::{kind} as c)"
    assert differences(lake, truth, lake.scan, "c") == []
    lake.connection.register("by_pyiceberg", lake.table.scan().to_arrow())
    assert differences(lake, truth, "by_pyiceberg", "c") == []
    for value in FAR:
        for sign in ("=", "<", ">="):
            condition = f"c {sign} '{value}'::{kind}"
            assert count(lake, lake.scan, condition) == count(lake, truth, condition), condition


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        pytest.param("c", "date '12345-06-07'", id="identity"),
        pytest.param("c", "date '0044-03-15 (BC)'", id="identity-before-christ"),
        pytest.param("day(c)", "timestamp '12345-06-07'", id="day"),
        pytest.param("hour(c)", "timestamp '12345-06-07'", id="hour"),
        pytest.param("c", "timestamp '12345-06-07'", id="identity-of-timestamp"),
        pytest.param("day(c)", "timestamptz '12345-06-07'", id="day-of-timestamptz"),
    ],
)
def test_partitions_that_cannot_be_named_are_refused(lake: Lake, entry: str, value: str) -> None:
    for strategy in ("replace", "insert_overwrite"):
        lake.base = None
        with pytest.raises(ContractError, match=r"Rows cannot be partitioned by .*years 1 to 9999"):
            lake.write(f"select {value} as c", strategy, partitioned_by=[entry])
        assert lake.base is None


@pytest.mark.parametrize(
    ("kind", "fix"),
    [
        pytest.param("interval '1 day'", "store its parts", id="interval"),
        pytest.param("timestamp_ns '2024-01-01'", "cast it to TIMESTAMP", id="nanoseconds"),
        pytest.param("timetz '10:00:00+01'", "cast it to TIME", id="time-with-zone"),
        pytest.param("union_value(a := 1)", "store each member", id="union"),
        pytest.param("time_ns '10:00:00.000000001'", "cast it to TIME", id="time-of-nanoseconds"),
        pytest.param("123::bignum", "cast it to DECIMAL or VARCHAR", id="bignum"),
        pytest.param("'{}'::variant", "cast it to JSON", id="variant"),
        pytest.param("'POINT (1 2)'::geometry", "ST_AsWKB", id="geometry"),
        pytest.param("[interval '1 day']", "store its parts", id="inside-a-list"),
        pytest.param("{a: {b: interval '1 day'}}", "store its parts", id="inside-a-struct"),
        pytest.param("map {'k': [timestamp_ns '2024-01-01']}", "cast it to TIMESTAMP", id="inside-a-map"),
        pytest.param("row(1, 2)", "a struct field without a name", id="struct-without-names"),
        pytest.param(
            "{'__duckdb_field_id': 1}", "its values could not be distinguished", id="name-that-copy-uses"
        ),
    ],
)
def test_types_that_iceberg_cannot_hold_are_refused_with_a_way_out(lake: Lake, kind: str, fix: str) -> None:
    with pytest.raises(ContractError, match=fix):
        lake.write(f"select 1 as k, {kind} as c")


@pytest.mark.parametrize(
    "shape", ["{}", "[{}]", "{{a: {}}}", "map {{'k': {}}}", "map {{{}: 1}}", "[{}]::{kind}[1]"]
)
@pytest.mark.parametrize(
    ("kind", "more"),
    [("hugeint", "1"), ("uhugeint", "1"), ("uhugeint", "240282366920938463463374607431768211456")],
)
def test_a_number_beyond_38_digits_is_an_error_and_not_another_number(
    lake: Lake, shape: str, kind: str, more: str
) -> None:
    largest = f"99999999999999999999999999999999999999::{kind}"
    lake.write(f"select {shape.format(largest, kind=kind)} as k")
    assert "99999999999999999999999999999999999999" in str(lake.by_duckdb())
    assert lake.by_duckdb() == lake.by_pyiceberg() == lake.by_datafusion()
    with pytest.raises(duckdb.ConversionException, match=r"Could not cast value \d{39} to DECIMAL"):
        lake.write(f"select {shape.format(f'({largest} + {more})', kind=kind)} as k")


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param('select 1 as "s.b", {B: 2} as s', id="a-field-of-a-struct"),
        pytest.param('select 1 as "l.element", [2] as l', id="an-element-of-a-list"),
        pytest.param("select {'a.b': 1, 'a': {'b': 2}} as s", id="both-inside"),
    ],
)
def test_names_that_read_like_nested_ones_are_refused(lake: Lake, sql: str) -> None:
    with pytest.raises(ContractError, match=r"names two fields.*Rename one of them"):
        lake.write(sql)


def test_names_that_read_like_nested_ones_of_the_table_are_refused(lake: Lake) -> None:
    lake.write('select 1 as k, 2 as "s.b"')
    with pytest.raises(ContractError, match=r"s\.b names two fields"):
        lake.write("select 1 as k, {b: 3} as s", "append", on_schema_change="append_new_columns")


@pytest.mark.parametrize("name", ["__partition_0", "__slipway_file", "__duckdb_field_id"])
def test_names_that_the_writer_uses_are_refused(lake: Lake, name: str) -> None:
    with pytest.raises(ContractError, match=f"column {name}: the name is reserved"):
        lake.write(f"select 1 as {name}, 2 as b", partitioned_by=["b"])


def test_a_key_inside_a_struct_is_not_taken_for_a_column_of_that_name(lake: Lake) -> None:
    lake.write("select {a: 1} as s, 7 as a, 'x' as v")
    row = "select {a: 2} as s, 7 as a, 'y' as v"
    with pytest.raises(ConfigError, match=r"unique_key names s\.a: no such column"):
        lake.write(row, "merge", unique_key=["s.a"])
    lake.check([({"a": 1}, 7, "x")])
    lake.write(row, "delete+insert", unique_key=["s.a"])  # which takes expressions
    lake.check([({"a": 1}, 7, "x"), ({"a": 2}, 7, "y")])


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        pytest.param("ident", "cannot be used on ident of type uuid", id="identity-of-uuid"),
        pytest.param("bucket(4, ident)", "cannot be used on ident of type uuid", id="bucket-of-uuid"),
        pytest.param("wide", "cannot be used on wide of type double", id="identity-of-double"),
        pytest.param("bytes", "cannot be used on bytes of type binary", id="identity-of-blob"),
        pytest.param("truncate(2, bytes)", "cannot be used on bytes of type binary", id="truncate-of-blob"),
        pytest.param("pair", "cannot be used on pair", id="identity-of-struct"),
        pytest.param("bucket(4, wide)", "cannot be used on wide", id="bucket-of-double"),
        pytest.param("day(whole)", "cannot be used on whole", id="day-of-integer"),
        pytest.param("hour(day)", "cannot be used on day", id="hour-of-date"),
        pytest.param("truncate(2, day)", "cannot be used on day", id="truncate-of-date"),
        pytest.param("month(nothing)", "no such column", id="unknown-column"),
        pytest.param("week(day)", "unknown transform", id="unknown-transform"),
        pytest.param("bucket(day)", "unknown transform", id="bucket-without-number"),
        pytest.param("bucket(0, whole)", "at least 1", id="no-buckets"),
        pytest.param("pair.a", "no such column", id="field-of-a-struct"),
        pytest.param("truncate(10, short)", "cannot be used on short", id="truncate-of-a-short-decimal"),
        pytest.param("truncate(10, exact)", "cannot be used on exact", id="truncate-of-a-long-decimal"),
        pytest.param("truncate(10, huge)", "cannot be used on huge", id="truncate-of-hugeint"),
        pytest.param("truncate(0, words)", "at least 1", id="no-width"),
    ],
)
def test_partitionings_that_cannot_be_right_are_refused(lake: Lake, entry: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        lake.write(query([dict.fromkeys(COLUMNS)]), partitioned_by=[entry])


@pytest.mark.parametrize(
    ("entry", "value", "why"),
    [
        pytest.param("day(c)", "timestamp '1969-12-31 12:00:00'", "times before 1970", id="day"),
        pytest.param("month(c)", "timestamptz '1582-10-15 00:00:00+00'", "times before 1970", id="month"),
        pytest.param("truncate(10, c)", "(-2147483648)::integer", "overflows", id="smallest-integer"),
        pytest.param("truncate(10, c)", "(-9223372036854775808)::bigint", "overflows", id="smallest-bigint"),
        pytest.param("truncate(50, c)", "(-99999999.99)::decimal(10, 2)", "overflows", id="smallest-decimal"),
    ],
)
def test_rows_that_a_reader_would_lose_are_refused(lake: Lake, entry: str, value: str, why: str) -> None:
    with pytest.raises(ContractError, match=why):
        lake.write(f"select {value} as c", partitioned_by=[entry])


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        pytest.param("day(c)", "timestamp '1900-01-02 00:00:00'", id="day-at-its-start"),
        pytest.param("month(c)", "timestamptz '0001-01-01 00:00:00+00'", id="month-at-its-start"),
        pytest.param("day(c)", "date '1969-12-31'", id="date"),
        pytest.param("hour(c)", "timestamp '1969-12-31 12:34:56'", id="hour"),
        pytest.param("year(c)", "timestamp '1969-12-31 12:34:56'", id="year"),
        pytest.param("truncate(16, c)", "(-2147483648)::integer", id="width-that-divides"),
    ],
)
def test_early_values_are_found_by_every_comparison(lake: Lake, entry: str, value: str) -> None:
    lake.write(f"select {value} as c union all select null", partitioned_by=[entry])
    for sign in ("=", "<=", ">="):
        assert count(lake, lake.scan, f"c {sign} {value}") == 1
    assert len(lake.by_pyiceberg("c is not null")) == 1


def test_two_partitions_on_decimals_are_refused(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="two fields on decimal columns"):
        lake.write(query([dict.fromkeys(COLUMNS)]), partitioned_by=["money", "truncate(5, money)"])


def test_one_partitioning_twice_is_refused(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="twice"):
        lake.write("select 1 as k", partitioned_by=["k", "K"])


@pytest.mark.parametrize("shape", ["{b}", "{{x: {b}}}", "[{b}]", "map {{'k': {b}}}"])
def test_a_condition_on_bytes_finds_all_equal_ones(lake: Lake, shape: str) -> None:
    """A bloom filter of DuckDB's would hide them, so none is written, at any depth."""
    value = shape.format(b="'\\x80\\xFF'::blob")
    lake.write(f"select {value} as c from range(500)")
    assert count(lake, lake.scan, f"c = {value}") == 500
    for path in lake.files():
        offsets = (
            f"select distinct bloom_filter_offset from parquet_metadata('{path.removeprefix('file://')}')"
        )
        assert lake.connection.execute(offsets).fetchall() == [(None,)]


def test_null_and_text_like_a_folder_of_nulls_are_two_partitions(lake: Lake) -> None:
    texts = "[null, '__HIVE_DEFAULT_PARTITION__', 'NULL', '', 'a/b', 'a%2Fb', '..']"
    lake.write(f"select unnest({texts}) as c, range as n from range(2)", partitioned_by=["c"])
    lake.check(
        [
            (text, n)
            for text in (None, "__HIVE_DEFAULT_PARTITION__", "NULL", "", "a/b", "a%2Fb", "..")
            for n in (0, 1)
        ]
    )
    assert len(lake.files()) == 7
    for condition, rows in (
        ("c is null", 2),
        ("c = '__HIVE_DEFAULT_PARTITION__'", 2),
        ("c = ''", 2),
        ("c = 'a/b'", 2),
    ):
        assert count(lake, lake.scan, condition) == rows, condition
        assert len(lake.by_pyiceberg(condition)) == rows, condition
        assert len(lake.by_datafusion(condition)) == rows, condition


def test_no_statistics_are_written_for_values_inside_lists_and_maps(lake: Lake) -> None:
    """What is said of the elements reads like what is said of the rows."""
    lake.write("select [1, 2, null] as l, map {'k': 1.5} as m, [{x: 1}] as s, {n: [1]} as n from range(3)")
    (task,) = lake.table.scan().plan_files()
    message = [
        task.file.value_counts,
        task.file.null_value_counts,
        task.file.lower_bounds,
        task.file.upper_bounds,
    ]
    assert message == [{}, {}, {}, {}]
    assert task.file.record_count == 3


@pytest.mark.parametrize("entry", ["c", "day(c)", "hour(c)", "month(c)"])
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_partitions_of_instants_do_not_depend_on_the_time_zone_of_the_session(
    lake: Lake, zone: str, entry: str
) -> None:
    lake.connection.execute(f"set TimeZone = '{zone}'")
    try:
        moments = "unnest([timestamptz '2011-10-31 23:30:00+00', '2012-01-01 00:30:00+00', null])"
        lake.write(f"select {moments} as c, 1 as v", partitioned_by=[entry])
        days = {str(task.file.partition[0]) for task in lake.table.scan().plan_files()}
        # 2011-10-31 and 2012-01-01 in UTC, as the specification counts
        expected = {"day(c)": {15278, 15340}, "hour(c)": {366695, 368160}, "month(c)": {501, 504}}
        micros = {1320103800000000, 1325377800000000}
        assert days == {str(part) for part in (*expected.get(entry, micros), None)}
        lake.write(f"select {moments} as c, 2 as v", "insert_overwrite", partitioned_by=[entry])
        found = lake.connection.execute(f"select count(*), min(v) from {lake.scan}").fetchall()
        assert found == [(3, 2)]
    finally:
        lake.connection.execute("set TimeZone = 'UTC'")


@pytest.mark.parametrize("partitioned_by", some(12, TRANSFORMS[1:]), ids=" ".join)
def test_a_partition_is_replaced_by_itself(lake: Lake, partitioned_by: list[str]) -> None:
    """Overwriting with the same rows finds exactly the partitions that are there."""
    table = every_value(partitioned_by)
    lake.write(query(table), partitioned_by=partitioned_by)
    result = lake.write(query(table), "insert_overwrite", partitioned_by=partitioned_by)
    assert result.same_content
