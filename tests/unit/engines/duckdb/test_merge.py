"""``merge`` does to an Iceberg table what dbt-duckdb's own statement does to a native one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.harness.merges import COLUMNS, PREDICATES, Row, configs, fresh, stored
from tests.unit.engines.duckdb.dbt_macros import merge_statement

from slipway.errors import ConfigError, ContractError

if TYPE_CHECKING:
    from tests.unit.conftest import Lake

EMPTY = "select null::integer as k, null::varchar as part, null::bigint as v, null::bigint as w where false"


def rows(values: Sequence[Row], columns: Sequence[str] = COLUMNS) -> str:
    if not values:
        return EMPTY
    listed = ", ".join("(" + ", ".join("null" if v is None else repr(v) for v in row) + ")" for row in values)
    return f"{EMPTY} union all select * from (values {listed}) as t({', '.join(columns)})"


def native(lake: Lake, sql: str, config: Mapping[str, Any], predicates: Sequence[str]) -> list[Row] | None:
    """What dbt-duckdb makes of a native copy of the table; None when its statement is refused."""
    run = lake.connection.execute
    run(f"create or replace temp table native as from {lake.scan}")
    run(f"create or replace temp table delta as {sql}")
    statement = merge_statement(config, "native", "delta", ["k"], COLUMNS, predicates)
    try:
        run(statement)
    except duckdb.ConstraintException:  # an ERROR clause
        return None
    return run("from native").fetchall()


def as_dbt_duckdb(
    lake: Lake,
    files: Sequence[Sequence[Row]],
    new: Sequence[Row],
    config: Mapping[str, Any],
    predicates: Sequence[str],
    partitioned_by: Sequence[str],
) -> None:
    lake.write(rows([]), partitioned_by=partitioned_by)
    for content in files:
        lake.write(rows(content), "append", partitioned_by=partitioned_by)
    before = lake.by_duckdb()
    expected = native(lake, rows(new), config, predicates)
    options = {
        "unique_key": ["k"],
        "merge": config,
        "predicates": predicates,
        "partitioned_by": partitioned_by,
    }
    if expected is None:
        with pytest.raises(duckdb.ConstraintException, match="Merge error condition"):
            lake.write(rows(new), "merge", **options)
        assert lake.by_duckdb() == before
        return
    result = lake.write(rows(new), "merge", **options)
    lake.check(expected)
    assert not (result.same_content and sorted(map(str, expected)) != sorted(map(str, before)))


CASE = (
    st.lists(stored, min_size=1, max_size=3),
    fresh,
    configs,
    st.sampled_from(PREDICATES),
    st.sampled_from([[], ["part"], ["bucket(2, k)"]]),
)
PROPERTY = {
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@settings(max_examples=8, **PROPERTY)  # type: ignore[arg-type]
@given(*CASE)
def test_a_merge_is_what_dbt_duckdb_makes_of_a_native_table(
    lakes: Iterator[Lake],
    files: list[list[Row]],
    new: list[Row],
    config: dict[str, Any],
    predicates: list[str],
    partitioned_by: list[str],
) -> None:
    if "merge_on_using_columns" in config:
        predicates = []  # dbt-duckdb's statement with both is none that DuckDB parses
    as_dbt_duckdb(next(lakes), files, new, config, predicates, partitioned_by)


@pytest.mark.long
@settings(max_examples=600, **PROPERTY)  # type: ignore[arg-type]
@given(*CASE)
def test_many_merges(
    lakes: Iterator[Lake],
    files: list[list[Row]],
    new: list[Row],
    config: dict[str, Any],
    predicates: list[str],
    partitioned_by: list[str],
) -> None:
    if "merge_on_using_columns" in config:
        predicates = []
    as_dbt_duckdb(next(lakes), files, new, config, predicates, partitioned_by)


KEYED = "select unnest([1, 2, 3]) as k, unnest(['a', 'b', null]) as part, unnest([1, 2, 3]) as v, 0 as w"


@pytest.fixture
def filled(lake: Lake) -> Lake:
    """Three files of ten rows: keys 0 to 9, 10 to 19, 20 to 29."""
    for start in (0, 10, 20):
        lake.write(f"select {start} + range as k, range as v, 'x' as t from range(10)", "append")
    return lake


def touched(lake: Lake, sql: str, **options: Any) -> int:  # noqa: ANN401 - of a WriteRequest
    """Number of files that a merge replaces."""
    before = lake.files()
    result = lake.write(sql, "merge", unique_key=["k"], **options)
    assert len(before - lake.files()) == result.files_removed
    return result.files_removed


def test_every_row_of_a_key_is_updated_and_none_is_lost(lake: Lake) -> None:
    for part in ("a", "b"):
        lake.write(f"select unnest([1, 1, 2]) as k, '{part}' as part", "append")
    lake.write("select unnest([1, 3]) as k, 'c' as part", "merge", unique_key=["k"])
    lake.check([(1, "c")] * 4 + [(2, "a"), (2, "b"), (3, "c")])


def test_files_are_not_touched_where_no_clause_applies(filled: Lake) -> None:
    newer = {"merge_update_condition": "DBT_INTERNAL_SOURCE.v > DBT_INTERNAL_DEST.v"}
    delta = "select unnest([1, 12, 25, 40]) as k, unnest([1, 7, 5, 0]) as v, 'y' as t"
    assert touched(filled, delta, merge=newer) == 1
    found = filled.connection.execute(
        f"select k, v, t from {filled.scan} where t = 'y' order by k"
    ).fetchall()
    assert found == [(12, 7, "y"), (40, 0, "y")]  # not inserted again where it matched and nothing was done
    assert len(filled.by_duckdb()) == 31


def test_a_clause_for_rows_that_the_source_does_not_have_touches_only_their_files(filled: Lake) -> None:
    gone = {
        "merge_clauses": {
            "when_matched": [{"action": "do_nothing"}],
            "when_not_matched": [{"by": "source", "condition": "k between 3 and 11", "action": "delete"}],
        }
    }
    assert touched(filled, "select unnest([3, 10]) as k, 0 as v, 'y' as t", merge=gone) == 2
    assert [row[0] for row in filled.by_duckdb() if row[0] < 12] == [0, 1, 10, 2, 3]


def test_an_empty_source_deletes_what_it_does_not_have(filled: Lake) -> None:
    gone = {
        "merge_clauses": {"when_not_matched": [{"by": "source", "condition": "k >= 20", "action": "delete"}]}
    }
    assert touched(filled, "select 1 as k, 2 as v, 'y' as t where false", merge=gone) == 1
    assert len(filled.by_duckdb()) == 20
    assert touched(filled, "select 1 as k, 2 as v, 'y' as t where false") == 0


def test_keys_in_several_clusters_open_only_the_files_of_the_clusters(filled: Lake) -> None:
    """More keys than are named one by one, and their range spans the file in the middle."""
    hidden = next(f for f in filled.table.scan(row_filter="k = 15").plan_files()).file.file_path
    path = Path(hidden.removeprefix("file://"))
    keys = "select range as k, 1 as v, 'y' as t from range(-600, 5) union all select range, 1, 'y' from range(25, 40)"
    content = path.read_bytes()
    path.write_bytes(b"")  # a reader that opens it fails
    assert touched(filled, keys) == 2
    path.write_bytes(content)
    assert len(filled.by_duckdb()) == 30 + 600 + 10


def test_predicates_on_the_table_rule_out_files(filled: Lake) -> None:
    """Rows that a predicate spares are not matched: their keys come a second time, as in dbt-duckdb."""
    delta = "select unnest([5, 15, 25]) as k, 100 as v, 'y' as t"
    assert touched(filled, delta, predicates=["DBT_INTERNAL_DEST.k >= 20"]) == 1
    assert sorted(row[0] for row in filled.by_duckdb()).count(15) == 2


def test_the_query_may_bring_columns_that_only_clauses_use(lake: Lake) -> None:
    lake.write(KEYED)
    merge = {
        "merge_clauses": {
            "when_matched": [
                {"action": "delete", "condition": "DBT_INTERNAL_SOURCE.is_deleted"},
                {"action": "update", "mode": "explicit", "update": {"include": ["v"]}},
            ]
        }
    }
    lake.write(
        "select unnest([true, false, true]) as is_deleted, unnest([1, 2, 9]) as k, 20 as v",
        "merge",
        unique_key=["k"],
        merge=merge,
    )
    lake.check([(2, "b", 20, 0), (3, None, 3, 0), (9, None, 20, None)])


REFUSED: dict[str, dict[str, Any]] = {
    "merge_update_columns is 'v', expected a list of columns": {"merge_update_columns": "v"},
    "merge_update_condition is [1], expected a text": {"merge_update_condition": [1]},
    "merge_clauses is 'x', expected a mapping": {"merge_clauses": "x"},
    "column nothing is not in both the table and the query": {"merge_update_columns": ["nothing"]},
    "both columns to update and columns to exclude": {
        "merge_update_columns": ["v"],
        "merge_exclude_columns": ["w"],
    },
    "an update sets no column": {"merge_exclude_columns": ["k", "part", "v", "w"]},
    "merge_update_columns together with merge_clauses": {
        "merge_update_columns": ["v"],
        "merge_clauses": {"when_matched": [{"action": "delete"}]},
    },
    "merge_clauses.when_not_matched_by_source is unknown, use when_not_matched with by: source": {
        "merge_clauses": {"when_not_matched_by_source": [{"action": "delete"}]}
    },
    "merge_clauses.when_matched is [], expected a list of clauses": {"merge_clauses": {"when_matched": []}},
    "merge_clauses.when_matched holds 'delete', expected a mapping": {
        "merge_clauses": {"when_matched": ["delete"]}
    },
    "merge_clauses.when_matched has action upsert, expected one of update, delete, do_nothing, error": {
        "merge_clauses": {"when_matched": [{"action": "upsert"}]}
    },
    "merge_clauses.when_not_matched has action delete, expected one of insert, do_nothing, error": {
        "merge_clauses": {"when_not_matched": [{"action": "delete"}]}
    },
    "has by nobody, expected source or target": {
        "merge_clauses": {"when_not_matched": [{"action": "delete", "by": "nobody"}]}
    },
    "a clause has mode magic, expected one of by_name, by_position, star, explicit": {
        "merge_clauses": {"when_matched": [{"action": "update", "mode": "magic"}]}
    },
    "an explicit insert needs as many columns as values": {
        "merge_clauses": {
            "when_not_matched": [{"action": "insert", "mode": "explicit", "insert": {"columns": ["k"]}}]
        }
    },
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_configuration_that_cannot_be_carried_out_is_refused_before_anything_is_written(
    lake: Lake, message: str
) -> None:
    for strategy in ("replace", "merge"):
        if strategy == "merge":
            lake.write(KEYED)
        with pytest.raises(ConfigError) as refused:
            lake.write(KEYED, strategy, unique_key=["k"], merge=REFUSED[message])
        assert message in str(refused.value)
        assert str(refused.value).startswith("layer.thing: the merge cannot be carried out: ")
        assert "\n" not in str(refused.value)


def test_a_key_that_is_no_column_is_refused(lake: Lake) -> None:
    lake.write(KEYED)
    with pytest.raises(ConfigError, match="unique_key names k, v: no such column"):
        lake.write(KEYED, "merge", unique_key=["k, v"])
    with pytest.raises(ConfigError, match="merge_on_using_columns names nothing"):
        lake.write(KEYED, "merge", merge={"merge_on_using_columns": ["nothing"]})
    with pytest.raises(ConfigError, match="unique_key names k: no such column"):
        lake.write("select 1 as v", "merge", unique_key=["k"])


WRONG: dict[str, dict[str, Any]] = {
    'Ambiguous reference to column name "v"': {"merge": {"merge_update_condition": "v > 0"}},
    'does not have a column named "nothing"': {"predicates": ["DBT_INTERNAL_DEST.nothing > 0"]},
    "syntax error": {"merge": {"merge_insert_condition": "is is"}},
    "Unconditional WHEN MATCHED clause was already defined": {
        "merge": {"merge_clauses": {"when_matched": [{"action": "delete"}, {"action": "do_nothing"}]}}
    },
}


@pytest.mark.parametrize("message", WRONG)
def test_sql_that_duckdb_does_not_understand_is_reported_in_one_line(lake: Lake, message: str) -> None:
    lake.write(KEYED)
    with pytest.raises(ConfigError) as refused:
        lake.write(KEYED, "merge", unique_key=["k"], **WRONG[message])
    assert message in str(refused.value)
    assert str(refused.value).startswith("layer.thing: merge cannot be carried out: ")
    assert "\n" not in str(refused.value)
    (left,) = (
        lake.connection.execute(
            "select count(*) from duckdb_tables() where table_name like 'slipway%'"
        ).fetchone()
        or ()
    )
    assert left == 0


KINDS = {
    "integer": "({} * 1000003 - 30000000)::integer",
    "bigint": "{} * 10000000000000 - 3::bigint",
    "varchar": "lpad(({})::varchar, 3, 'zażółć')",
    "long varchar": "repeat('x', 300) || lpad(({})::varchar, 3, '0')",
    "date": "date '1969-12-01' + ({})::integer * 40",
    "timestamp": "timestamp '1969-12-31 23:59:59.999999' + to_hours({})",
    "timestamptz": "timestamptz '1969-12-31 23:59:59.999999+00' + to_hours({})",
    "time before Christ": "timestamp '0044-03-15 (BC) 12:00:00' + to_hours({})",
    "infinite": "case {} when 7 then 'infinity'::timestamp else timestamp '2024-01-01' + to_days(n::integer) end",
}


@settings(max_examples=15, **PROPERTY)  # type: ignore[arg-type]
@given(
    st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), min_size=2, max_size=5),
    st.lists(st.integers(0, 9), max_size=6, unique=True),
    st.sampled_from(sorted(KINDS)),
    st.booleans(),
)
def test_the_files_that_hold_a_key_and_no_others_are_rewritten(
    lakes: Iterator[Lake], files: list[list[int]], new: list[int], kind: str, many: bool
) -> None:
    lake = next(lakes)
    for numbers in files:
        lake.write(
            f"select {KINDS[kind].format('n')} as k, n, 0 as v from (select unnest({numbers}) as n)", "append"
        )
    # more than 500 keys are not named one by one; those beyond 100 are in no file
    numbers = new + (list(range(100, 620)) if many else [])
    source = f"(select unnest({numbers}::integer[]) as n)"
    sql = f"select {KINDS[kind].format('n')} as k, n, 1 as v from {source}"
    assert touched(lake, sql) == sum(bool(set(numbers_of) & set(new)) for numbers_of in files)
    expected = [n in new for numbers_of in files for n in numbers_of]
    found = lake.connection.execute(
        f"select count(*), sum(v) filter (where n < 100) from {lake.scan}"
    ).fetchone()
    known = {n for numbers_of in files for n in numbers_of}
    added = set(numbers) - known
    assert found is not None
    assert found[0] == len(expected) + len(added)
    assert (found[1] or 0) == sum(expected) + len(added & set(new))


def test_a_key_may_be_quoted(lake: Lake) -> None:
    lake.write('select unnest([1, 2]) as "the key", 0 as v')
    lake.write('select 2 as "the key", 5 as v', "merge", unique_key=['"the key"'])
    lake.check([(1, 0), (2, 5)])


def test_null_keys_are_refused_whatever_names_them(lake: Lake) -> None:
    lake.write(KEYED)
    with pytest.raises(ContractError, match="1 row has NULL in unique_key"):
        lake.write("select null::integer as k, 1 as v", "merge", merge={"merge_on_using_columns": ["k"]})


@pytest.mark.parametrize("zone", ["", "tz"])
def test_a_key_of_times_opens_only_the_files_of_these_times(lake: Lake, zone: str) -> None:
    lake.connection.execute("set TimeZone = 'Asia/Tokyo'")
    for day in (1, 2, 3):
        lake.write(f"select 7 as sensor, timestamp{zone} '2024-01-0{day} 12:00:00' as at, 0 as v", "append")
    (hidden,) = (f for f in lake.files() if f.endswith(".parquet") and "run-2" in f)
    path = Path(hidden.removeprefix("file://"))
    content = path.read_bytes()
    path.write_bytes(b"")  # a reader that opens it fails
    sql = f"select 7 as sensor, unnest(['2024-01-01 12:00:00', '2024-01-03 12:00:00'])::timestamp{zone} as at, 1 as v"
    assert lake.write(sql, "merge", unique_key=["sensor", "at"]).files_removed == 2
    path.write_bytes(content)
    lake.connection.execute("set TimeZone = 'UTC'")
    assert sorted(row[2] for row in lake.by_duckdb()) == [0, 1, 1]


@pytest.mark.parametrize("partitioned_by", [[], ["bucket(4, d)"]], ids=["whole", "bucket"])
@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamptz"])
def test_infinity_is_found_by_its_key(lake: Lake, kind: str, partitioned_by: list[str]) -> None:
    values = ", ".join(f"('{value}'::{kind})" for value in ("infinity", "-infinity", "2024-05-01"))
    for number in range(2):
        lake.write(
            f"select d, {number} as v from (values {values}) as t(d)",
            "merge",
            unique_key=["d"],
            partitioned_by=partitioned_by,
        )
    assert lake.connection.execute(f"select count(*), sum(v) from {lake.scan}").fetchall() == [(3, 3)]
