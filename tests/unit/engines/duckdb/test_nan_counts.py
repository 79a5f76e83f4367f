"""NaN are counted exactly, and only what holds none has an upper bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pyarrow import parquet
from tests.conftest import some

if TYPE_CHECKING:
    from tests.unit.conftest import Lake

ROWS = 250_000  # three row groups


@pytest.mark.parametrize("kind", ["float", "double"])
@pytest.mark.parametrize(
    "at",
    some(2, [(130_000,), (), (5, 6, 200_000), (0,), range(ROWS), (ROWS - 1,)]),
    ids=lambda at: str(at)[:20],
)
def test_nan_of_any_row_group_are_counted(lake: Lake, kind: str, at: Any) -> None:  # noqa: ANN401 - a range or a tuple
    holds = (
        f"i between {at[0]} and {at[-1]}"
        if isinstance(at, range)
        else f"i in (-1, {', '.join(map(str, at)) or -1})"
    )
    value = f"case when {holds} then 'nan' else (i / 2)::{kind} end"
    lake.write(
        f"select i, x, {{x: x, 'o''f': null::{kind}}} as s, [x] as l, null::{kind} as n "
        f"from (select i, {value} as x from range({ROWS}) as rows(i))"
    )
    (task,) = lake.table.scan().plan_files()
    assert parquet.ParquetFile(task.file.file_path.removeprefix("file://")).num_row_groups > 1
    schema = lake.table.schema()
    ids = {name: schema.find_field(name).field_id for name in ("x", "s.x", "s.o'f", "n")}
    counts = {ids["x"]: len(at), ids["s.x"]: len(at), ids["s.o'f"]: 0, ids["n"]: 0}
    assert task.file.nan_value_counts == counts
    bounded = {ids["x"], ids["s.x"]} if not at else set()
    floats = set(ids.values())
    assert floats & task.file.upper_bounds.keys() == bounded
    # a value that is no NaN is always found, and so is a NaN, which is the largest of all
    for condition in ("x > 1e9", "s.x > 1e9", "isnan(x)", "x = 'nan'"):
        found = lake.connection.execute(f"select count(*) from {lake.scan} where {condition}").fetchone()
        assert found == (len(at),), condition


def test_files_are_skipped_by_the_upper_bound_of_a_float(lake: Lake) -> None:
    for start in range(0, 50, 10):
        lake.write(f"select (range + {start})::double as x from range(10)", "append")
    lake.write("select unnest([1, 'nan'::double]) as x", "append")
    files = [len(list(lake.table.scan(row_filter=f"x {sign} 25").plan_files())) for sign in (">=", "<", "==")]
    # nothing is known of the largest value of the file with a NaN: only its smallest lets it be skipped
    assert files == [4, 4, 2]
    assert len(lake.by_duckdb("x >= 25")) == 26


def test_every_written_file_is_counted_by_itself(lake: Lake) -> None:
    lake.write(
        "select i % 3 as p, case when i % 3 = 1 and i < 30 then 'nan' else i::double end as x from range(90) as rows(i)",
        partitioned_by=["p"],
    )
    found = {task.file.partition[0]: task.file.nan_value_counts for task in lake.table.scan().plan_files()}
    assert found == {0: {2: 0}, 1: {2: 10}, 2: {2: 0}}
