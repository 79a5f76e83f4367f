"""Every strategy leaves the table as a plain model of it says, for both readers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg import transforms
from pyiceberg.expressions import EqualTo, IsNull
from pyiceberg.table import Table
from pyiceberg.types import IntegerType, LongType, StringType
from tests.conftest import some

from slipway.engines.duckdb.constraints import Contract
from slipway.engines.duckdb.scan import live_files
from slipway.errors import ConfigError, ContractError

if TYPE_CHECKING:
    from tests.unit.conftest import Lake

PARTITIONS = (None, "", "a", "b/c", "__HIVE_DEFAULT_PARTITION__", "[x]*?")
RARE = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

Record = tuple[int, str | None, int | None]


def values(rows: list[Record], where: str = "true") -> str:
    """A query whose result are the rows, with columns k, part and v."""
    listed = ", ".join(f"({k}, {text(p)}, {'null' if v is None else v})" for k, p, v in rows)
    empty = "select null::integer as k, null::varchar as part, null::bigint as v where false"
    if not rows:
        return empty
    return f"{empty} union all select * from (values {listed}) where {where}"


def text(value: str | None) -> str:
    return "null" if value is None else "'" + value.replace("'", "''") + "'"


def summary(table: Table) -> dict[str, Any]:
    current = table.current_snapshot()
    assert current is not None
    assert current.summary is not None
    return current.summary.additional_properties


records = st.tuples(st.integers(0, 6), st.sampled_from(PARTITIONS), st.none() | st.integers(-3, 3))
keyed = st.lists(records, max_size=6, unique_by=lambda row: row[0])
steps = st.one_of(
    st.tuples(st.just("replace"), st.lists(records, max_size=6)),
    st.tuples(st.just("append"), st.lists(records, max_size=4)),
    st.tuples(st.just("merge"), keyed),
    st.tuples(st.just("delete+insert"), st.lists(records, max_size=4)),
    st.tuples(st.just("insert_overwrite"), st.lists(records, max_size=4)),
)


def model(rows: list[Record], strategy: str, new: list[Record], *, partitioned: bool) -> list[Record]:
    """What a strategy means."""
    match strategy:
        case "replace":
            return new
        case "append":
            return rows + new
        case "merge":  # every row that matches is updated, also when several have one key
            by_key = {row[0]: row for row in new}
            known = {row[0] for row in rows}
            return [by_key.get(row[0], row) for row in rows] + [row for row in new if row[0] not in known]
        case "delete+insert":
            keys = {row[0] for row in new}
            return [row for row in rows if row[0] not in keys] + new
    replaced = {row[1] for row in new}
    return new if not partitioned else [row for row in rows if row[1] not in replaced] + new


@RARE
@given(st.lists(steps, min_size=2, max_size=5), st.booleans())
def test_any_sequence_of_writes_is_what_the_strategies_mean(
    lakes: Iterator[Lake], sequence: list[tuple[str, list[Record]]], partitioned: bool
) -> None:
    lake, rows = next(lakes), list[Record]()
    for strategy, new in sequence:
        result = lake.write(
            values(new),
            strategy,
            unique_key=["k"],
            partitioned_by=["part"] if partitioned else [],
            sorted_by=["v"],
        )
        after = model(rows, strategy, new, partitioned=partitioned) if lake.writes > 1 else new
        lake.check(after)
        if lake.writes > 1:
            assert not (result.same_content and sorted(map(str, after)) != sorted(map(str, rows)))
        rows = after


@pytest.mark.parametrize("strategy", ["append", "merge", "delete+insert", "insert_overwrite"])
def test_an_empty_delta_adds_no_snapshot(lake: Lake, strategy: str) -> None:
    lake.write(values([(1, "a", 1), (2, "b", 2)]), partitioned_by=["part"])
    before, files = lake.table.current_snapshot(), lake.files()
    result = lake.write(values([]), strategy, unique_key=["k"], partitioned_by=["part"])
    assert result.same_content
    assert (lake.table.current_snapshot(), lake.files()) == (before, files)
    assert lake.table.metadata.refs["release-2"].snapshot_id == result.staged.snapshot_id


def test_the_same_rows_again_add_no_snapshot(lake: Lake) -> None:
    rows: list[Record] = [(1, "a", 1), (2, "b", None)]
    first = lake.write(values(rows))
    assert not first.same_content
    for strategy in ("replace", "merge", "delete+insert", "insert_overwrite"):
        result = lake.write(values(rows[::-1]), strategy, unique_key=["k"])
        assert result.same_content
        assert result.staged.snapshot_id == first.staged.snapshot_id
    lake.check(rows)


def test_a_difference_only_in_lineage_is_no_change(lake: Lake) -> None:
    lake.write("select 1 as k, 'run-1' as _run_id, timestamptz '2024-01-01' as _landed_at")
    again = lake.write("select 1 as k, 'run-2' as _run_id, timestamptz '2024-01-02' as _landed_at")
    assert again.same_content
    other = lake.write("select 2 as k, 'run-2' as _run_id, timestamptz '2024-01-02' as _landed_at")
    assert not other.same_content


def test_merge_rewrites_only_files_that_hold_a_key(lake: Lake) -> None:
    for start in (0, 10, 20):
        lake.write(values([(start + n, "a", n) for n in range(10)]), "append")
    before = lake.files()
    assert len(before) == 3
    result = lake.write(values([(15, "z", 99), (40, "z", 99)]), "merge", unique_key=["k"])
    kept = before & lake.files()
    assert (len(kept), result.files_removed) == (2, 1)
    assert (15, "z", 99) in lake.by_duckdb()
    assert len(lake.by_duckdb()) == 31
    # one partition of three: the files of the others stay as they are
    lake.write(values([(n, "abc"[n % 3], n) for n in range(9)]), partitioned_by=["part"])
    before = lake.files()
    lake.write(values([(1, "b", 7)]), "insert_overwrite", partitioned_by=["part"])
    assert len(before & lake.files()) == 2
    assert [row for row in lake.by_duckdb() if row[1] == "b"] == [(1, "b", 7)]


def test_a_merge_that_changes_every_row(lake: Lake) -> None:
    rows: list[Record] = [(n, "ab"[n % 2], n) for n in range(50)]
    lake.write(values(rows), partitioned_by=["part"])
    before = lake.files()
    changed: list[Record] = [(k, p, -1) for k, p, _ in rows]
    lake.write(values(changed), "merge", unique_key=["k"], partitioned_by=["part"])
    assert not before & lake.files()
    lake.check(changed)


@pytest.mark.parametrize("strategy", ["merge", "delete+insert"])
def test_null_keys_are_refused(lake: Lake, strategy: str) -> None:
    lake.write("select 1 as k, 'a' as part")
    with pytest.raises(ContractError, match=r"layer.thing: 2 rows have NULL in unique_key \(\"k\"\)"):
        lake.write("select unnest([null, null, 3]) as k, 'a' as part", strategy, unique_key=["k"])
    lake.check([(1, "a")])


def test_merge_refuses_a_key_that_occurs_twice_and_names_it(lake: Lake) -> None:
    lake.write("select 1 as k, 'a' as part")
    with pytest.raises(
        ContractError, match=r"occurs more than once for 1 row of the query: for example \(7,\)"
    ):
        lake.write("select unnest([7, 7, 8]) as k, 'b' as part", "merge", unique_key=["k"])
    lake.write("select unnest([7, 7, 8]) as k, 'b' as part", "delete+insert", unique_key=["k"])
    lake.check([(1, "a"), (7, "b"), (7, "b"), (8, "b")])


def test_a_merge_without_key_is_refused(lake: Lake) -> None:
    lake.write("select 1 as k")
    with pytest.raises(ConfigError, match="merge needs unique_key"):
        lake.write("select 1 as k", "merge")
    with pytest.raises(ConfigError, match="strategy upsert: unknown"):
        lake.write("select 1 as k", "upsert")


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    some(
        3,
        [
            pytest.param("integer", "1", "2", id="integer"),
            pytest.param("varchar", "'a'", "'b'", id="text"),
            pytest.param("varchar", f"'{'x' * 300}a'", f"'{'x' * 300}b'", id="text-beyond-the-bounds"),
            pytest.param("date", "date '1969-12-31'", "date '2024-02-29'", id="date"),
            pytest.param(
                "timestamp",
                "timestamp '1969-12-31 23:59:59.999999'",
                "timestamp '2024-01-01'",
                id="timestamp",
            ),
            pytest.param(
                "timestamptz", "timestamptz '1969-12-31'", "timestamptz '2024-01-01'", id="timestamptz"
            ),
            pytest.param("decimal(18, 3)", "-0.001", "12.340", id="decimal"),
            pytest.param("uuid", f"uuid '{'0' * 32}'", f"uuid '{'f' * 32}'", id="uuid"),
            pytest.param("boolean", "false", "true", id="boolean"),
            pytest.param("double", "'-inf'::double", "'nan'::double", id="double"),
            pytest.param("blob", r"'\x80\xFF'::blob", r"'\x80'::blob", id="blob"),
            pytest.param("time", "time '00:00:00'", "time '23:59:59.999999'", id="time"),
            pytest.param("struct(a integer, b varchar)", "{a: 1, b: 'x'}", "{a: 1, b: null}", id="struct"),
            pytest.param("hugeint", "-5", "99999999999999999999999999999999999999", id="hugeint"),
            pytest.param("ubigint", "1", "18446744073709551615", id="unsigned"),
        ],
    ),
)
def test_merge_by_any_type_of_key(lake: Lake, kind: str, old: str, new: str) -> None:
    lake.write(f"select {old}::{kind} as k, 1 as v")
    lake.write(f"select {new}::{kind} as k, 2 as v", "merge", unique_key=["k"])
    for key, value in ((old, 3), (new, 4)):
        lake.write(f"select {key}::{kind} as k, {value} as v", "merge", unique_key=["k"])
    assert sorted(row[1] for row in lake.by_duckdb()) == [3, 4]


def test_a_large_merge_prunes_by_range(lake: Lake) -> None:
    lake.write("select range as k, 0 as v from range(2000)", sorted_by=["k"])
    lake.write("select range + 5000 as k, 0 as v from range(10)", "append")
    before = lake.files()
    lake.write("select range * 2 as k, 1 as v from range(900)", "merge", unique_key=["K"])
    assert len(before & lake.files()) == 1
    found = lake.connection.execute(f"select count(*), sum(v) from {lake.scan}").fetchone()
    assert found == (2010, 900)


@pytest.mark.parametrize(
    ("mode", "columns"),
    [
        pytest.param("ignore", ["k", "old"], id="ignore"),
        pytest.param("append_new_columns", ["k", "old", "new"], id="append"),
        pytest.param("sync_all_columns", ["k", "new"], id="sync"),
    ],
)
@pytest.mark.parametrize("strategy", ["append", "merge"])
def test_on_schema_change(lake: Lake, mode: str, columns: list[str], strategy: str) -> None:
    lake.write("select unnest([1, 2]) as k, 'a' as old")
    lake.write("select 2 + 1 as k, 'b' as new", strategy, unique_key=["k"], on_schema_change=mode)
    assert [field.name for field in lake.table.schema().fields] == columns
    full = {"k": [1, 2, 3], "old": ["a", "a", None], "new": [None, None, "b"]}
    lake.check(list(zip(*(full[column] for column in columns), strict=True)))
    # rows of files from before the change are moved into a file of the new schema; a column that the query does
    # not have is not updated
    lake.write("select 1 as k, 'c' as new", "merge", unique_key=["k"], on_schema_change=mode)
    full = {"k": [1, 2, 3], "old": ["a", "a", None], "new": ["c", None, "b"]}
    lake.check(list(zip(*(full[column] for column in columns), strict=True)))


def test_on_schema_change_fail_names_what_differs(lake: Lake) -> None:
    lake.write("select 1 as k, 'a' as old, 1 as n")
    with pytest.raises(
        ContractError,
        match=r"the query's columns differ from the table: new extra; missing old; n int -> long",
    ):
        lake.write("select 1 as k, 'b' as extra, 1::bigint as n", "append", on_schema_change="fail")
    lake.check([(1, "a", 1)])


def test_a_column_that_went_and_comes_back_is_a_new_one(lake: Lake) -> None:
    lake.write("select 1 as k, 'a' as t")
    lake.write("select 2 as k", "append", on_schema_change="sync_all_columns")
    lake.write("select 3 as k, 'c' as t", "append", on_schema_change="append_new_columns")
    lake.check([(1, None), (2, None), (3, "c")])


def test_types_are_widened_and_never_narrowed(lake: Lake) -> None:
    lake.write("select 1 as k, 1.5::float as f, 1.25::decimal(9, 2) as d")
    lake.write("select 5000000000 as k, 2.5::double as f, 99999999999.25::decimal(18, 2) as d", "append")
    assert [str(field.field_type) for field in lake.table.schema().fields] == [
        "long",
        "double",
        "decimal(18, 2)",
    ]
    lake.write("select 3 as k, 3.5::float as f, 1.00::decimal(9, 2) as d", "append")
    assert isinstance(lake.table.schema().fields[0].field_type, LongType)
    assert [row[0] for row in lake.by_duckdb()] == [1, 3, 5000000000]
    assert lake.by_duckdb() == lake.by_pyiceberg()
    with pytest.raises(ContractError, match="column k is long in the table and string in the query"):
        lake.write("select 'x' as k", "append")


def test_a_digest_stays_true_when_a_type_is_widened(lake: Lake) -> None:
    lake.write("select unnest([1, 2]) as k")
    lake.write("select 3::bigint as k", "append")
    lake.check([(1,), (2,), (3,)])


def test_a_full_refresh_with_other_types_keeps_the_table_and_its_history(lake: Lake) -> None:
    lake.write("select 1 as k, 'a' as t, 'gone' as g")
    identity, first = lake.table.metadata.table_uuid, lake.table.current_snapshot()
    assert first is not None
    lake.write("select 'one' as k, 'b' as t, 2.5 as fresh", "replace")
    assert lake.table.metadata.table_uuid == identity
    lake.check([("one", "b", 2.5)])
    ids = {field.name: field.field_id for field in lake.table.schema().fields}
    before = {field.name: field.field_id for field in lake.table.schemas()[first.schema_id or 0].fields}
    assert ids["t"] == before["t"]
    assert not {ids["k"], ids["fresh"]} & set(before.values())
    path = lake.table.metadata_location.removeprefix("file://")
    then = lake.connection.execute(
        f"from iceberg_scan('{path}', snapshot_from_id = {first.snapshot_id})"
    ).fetchall()
    assert then == [(1, "a", "gone")]
    assert lake.table.scan(snapshot_id=first.snapshot_id).to_arrow().to_pylist() == [
        {"k": 1, "t": "a", "g": "gone"}
    ]


def test_partitioning_can_change_and_every_field_keeps_its_own_id(lake: Lake) -> None:
    ways: list[list[str]] = [["part"], ["bucket(4, k)"], [], ["truncate(2, k)"], ["part", "k"], ["part"]]
    rows: list[Record] = []
    for number, way in enumerate(ways):
        rows.append((number, "a", number))
        lake.write(values(rows[-1:]), "replace" if number % 2 else "append", partitioned_by=way)
        if number % 2:
            rows = rows[-1:]
        lake.check(rows)
    known: dict[int, tuple[int, str]] = {}
    for spec in lake.table.specs().values():
        for field in spec.fields:
            assert known.setdefault(field.field_id, (field.source_id, str(field.transform))) == (
                field.source_id,
                str(field.transform),
            )
    assert lake.table.metadata.last_partition_id == max(known)


def test_merge_after_partitioning_was_changed(lake: Lake) -> None:
    lake.write(values([(1, "a", 1), (2, "b", 2)]), partitioned_by=["part"])
    lake.write(values([(2, "b", 3)]), "merge", unique_key=["k"], partitioned_by=["bucket(2, k)"])
    lake.check([(1, "a", 1), (2, "b", 3)])
    lake.write(values([(1, "a", 5)]), "merge", unique_key=["k"], partitioned_by=["bucket(2, k)"])
    lake.check([(1, "a", 5), (2, "b", 3)])


def test_a_partition_column_can_go(lake: Lake) -> None:
    lake.write("select 1 as k, date '2024-01-01' as d", partitioned_by=["month(d)"])
    lake.write("select 2 as k", "replace")
    lake.check([(2,)])
    lake.write("select 3 as k", "append")
    lake.check([(2,), (3,)])


def test_table_properties_are_set_and_changed(lake: Lake) -> None:
    lake.write("select 1 as k", table_properties={"owner": "ana"})
    assert lake.table.properties["owner"] == "ana"
    lake.write("select 1 as k", table_properties={"owner": "bo"})
    assert lake.table.properties["owner"] == "bo"


def test_a_staged_write_does_not_change_its_base(lake: Lake) -> None:
    lake.write(values([(1, "a", 1)]))
    base = lake.table
    lake.write(values([(1, "a", 2), (2, "b", 2)]), "merge", unique_key=["k"])
    candidate = lake.table
    lake.base = base
    lake.check([(1, "a", 1)])
    lake.base = candidate
    lake.check([(1, "a", 2), (2, "b", 2)])


def test_constraints_are_checked_also_when_the_rows_are_the_same(lake: Lake) -> None:
    lake.write("select unnest([1, 1, null]) as k, 'a' as t")
    contract = Contract({"k": "integer", "t": "varchar"}, ["K"], [["k"]], ["k > 1"])
    with pytest.raises(ContractError) as refused:
        lake.write("select unnest([1, 1, null]) as k, 'a' as t", contract=contract)
    for part in ("not_null K: 1 row", "unique k: 1 row", "check k > 1: 2 rows"):
        assert part in str(refused.value)


def test_uniqueness_holds_over_the_whole_table(lake: Lake) -> None:
    contract = Contract({"k": "integer"}, unique=[["k"]])
    lake.write("select 1 as k", contract=contract)
    with pytest.raises(ContractError, match="unique k: 1 row"):
        lake.write("select 1 as k", "append", contract=contract)
    lake.write("select unnest([null, null])::integer as k", "append", contract=contract)


@pytest.mark.parametrize(
    "column",
    [
        pytest.param("null::struct(a integer)", id="struct"),
        pytest.param("null::integer[]", id="list"),
        pytest.param("null::map(varchar, integer)", id="map"),
        pytest.param("null::double", id="double"),
        pytest.param("null::varchar", id="text"),
    ],
)
def test_not_null_of_every_kind_of_column(lake: Lake, column: str) -> None:
    with pytest.raises(ContractError, match="not_null c: 1 row"):
        lake.write(f"select 1 as k, {column} as c", contract=Contract({"k": None, "c": None}, ["c"]))


def test_a_contract_says_everything_at_once(lake: Lake) -> None:
    contract = Contract({"k": "bigint", "missing": "varchar", "t": "text", "d": "numeric(9, 2)"})
    with pytest.raises(ContractError) as refused:
        lake.write("select 1 as k, 'a' as t, 1.5::decimal(9, 1) as d, 2 as extra", contract=contract)
    for part in (
        "k is INTEGER, declared BIGINT",
        "column missing is declared and not in the query",
        "d is DECIMAL(9,1), declared DECIMAL(9,2)",
        "column extra is in the query and not declared",
    ):
        assert part in str(refused.value)
    assert "t is" not in str(refused.value)


def test_a_file_without_rows_is_no_data_file(lake: Lake) -> None:
    lake.write(values([]))
    lake.check([])
    assert lake.files() == set()


def test_an_empty_table_has_its_columns(lake: Lake) -> None:
    lake.write(values([]), partitioned_by=["part"])
    lake.check([])
    assert [field.name for field in lake.table.schema().fields] == ["k", "part", "v"]
    assert isinstance(lake.table.schema().fields[1].field_type, StringType)
    lake.write(values([(1, None, 1)]), "merge", unique_key=["k"], partitioned_by=["part"])
    lake.check([(1, None, 1)])


@pytest.mark.parametrize(
    "name",
    some(
        4,
        [
            *("select", 'quo"te', "with space", "żółć"),
            *("a.b", "UPPER", "semi;colon", "-- dash"),
            *("filename", "%", "__file"),
        ],
    ),
)
def test_columns_may_have_any_name(lake: Lake, name: str) -> None:
    column = '"' + name.replace('"', '""') + '"'
    sql = f"select 1 as {column}, 'a' as t"
    for partitioned_by in ([], [name], [f"bucket(4, {name})"]):
        lake.write(sql, partitioned_by=partitioned_by, sorted_by=[name])
        lake.write(
            f"select 1 as {column}, 'b' as t", "merge", unique_key=[name], partitioned_by=partitioned_by
        )
        lake.check([(1, "b")])
    assert summary(lake.table)["total-records"] == "1"


@pytest.mark.parametrize("second", ["k", "K"])
def test_two_columns_of_one_name_are_refused(lake: Lake, second: str) -> None:
    with pytest.raises(ContractError, match=f"Column {second} occurs twice"):
        lake.write(f'select 1 as k, 2 as "{second}"')
    lake.write("select 1 as k, 2 as k_1")
    lake.check([(1, 2)])


def test_delete_insert_by_an_expression(lake: Lake) -> None:
    lake.write("select range as k, range // 10 as v from range(40)", partitioned_by=["truncate(20, k)"])
    before = lake.files()
    delta = "select unnest([105, 101]) as k, unnest([2, 2]) as v"
    result = lake.write(delta, "delete+insert", unique_key=["v % 3"], partitioned_by=["truncate(20, k)"])
    # 2 is 2 modulo 3, and so are the keys 20 to 29
    assert result.files_removed == 1
    assert len(before & lake.files()) == 1
    lake.check([(k, k // 10) for k in range(40) if k // 10 != 2] + [(105, 2), (101, 2)])


@pytest.mark.parametrize(
    "predicate",
    [
        pytest.param("DBT_INTERNAL_DEST.v < 25", id="the adapter's name for the table"),
        pytest.param("dbt_incremental_target.v < 25", id="its other name"),
        pytest.param("v < 25", id="no name"),
        pytest.param("DBT_INTERNAL_DEST.v < DBT_INTERNAL_SOURCE.v - 75", id="both sides"),
        pytest.param("v is null or v not in (25, 35)", id="no comparison"),
    ],
)
@pytest.mark.parametrize("keys", some(3, [["k"], ["k", "t"], ["k || t"]]), ids=" ".join)
def test_delete_insert_spares_what_the_predicates_do_not_hold_for(
    lake: Lake, keys: list[str], predicate: str
) -> None:
    for v in (5, 15, 25, 35):
        lake.write(f"select unnest(['a', 'b']) as k, 't' as t, {v} as v", "append")
    before = lake.files()
    result = lake.write(
        "select 'a' as k, 't' as t, 100 as v", "delete+insert", unique_key=keys, predicates=[predicate]
    )
    assert (result.files_removed, len(before & lake.files())) == (2, 2)
    kept = [("b", "t", v) for v in (5, 15, 25, 35)] + [("a", "t", v) for v in (25, 35)]
    lake.check([*kept, ("a", "t", 100)])


WAYS: tuple[list[str], ...] = ([], ["part"], ["bucket(2, k)"], ["truncate(3, k)", "part"], ["k"])
moves = st.tuples(st.sampled_from(WAYS), steps)


def after_overwrite(rows: list[Record], new: list[Record], way: list[str]) -> list[Record]:
    """Whole partitions of the way that is in force are replaced, whatever way the rows were written in."""
    if not way:
        return new
    bucket = transforms.BucketTransform[int](2).transform(IntegerType())

    def partition(row: Record) -> tuple[object, ...]:
        parts = {"part": row[1], "k": row[0], "truncate(3, k)": row[0] // 3, "bucket(2, k)": bucket(row[0])}
        return tuple(parts[entry] for entry in way)

    replaced = {partition(row) for row in new}
    return [row for row in rows if partition(row) not in replaced] + new


def write_in_changing_ways(lake: Lake, sequence: list[tuple[list[str], tuple[str, list[Record]]]]) -> None:
    rows = list[Record]()
    for way, (strategy, new) in sequence:
        lake.write(values(new), strategy, unique_key=["k"], partitioned_by=way)
        if strategy == "insert_overwrite" and lake.writes > 1:
            rows = after_overwrite(rows, new, way)
        else:
            rows = model(rows, strategy, new, partitioned=False) if lake.writes > 1 else new
        lake.check(rows)
        for part in PARTITIONS:
            expected = [row for row in rows if row[1] == part]
            condition = "part is null" if part is None else f"part = {text(part)}"
            assert sorted(map(str, lake.by_duckdb(condition))) == sorted(map(str, expected))
            row_filter = IsNull("part") if part is None else EqualTo("part", part)  # type: ignore[misc,call-arg]
            assert sorted(map(str, lake.by_pyiceberg(row_filter))) == sorted(map(str, expected))


@RARE
@given(st.lists(moves, min_size=2, max_size=5))
def test_partitioning_may_change_with_every_write(
    lakes: Iterator[Lake], sequence: list[tuple[list[str], tuple[str, list[Record]]]]
) -> None:
    write_in_changing_ways(next(lakes), sequence)


@pytest.mark.long
@settings(RARE, max_examples=300)
@given(st.lists(moves, min_size=2, max_size=7))
def test_partitioning_may_change_with_every_write_many_times(
    lakes: Iterator[Lake], sequence: list[tuple[list[str], tuple[str, list[Record]]]]
) -> None:
    write_in_changing_ways(next(lakes), sequence)


def test_an_overwrite_after_partitioning_was_changed_touches_only_files_with_its_rows(lake: Lake) -> None:
    for day in (1, 2, 3):
        lake.write(
            f"select date '2024-01-0{day}' as d, unnest([1, 2]) as k", "append", partitioned_by=["day(d)"]
        )
    before = lake.files()
    sql = "select date '2024-01-02' as d, 1 as k"
    result = lake.write(sql, "insert_overwrite", partitioned_by=["d", "k"])
    assert (result.files_removed, len(before & lake.files())) == (1, 2)
    assert {file.spec_id for file in live_files(lake.table)} == {0, 1}
    result = lake.write(
        sql + " union all select date '2024-01-02', 2", "insert_overwrite", partitioned_by=["d", "k"]
    )
    assert result.same_content
    result = lake.write(
        "select date '2024-01-02' as d, 7 as k", "insert_overwrite", partitioned_by=["day(d)"]
    )
    assert lake.table.spec().spec_id == 0  # the way of before, not a third one
    assert result.files_removed == 2
    lake.check([(dt.date(2024, 1, day), k) for day, k in ((1, 1), (1, 2), (2, 7), (3, 1), (3, 2))])
