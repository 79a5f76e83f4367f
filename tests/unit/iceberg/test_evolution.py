"""How schemas change without losing what readers hold on to: field ids, and every value."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.schema import Schema
from pyiceberg.table.update import AddSchemaUpdate, SetCurrentSchemaUpdate
from pyiceberg.types import (
    DecimalType,
    DoubleType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
)

from slipway.errors import ConfigError, ContractError
from slipway.iceberg.schema import ON_SCHEMA_CHANGE, evolved, replaced
from slipway.iceberg.snapshots import Staging

if TYPE_CHECKING:
    from tests.unit.conftest import Lake


def schema(**columns: tuple[int, IcebergType]) -> Schema:
    return Schema(*(NestedField(number, name, kind) for name, (number, kind) in columns.items()))


def ids(found: Schema) -> dict[str, int]:
    return {field.name: field.field_id for field in found.fields}


BASE = schema(a=(1, IntegerType()), b=(2, StringType()), c=(5, IntegerType()))


def test_replacing_keeps_the_id_of_what_stays() -> None:
    query = schema(c=(1, LongType()), b=(2, IntegerType()), new=(3, StringType()))
    found = replaced(BASE, query, 9)
    # c was widened and stays; b has another type and is another column; the order is the query's
    assert ids(found) == {"c": 5, "b": 10, "new": 11}
    assert [str(field.field_type) for field in found.fields] == ["long", "int", "string"]


def test_replacing_narrows_to_what_the_query_says() -> None:
    wide = schema(a=(1, LongType()))
    found = replaced(wide, schema(a=(1, IntegerType())), 4)
    assert (ids(found), str(found.fields[0].field_type)) == ({"a": 5}, "int")


def test_nested_columns_get_ids_that_were_never_used() -> None:
    nested = ListType(2, StructType(NestedField(3, "x", StringType())))
    found = replaced(BASE, Schema(NestedField(1, "n", nested)), 20)
    kind = found.fields[0].field_type
    assert isinstance(kind, ListType)
    assert isinstance(kind.element_type, StructType)
    assert (found.fields[0].field_id, kind.element_id, kind.element_type.fields[0].field_id) == (21, 22, 23)


QUERY = schema(a=(1, LongType()), c=(2, IntegerType()), d=(3, DoubleType()))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        pytest.param("ignore", {"a": 1, "b": 2, "c": 5}, id="ignore"),
        pytest.param("append_new_columns", {"a": 1, "b": 2, "c": 5, "d": 10}, id="append"),
        pytest.param("sync_all_columns", {"a": 1, "c": 5, "d": 10}, id="sync"),
    ],
)
def test_evolution_by_mode(mode: str, expected: dict[str, int]) -> None:
    found = evolved(BASE, QUERY, 9, mode, "m")
    assert ids(found) == expected
    assert isinstance(found.fields[0].field_type, LongType)


def test_evolution_that_fails_says_everything() -> None:
    with pytest.raises(ContractError, match=r"m: .*new d; missing b; a int -> long"):
        evolved(BASE, QUERY, 9, "fail", "m")
    assert evolved(BASE, BASE, 9, "fail", "m").as_struct() == BASE.as_struct()


def test_a_type_that_cannot_change_is_refused() -> None:
    with pytest.raises(ContractError, match="column b is string in the table and int in the query"):
        evolved(BASE, schema(b=(1, IntegerType())), 9, "ignore", "m")


def test_names_are_the_same_in_any_case() -> None:
    assert ids(
        evolved(BASE, schema(A=(1, IntegerType()), B=(2, StringType())), 9, "sync_all_columns", "m")
    ) == {
        "a": 1,
        "b": 2,
    }


def struct(first: int, *names: str) -> StructType:
    return StructType(*(NestedField(first + n, name, StringType()) for n, name in enumerate(names)))


def fields_of(kind: IcebergType) -> dict[str, int]:
    assert isinstance(kind, StructType)
    return {field.name: field.field_id for field in kind.fields}


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        pytest.param("append_new_columns", {"x": 2, "y": 3, "z": 10}, id="append"),
        pytest.param("sync_all_columns", {"y": 3, "z": 10}, id="sync"),
    ],
)
def test_fields_of_a_struct_follow_the_mode(mode: str, expected: dict[str, int]) -> None:
    base, query = schema(s=(1, struct(2, "x", "y"))), schema(s=(1, struct(2, "z", "Y")))
    assert fields_of(evolved(base, query, 9, mode, "m").fields[0].field_type) == expected


def test_a_field_that_would_be_lost_is_refused() -> None:
    base, query = schema(s=(1, struct(2, "x", "y"))), schema(s=(1, struct(2, "x", "z")))
    with pytest.raises(ContractError, match=r"s\.z is not in the table and would be lost"):
        evolved(base, query, 9, "ignore", "m")
    with pytest.raises(ContractError, match=r"new s\.z; missing s\.y"):
        evolved(base, query, 9, "fail", "m")
    with pytest.raises(ContractError, match="column s has none of the table's fields"):
        evolved(base, schema(s=(1, struct(2, "z"))), 9, "sync_all_columns", "m")
    with pytest.raises(ConfigError, match="on_schema_change appendnew: unknown"):
        evolved(base, base, 9, "appendnew", "m")


def test_what_cannot_change_is_reported_at_once() -> None:
    base = schema(
        s=(1, StructType(NestedField(2, "x", IntegerType()), NestedField(3, "y", ListType(4, StringType())))),
        m=(5, MapType(6, IntegerType(), 7, DecimalType(9, 2))),
    )
    query = schema(
        s=(1, StructType(NestedField(2, "x", StringType()), NestedField(3, "y", StringType()))),
        m=(5, MapType(6, LongType(), 7, DecimalType(9, 3))),
    )
    with pytest.raises(ContractError) as refused:
        evolved(base, query, 9, "append_new_columns", "m")
    for part in (
        "column s.x is int in the table and string in the query",
        "column s.y is list<string> in the table and string in the query",
        "the keys of the map m cannot change from int to long",
        "column m.value is decimal(9, 2) in the table and decimal(9, 3) in the query",
    ):
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("base", "part"),
    [
        pytest.param(
            Schema(NestedField(1, "k", LongType()), NestedField(2, "r", LongType(), required=True)),
            "r is required in the table and the query does not have it",
            id="missing",
        ),
        pytest.param(
            Schema(NestedField(1, "k", StructType(NestedField(2, "x", LongType(), required=True)))),
            r"k\.x is required in the table",
            id="in-a-struct",
        ),
        pytest.param(
            Schema(NestedField(1, "k", ListType(2, LongType(), element_required=True))),
            r"k\.element is required in the table",
            id="in-a-list",
        ),
        pytest.param(
            Schema(NestedField(1, "k", MapType(2, LongType(), 3, LongType(), value_required=True))),
            r"k\.value is required in the table",
            id="in-a-map",
        ),
    ],
)
def test_columns_that_another_tool_made_required_are_kept_so(base: Schema, part: str) -> None:
    query = Schema(base.fields[0])
    with pytest.raises(ContractError, match=part):
        evolved(base, query, 9, "ignore", "m")
    # a full build makes everything optional again
    found = replaced(base, query, 9).fields[0]
    assert (found.field_id, found.required, "required" in str(found.field_type)) == (1, False, False)
    match found.field_type:
        case ListType(element_required=required) | MapType(value_required=required):
            assert not required


def test_a_name_inside_a_column_is_never_used_for_another_field() -> None:
    base, without = schema(s=(1, struct(2, "x", "y"))), schema(s=(1, struct(2, "x")))
    with pytest.raises(ContractError, match="in column s a field was renamed, or removed and added again"):
        evolved(without, base, 9, "append_new_columns", "m", [base, without])
    renamed = schema(s=(1, StructType(NestedField(2, "other", StringType()))))
    with pytest.raises(ContractError, match="in column s a field was renamed"):
        evolved(renamed, renamed, 9, "ignore", "m", [without, renamed])
    # a full build gives the column ids of its own, and increments are possible again
    found = replaced(renamed, renamed, 9, [without, renamed])
    assert ids(found) == {"s": 10}
    assert evolved(found, renamed, 11, "ignore", "m", [without, renamed, found]) == found


# ------------------------------------------------------------------------------------ what the readers see

POOL = {  # field: narrow and wide type, and a value that both hold
    "a": ("integer", "bigint", 7),
    "b": ("varchar", "varchar", "x"),
    "c": ("decimal(9, 2)", "decimal(12, 2)", Decimal("1.25")),
    "d": ("float", "double", 1.5),
}
shapes = st.permutations(list(POOL)).flatmap(
    lambda names: st.tuples(st.just(names), st.integers(1, len(names)), st.booleans())
)
steps = st.tuples(shapes, st.sampled_from(ON_SCHEMA_CHANGE), st.sampled_from(["append", "merge"]))
QUIET: Any = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


class Model:
    """What a table with a struct, a list and a map of structs holds, by the rules of the documentation."""

    def __init__(self, fields: list[str], *, wide: bool) -> None:
        self.fields, self.gone = fields, set[str]()
        self.earlier = [set(fields)]
        self.wide = dict.fromkeys(fields, wide)
        self.rows: dict[int, dict[str, Any]] = {}

    def takes(self, names: list[str], mode: str, *, wide: bool) -> bool:
        added = [name for name in names if name not in self.fields]
        if mode == "fail":
            same = all(self.wide[name] == wide or name == "b" for name in names if name in self.fields)
            return set(names) == set(self.fields) and same
        if mode == "ignore":
            return not added
        kept = set(names) | (set(self.fields) if mode == "append_new_columns" else set())
        read = all(not kept.isdisjoint(fields) for fields in self.earlier)
        return read and not set(names).isdisjoint(self.fields) and self.gone.isdisjoint(added)

    def change(self, names: list[str], mode: str, *, wide: bool) -> None:
        if mode == "sync_all_columns":
            self.gone |= set(self.fields) - set(names)
            self.fields = [name for name in self.fields if name in names]
        self.fields = self.fields + [name for name in names if name not in self.fields]
        self.earlier.append(set(self.fields))
        for name in names:
            self.wide[name] = self.wide.get(name, False) or wide
        for row in self.rows.values():
            for name in self.gone & row.keys():
                del row[name]

    def expected(self) -> list[tuple[Any, ...]]:
        found = []
        for key, row in self.rows.items():
            value = {name: row.get(name) for name in self.fields}
            found.append((key, value, [value, value], {"one": value}))
        return found


def query(key: int, names: list[str], *, wide: bool) -> str:
    items = ", ".join(f"{name} := '{POOL[name][2]}'::{POOL[name][wide]}" for name in names)
    value = f"struct_pack({items})"
    return f"select {key} as k, {value} as s, [{value}, {value}] as l, map {{'one': {value}}} as m"


def evolve(lake: Lake, first: Any, changes: list[Any]) -> None:  # noqa: ANN401 - of a strategy
    names, count, wide = first
    model = Model(list(names[:count]), wide=wide)
    lake.write(query(0, model.fields, wide=wide))
    model.rows[0] = {name: POOL[name][2] for name in model.fields}
    for (names, count, wide), mode, strategy in changes:
        fields, key = list(names[:count]), len(model.rows) * (strategy == "append")
        options: dict[str, Any] = {"unique_key": ["k"], "on_schema_change": mode}
        before = lake.table.metadata_location
        if not model.takes(fields, mode, wide=wide):
            with pytest.raises(ContractError):
                lake.write(query(key, fields, wide=wide), strategy, **options)
            assert lake.table.metadata_location == before
            continue
        lake.write(query(key, fields, wide=wide), strategy, **options)
        model.change(fields, mode, wide=wide)
        model.rows[key] = {name: POOL[name][2] for name in fields}
        lake.check(model.expected(), datafusion=False)  # it refuses files from before a field was added
    for kind in (lake.table.schema().find_type("s"), lake.table.schema().find_type("l.element")):
        assert isinstance(kind, StructType)
        types = {"a": ("int", "long"), "b": ("string",) * 2, "d": ("float", "double")}
        types["c"] = ("decimal(9, 2)", "decimal(12, 2)")
        assert [str(field.field_type) for field in kind.fields] == [
            types[name][model.wide[name]] for name in model.fields
        ]


@settings(max_examples=8, derandomize=True, **QUIET)
@given(shapes, st.lists(steps, min_size=1, max_size=3))
def test_structs_evolve_and_no_value_is_lost(lakes: Iterator[Lake], first: Any, changes: list[Any]) -> None:  # noqa: ANN401
    evolve(next(lakes), first, changes)


@pytest.mark.long
@settings(max_examples=300, **QUIET)
@given(shapes, st.lists(steps, min_size=1, max_size=6))
def test_structs_evolve_and_no_value_is_lost_many_times(
    lakes: Iterator[Lake],
    first: Any,  # noqa: ANN401
    changes: list[Any],
) -> None:
    evolve(next(lakes), first, changes)


@pytest.mark.parametrize("shape", ["{}", "[{}]", "map {{'k': {}}}", "{{x: 1, y: {}}}"])
def test_a_struct_keeps_a_field_that_its_oldest_files_have(lake: Lake, shape: str) -> None:
    def sql(key: int, value: str) -> str:
        return f"select {key} as k, {shape.format(value)} as s"

    lake.write(sql(1, "{a: 1}"))
    lake.write(sql(2, "{a: 2, b: 2}"), "append", on_schema_change="append_new_columns")
    before = lake.table.metadata_location
    with pytest.raises(
        ContractError, match=r"in column s a struct keeps none of the fields that older files have"
    ):
        lake.write(sql(3, "{b: 3}"), "append", on_schema_change="sync_all_columns")
    assert lake.table.metadata_location == before
    for _ in range(2):  # a second time on columns that the first one began anew
        lake.write(sql(3, "{b: 3}"))
        lake.write(sql(4, "{b: 4, c: 4}"), "append", on_schema_change="append_new_columns")
        assert lake.connection.execute(f"select k from {lake.scan} order by k").fetchall() == [(3,), (4,)]
        assert lake.table.scan().to_arrow().num_rows == 2
        lake.write(sql(5, "{c: 5}"))
        lake.write(sql(6, "{c: 6, b: 6}"), "append", on_schema_change="append_new_columns")
        assert lake.connection.execute(f"select k from {lake.scan} order by k").fetchall() == [(5,), (6,)]


def test_files_that_have_no_column_of_the_table_any_more(lake: Lake) -> None:
    """Rows of NULL; the third reader takes the first column of such files for one that it does not find (0015)."""
    lake.write("select 1 as a")
    lake.write("select 2 as a, 3 as b", "append", on_schema_change="append_new_columns")
    lake.write("select 4 as b", "append", on_schema_change="sync_all_columns")
    lake.check([(None,), (3,), (4,)], datafusion=False)
    lake.write("select 4 as b, 1 as c", "merge", unique_key=["b"], on_schema_change="sync_all_columns")
    lake.check([(None, None), (3, None), (4, 1)], datafusion=False)
    lake.write("select 9 as c", "append", on_schema_change="sync_all_columns")
    lake.write("select 5 as c", "delete+insert", unique_key=["c"], on_schema_change="sync_all_columns")
    lake.check([(None,), (None,), (1,), (5,), (9,)], datafusion=False)


def test_null_structs_stay_null_when_fields_come_and_go(lake: Lake) -> None:
    lake.write("select unnest([1, 2]) as k, unnest([null, {a: 1, b: 2}]) as s")
    lake.write("select 3 as k, {b: 3, c: 4} as s", "append", on_schema_change="sync_all_columns")
    lake.check([(1, None), (2, {"b": 2, "c": None}), (3, {"b": 3, "c": 4})], datafusion=False)
    lake.write("select 4 as k, {B: 5, C: 6} as s", "merge", unique_key=["k"])
    lake.write("select 2 as k, {C: 7, B: 8} as s", "merge", unique_key=["k"])
    lake.check(
        [(1, None), (2, {"b": 8, "c": 7}), (3, {"b": 3, "c": 4}), (4, {"b": 5, "c": 6})], datafusion=False
    )


def test_an_older_snapshot_keeps_its_schema(lake: Lake) -> None:
    lake.write("select 1 as k, {a: 1, b: 2} as s")
    first = lake.table.current_snapshot()
    assert first is not None
    lake.write(
        "select 2::bigint as k, {b: 3::bigint, c: 4} as s", "append", on_schema_change="sync_all_columns"
    )
    lake.write("select 'other' as k", "replace")
    path = lake.table.metadata_location.removeprefix("file://")
    then = lake.connection.execute(f"from iceberg_scan('{path}', snapshot_from_id = {first.snapshot_id})")
    assert then.fetchall() == [(1, {"a": 1, "b": 2})]
    assert lake.table.scan(snapshot_id=first.snapshot_id).to_arrow().to_pylist() == [
        {"k": 1, "s": {"a": 1, "b": 2}}
    ]


def test_a_field_that_another_tool_renamed_is_not_mixed_up(lake: Lake) -> None:
    lake.write("select 1 as k, {a: 1, b: 2} as s")
    base = lake.table.metadata
    key, column = base.schema().fields
    kind = column.field_type
    assert isinstance(kind, StructType)
    swapped = StructType(
        *(NestedField(f.field_id, {"a": "b", "b": "a"}[f.name], f.field_type) for f in kind.fields)
    )
    transaction = Staging(lake.table)
    renamed = Schema(key, NestedField(column.field_id, "s", swapped), schema_id=1)
    transaction._stage((AddSchemaUpdate(schema=renamed), SetCurrentSchemaUpdate(schema_id=-1)))  # type: ignore[call-arg]
    lake.base = lake.tables.stage(lake.table, transaction, new=False).table
    assert lake.by_duckdb() == [(1, {"b": 1, "a": 2})]
    for strategy in ("append", "merge", "insert_overwrite"):
        with pytest.raises(ContractError, match="in column s a field was renamed"):
            lake.write("select 1 as k, {a: 2, b: 1} as s", strategy, unique_key=["k"])
    lake.write("select 1 as k, {a: 2, b: 1} as s")
    lake.write("select 2 as k, {a: 3, b: 4} as s", "merge", unique_key=["k"])
    lake.check([(1, {"a": 2, "b": 1}), (2, {"a": 3, "b": 4})])


PROMOTIONS = [
    pytest.param(
        narrow,
        wide,
        asked,
        way,
        id=f"{name}-{way or 'unpartitioned'}",
        marks=[pytest.mark.long] if at % 2 else [],
    )
    for name, narrow, wide, asked, ways in (
        (
            "int-to-long",
            "unnest([-5, 1, 7, null])",
            "5000000000",
            ["7", "0"],
            ["", "c", "bucket(8, c)", "truncate(10, c)"],
        ),
        (
            "float-to-double",
            "unnest([-1.5, 0.1, 7.5, null])::float",
            "1e300::double",
            ["7.5", "0"],
            [""],
        ),
        *(
            (
                f"decimal-{old}-to-{new}",
                f"unnest([-1.25, 0.01, 7.5, null])::decimal({old}, 2)",
                f"{'9' * (new - 2)}.25::decimal({new}, 2)",
                ["7.50", "0.00"],
                ["", "c", "bucket(8, c)", *(["truncate(10, c)"] if old == 10 else [])],
            )
            for old, new in ((4, 9), (9, 18), (10, 18), (18, 38))
        ),
    )
    for at, way in enumerate(ways)
]


@pytest.mark.parametrize(("narrow", "wide", "asked", "partition"), PROMOTIONS)
def test_files_from_before_a_promotion_are_found_by_every_reader(
    lake: Lake, narrow: str, wide: str, asked: list[str], partition: str
) -> None:
    """Bounds and partition values of the older files are still of the narrow type."""
    by = [partition] if partition else []
    lake.write(f"select {narrow} as c", partitioned_by=by)
    lake.write(f"select {wide} as c", "append", partitioned_by=by)
    values = [row[0] for row in lake.by_duckdb()]
    assert len(values) == 5
    for text in asked:
        number = float(text)
        for sign, expected in (
            ("=", [v for v in values if v is not None and v == number]),
            (">", [v for v in values if v is not None and v > number]),
            ("<=", [v for v in values if v is not None and v <= number]),
        ):
            condition = f"c {sign} {text}"
            assert len(lake.by_duckdb(condition)) == len(expected), condition
            assert len(lake.by_pyiceberg(condition)) == len(expected), condition
            assert len(lake.by_datafusion(condition)) == len(expected), condition
    lake.write(f"select {wide} as c", "insert_overwrite", partitioned_by=by)
    assert len(lake.by_duckdb("c is not null")) >= 1
    assert lake.by_duckdb() == lake.by_pyiceberg() == lake.by_datafusion()


def test_a_narrower_query_is_cast_upward(lake: Lake) -> None:
    lake.write("select 5000000000 as k, [{a: 1.5::double}] as l, map {1: 1.25::decimal(12, 2)} as m")
    sql = "select 3::tinyint as k, [{a: 2.5::float}] as l, map {2::tinyint: 7.50::decimal(4, 2)} as m"
    for mode in ("ignore", "append_new_columns", "sync_all_columns"):
        lake.write(sql, "merge", unique_key=["k"], on_schema_change=mode)
        lake.check(
            [
                (5000000000, [{"a": 1.5}], {1: Decimal("1.25")}),
                (3, [{"a": 2.5}], {2: Decimal("7.50")}),
            ]
        )


def test_a_column_of_which_only_the_case_changed_stays_the_column(lake: Lake) -> None:
    lake.write("select 1 as k, {a: 1} as s, 'x' as part", partitioned_by=["part"])
    before = [field.field_id for field in lake.table.schema().fields]
    lake.write("select 2 as K, {A: 2} as S, 'y' as PART", "append", partitioned_by=["PART"])
    assert [field.name for field in lake.table.schema().fields] == ["k", "s", "part"]
    lake.check([(1, {"a": 1}, "x"), (2, {"a": 2}, "y")])
    lake.write("select 3 as K, 'z' as Part", "replace", partitioned_by=["pArt"])
    assert [(field.name, field.field_id) for field in lake.table.schema().fields] == [
        ("K", before[0]),
        ("Part", before[2]),
    ]
    lake.check([(3, "z")])
