"""Batches replace their windows of time, in any order and number, and make one snapshot."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import some

from slipway.engines.duckdb.batches import BatchedTable, Window, covers, joined, without
from slipway.engines.duckdb.constraints import Contract, Held
from slipway.engines.duckdb.request import Remade, WriteRequest, WriteResult
from slipway.errors import ConfigError, ContractError
from slipway.iceberg.snapshots import StagedTable
from slipway.names import TableName

if TYPE_CHECKING:
    from tests.unit.conftest import Lake, Row

DAY = dt.timedelta(days=1)
FIRST = dt.datetime(2024, 2, 28, tzinfo=dt.UTC)
PROPERTY: dict[str, Any] = {
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


def request(lake: Lake, sql: str, **options: Any) -> WriteRequest:  # noqa: ANN401 - of a WriteRequest
    number = lake.writes
    return WriteRequest(
        TableName("layer", "thing"),
        sql,
        "microbatch",
        run_id=f"run-{number}",
        release=f"release-{number}",
        **options,
    )


class Run:
    """One run's batches on a table."""

    def __init__(self, lake: Lake, *, full: bool = False, candidate: StagedTable | None = None) -> None:
        lake.writes += candidate is None
        self.lake, self.base = lake, lake.base if candidate is None else self._base_of(lake)
        self.table = BatchedTable(lake.tables, self.base, candidate, full=full)

    @staticmethod
    def _base_of(lake: Lake) -> Any:  # noqa: ANN401 - Table or None
        return lake.__dict__["published"]

    def batch(
        self,
        sql: str,
        start: dt.datetime,
        end: dt.datetime,
        *,
        last: bool = False,
        **options: Any,  # noqa: ANN401
    ) -> int:
        self.last = request(self.lake, sql, **options)
        window = Window("at", start, end)
        return self.table.write(self.lake.connection.cursor(), self.last, window, last=last)

    def stage(self, column: str = "", spans: Sequence[tuple[str, str]] = ()) -> WriteResult:
        self.lake.__dict__["published"] = self.base
        result = self.table.stage(self.last, column, spans)
        self.lake.base = result.staged.table
        return result


def at(day: int, hour: int = 0) -> dt.datetime:
    return FIRST + day * DAY + dt.timedelta(hours=hour)


def rows(values: list[tuple[int, dt.datetime | None]], kind: str = "timestamptz") -> str:
    texts = [(k, "null" if t is None else f"'{t.isoformat()}'::{kind}") for k, t in values]
    listed = ", ".join(f"({k}, {t})" for k, t in texts)
    empty = f"select null::integer as k, null::{kind} as at where false"
    return f"{empty} union all select * from (values {listed})" if values else empty


def found(lake: Lake) -> list[Row]:
    """Both readers' rows, times as whole hours since the first day."""
    assert lake.by_duckdb() == lake.by_pyiceberg()
    hours = "datediff('hour', timestamp '2024-02-28', \"at\" at time zone 'UTC')"
    if str(lake.table.schema().find_type("at")) != "timestamptz":
        hours = "datediff('hour', timestamp '2024-02-28', \"at\"::timestamp)"
    return lake.connection.execute(f"select k, {hours} from {lake.scan} order by all").fetchall()


def test_batches_of_a_run_are_one_snapshot(lake: Lake) -> None:
    run = Run(lake)
    for day in range(4):
        source = rows([(d, at(d, 5)) for d in range(4)])  # a batch takes of the query what is its own
        assert run.batch(source, at(day), at(day + 1)) == 1
    result = run.stage()
    assert found(lake) == [(d, 24 * d + 5) for d in range(4)]
    assert len(lake.table.metadata.snapshots) == 1
    assert lake.table.metadata.refs["release-1"].snapshot_id == result.staged.snapshot_id
    assert (result.rows_written, result.files_added, result.staged.base) == (4, 4, None)


def test_a_batch_replaces_its_window_and_leaves_files_of_others(lake: Lake) -> None:
    run = Run(lake)
    for day in range(4):
        run.batch(rows([(d, at(d, 5)) for d in range(4)]), at(day), at(day + 1))
    run.stage()
    before, published = lake.files(), lake.table
    run = Run(lake)
    run.batch(rows([(70, at(1, 0)), (71, at(1, 23)), (72, at(2))]), at(1), at(2))
    result = run.stage()
    assert found(lake) == [(0, 5), (2, 53), (3, 77), (70, 24), (71, 47)]
    assert (len(before & lake.files()), result.files_removed, result.files_added) == (3, 1, 1)
    assert result.staged.base == published.metadata_location
    assert [s.snapshot_id for s in lake.table.metadata.snapshots][:-1] == [
        s.snapshot_id for s in published.metadata.snapshots
    ]
    # the same batch again is the same content, and more of them are still one snapshot
    run = Run(lake)
    run.batch(rows([(70, at(1, 0)), (71, at(1, 23))]), at(1), at(2))
    assert run.stage().same_content
    run.batch(rows([(9, at(2, 1))]), at(2), at(3))
    assert not run.stage().same_content
    run.batch(rows([(9, at(2, 1))]), at(2), at(3))
    run.batch(rows([]), at(3), at(4))
    run.stage()
    assert found(lake) == [(0, 5), (9, 49), (70, 24), (71, 47)]
    assert len(lake.table.metadata.snapshots) == 3


def test_a_file_with_rows_of_several_windows_keeps_the_others(lake: Lake) -> None:
    lake.write(rows([(d, at(d, h)) for d in range(3) for h in (0, 23)] + [(9, None)]))
    run = Run(lake)
    run.batch(rows([(100, at(1, 12))]), at(1), at(2))
    run.batch(rows([]), at(2), at(3))
    run.stage()
    assert found(lake) == [(0, 0), (0, 23), (9, None), (100, 36)]
    digest = lake.table.current_snapshot()
    assert digest is not None
    lake.check(lake.by_duckdb())


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz", "date"])
def test_the_borders_are_utc_whatever_the_session_thinks(lake: Lake, kind: str) -> None:
    lake.connection.execute("set TimeZone = 'America/Los_Angeles'")
    try:
        run = Run(lake)
        values = [(h, at(0, h)) for h in range(-2, 27)]
        source = rows([(k, t.replace(tzinfo=None) if kind != "timestamptz" else t) for k, t in values], kind)
        run.batch(source, at(0), at(1))
        run.stage()
        assert len(found(lake)) == 24
        assert [row[0] for row in found(lake)] == list(range(24))
    finally:
        lake.connection.execute("set TimeZone = 'UTC'")


def test_months_and_hours(lake: Lake) -> None:
    months = [dt.datetime(2024, month, 1, tzinfo=dt.UTC) for month in (1, 2, 3)]
    run = Run(lake)
    days = "range(timestamp '2024-01-01', timestamp '2024-04-01', interval 1 day)"
    source = f"select 1 as k, range at time zone 'UTC' as at from {days}"
    assert [
        run.batch(source, *span)
        for span in zip(months, [*months[1:], dt.datetime(2024, 4, 1, tzinfo=dt.UTC)], strict=True)
    ] == [31, 29, 31]
    run.stage()
    run = Run(lake)
    run.batch(rows([(900, at(1, 3))]), at(1, 3), at(1, 4))
    run.stage()
    assert len(found(lake)) == 92


def test_a_resumed_candidate_goes_on_as_one_snapshot(lake: Lake) -> None:
    for _ in range(2):
        run = Run(lake)
        run.batch(rows([(0, at(0, 1))]), at(0), at(1))
        run.batch(rows([(1, at(1, 1))]), at(1), at(2))
        first = run.stage()
        snapshots = len(lake.table.metadata.snapshots)
        run = Run(lake, candidate=first.staged)
        run.batch(rows([(7, at(1, 7))]), at(1), at(2))
        run.batch(rows([(2, at(2, 1))]), at(2), at(3))
        result = run.stage()
        assert found(lake) == [(0, 1), (2, 49), (7, 31)]
        assert len(lake.table.metadata.snapshots) == max(snapshots, 1)
        assert result.staged.base == first.staged.base
        lake.check(lake.by_duckdb())


def test_a_resumed_full_build_forgets_it_too(lake: Lake) -> None:
    lake.write(rows([(d, at(d, 5)) for d in range(4)]))
    run = Run(lake, full=True)
    assert run.batch(rows([]), at(0), at(1)) == 0
    result = run.stage()
    assert found(lake) == []
    run = Run(lake, candidate=result.staged)
    run.batch(rows([(9, at(1, 1))]), at(1), at(2))
    run.stage()
    assert found(lake) == [(9, 25)]


def test_a_full_build_forgets_what_was_there(lake: Lake) -> None:
    lake.write("select 5 as k, timestamptz '2020-01-01' as at, 'gone' as old")
    run = Run(lake, full=True)
    run.batch(rows([(0, at(0, 1))]), at(0), at(1))
    run.batch(rows([(1, at(1, 1))]), at(1), at(2))
    first = run.stage()
    assert found(lake) == [(0, 1), (1, 25)]
    run = Run(lake, candidate=first.staged)
    run.batch(rows([(3, at(0, 2))]), at(0), at(1))
    run.stage()
    assert found(lake) == [(1, 25), (3, 2)]
    assert [field.name for field in lake.table.schema().fields] == ["k", "at"]
    lake.check(lake.by_duckdb())


def test_a_new_column_comes_with_the_first_batch_that_has_it(lake: Lake) -> None:
    lake.write(rows([(0, at(0, 1)), (1, at(1, 1))]))
    run = Run(lake)
    wide = f"select *, 'x' as extra from ({rows([(8, at(1, 2)), (9, at(2, 2))])})"
    run.batch(rows([(7, at(0, 2))]), at(0), at(1), on_schema_change="append_new_columns")
    run.batch(wide, at(1), at(2), on_schema_change="append_new_columns")
    run.stage()
    assert found(lake) == [(7, 2), (8, 26)]
    lake.check([(7, at(0, 2), None), (8, at(1, 2), "x")])


def test_a_broken_batch_leaves_the_others_as_they_are(lake: Lake) -> None:
    contract = Contract({"k": None, "at": None}, not_null=["k"], unique=[["k"]], checks=["k >= 0"])
    run = Run(lake)
    run.batch(rows([(0, at(0, 1))]), at(0), at(1), contract=contract)
    for broken, message in (
        ([(0, at(1, 1))], "unique k: 1 row"),
        ([(-1, at(1, 1))], "check k >= 0: 1 row"),
    ):
        with pytest.raises(ContractError, match=message):
            run.batch(rows(list(broken)), at(1), at(2), contract=contract, last=True)
    run.batch(rows([(5, at(1, 1))]), at(1), at(2), contract=contract)
    run.stage()
    assert found(lake) == [(0, 1), (5, 25)]


def test_a_key_may_move_from_one_batch_to_another(lake: Lake) -> None:
    contract = Contract({"k": None, "at": None}, unique=[["k"]])
    run = Run(lake)
    run.batch(rows([(1, at(0, 1)), (2, at(1, 1))]), at(0), at(2), contract=contract, last=True)
    run.stage()
    run = Run(lake)
    run.batch(rows([(1, at(0, 1)), (2, at(0, 2))]), at(0), at(1), contract=contract)
    run.stage()  # who reads it now finds it twice, and can see that nobody looked
    assert not Held.of(lake.table, full=False).is_unique(["k"])
    run.batch(rows([]), at(1), at(2), contract=contract, last=True)
    run.stage()
    assert Held.of(lake.table, full=False).is_unique(["k"])
    assert found(lake) == [(1, 1), (2, 2)]


def test_keys_of_a_run_that_goes_on_are_looked_at_again(lake: Lake) -> None:
    contract = Contract({"k": None, "at": None}, unique=[["k"]])
    run = Run(lake)
    run.batch(rows([(1, at(0, 1)), (1, at(0, 2))]), at(0), at(1), contract=contract)
    candidate = run.stage().staged
    run = Run(lake, candidate=candidate)
    with pytest.raises(ContractError, match="unique k: 1 row"):
        run.batch(rows([(2, at(1, 1))]), at(1), at(2), contract=contract, last=True)


def test_a_constraint_that_is_new_looks_at_the_whole_table_once(lake: Lake) -> None:
    run = Run(lake)
    for day, k in enumerate((-1, 2, 3)):
        run.batch(rows([(k, at(day, 1))]), at(day), at(day + 1))
    run.stage()
    contract = Contract({"k": None, "at": None}, checks=["k >= 0"])
    run = Run(lake)
    with pytest.raises(ContractError, match="check k >= 0: 1 row"):
        run.batch(rows([(2, at(1, 2))]), at(1), at(2), contract=contract)
    run.batch(rows([(1, at(0, 2))]), at(0), at(1), contract=contract)
    for path in lake.files():  # who looks at the rows that stay once more fails
        lake.connection.execute(f"copy (select 1) to '{path.removeprefix('file://')}' (format csv)")
    assert run.batch(rows([(4, at(5, 2))]), at(5), at(6), contract=contract) == 1


def test_a_batch_may_empty_a_table_with_a_contract(lake: Lake) -> None:
    contract = Contract({"k": None, "at": None}, not_null=["k"], unique=[["k"]], checks=["k >= 0"])
    lake.write(rows([(0, at(0, 1))]))
    run = Run(lake)
    run.batch(rows([]), at(0), at(1), contract=contract)
    run.stage()
    lake.check([])


def test_predicates_spare_rows_of_the_window(lake: Lake) -> None:
    lake.write(rows([(0, at(0, 1)), (1, at(0, 2))]))
    run = Run(lake)
    run.batch(rows([(5, at(0, 3))]), at(0), at(1), predicates=["DBT_INTERNAL_DEST.k > 0"])
    run.stage()
    assert found(lake) == [(0, 1), (5, 3)]


def test_an_event_time_that_is_none_is_refused(lake: Lake) -> None:
    run = Run(lake)
    with pytest.raises(ConfigError, match="event_time at: no such column"):
        run.batch("select 1 as k", at(0), at(1))
    run = Run(lake)
    with pytest.raises(ConfigError, match="event_time at: its type is string"):
        run.batch("select 1 as k, '2024-02-28' as at", at(0), at(1))


def test_threads_write_batches_of_one_table(lake: Lake) -> None:
    """All windows are in one file at first, which every batch has to take its rows out of."""
    lake.write(rows([(d, at(d, h)) for d in range(12) for h in (0, 12, 23)]))
    run = Run(lake)

    def batch(day: int) -> int:
        return run.batch(rows([(100 + day, at(day, 7))]), at(day), at(day + 1))

    with ThreadPoolExecutor(5) as pool:
        assert sum(pool.map(batch, range(10))) == 10
    run.stage()
    expected = [(100 + d, 24 * d + 7) for d in range(10)] + [
        (d, 24 * d + h) for d in (10, 11) for h in (0, 12, 23)
    ]
    assert found(lake) == sorted(expected)
    lake.check(lake.by_duckdb())


spans = st.tuples(st.integers(0, 70), st.integers(1, 50)).map(lambda pair: (pair[0], pair[0] + pair[1]))
times = st.lists(st.none() | st.integers(-5, 130), max_size=8)
actions = st.one_of(st.tuples(spans, times), st.sampled_from(["stage", "resume", "run"]))


def in_any_order(lake: Lake, sequence: list[Any], partitioned_by: list[str]) -> None:
    """A list of hours as the model: a batch replaces those of its window."""
    hours: list[int | None] = [*range(0, 120, 7), None]
    lake.write(rows([(0, None if h is None else at(0, h)) for h in hours]), partitioned_by=partitioned_by)
    run, wrote = Run(lake), False
    for action in sequence:
        if not isinstance(action, str):
            (start, end), new = action
            source = rows([(0, None if h is None else at(0, h)) for h in new])
            run.batch(source, at(0, start), at(0, end), partitioned_by=partitioned_by)
            hours = [h for h in hours if h is None or not start <= h < end]
            hours += [h for h in new if h is not None and start <= h < end]
            wrote = True
        elif wrote:
            staged = run.stage().staged
            assert found(lake) == sorted(((0, h) for h in hours), key=lambda row: (row[1] is None, row[1]))
            lake.check(lake.by_duckdb())
            if action != "stage":
                run, wrote = Run(lake, candidate=staged if action == "resume" else None), False


CASE = (
    st.lists(actions, max_size=8).map(lambda found: [*found, "stage"]),
    st.sampled_from([[], ["day(at)"]]),
)


@settings(max_examples=15, **PROPERTY)
@given(*CASE)
def test_any_order_of_batches(lakes: Iterator[Lake], sequence: list[Any], partitioned_by: list[str]) -> None:
    in_any_order(next(lakes), sequence, partitioned_by)


@pytest.mark.long
@settings(max_examples=300, **PROPERTY)
@given(*CASE)
def test_any_order_of_batches_many_times(
    lakes: Iterator[Lake], sequence: list[Any], partitioned_by: list[str]
) -> None:
    in_any_order(next(lakes), sequence, partitioned_by)


def test_windows_are_joined() -> None:
    spans = joined(
        [
            ("2024-01-03", "2024-01-04"),
            ("2024-01-01", "2024-01-02"),
            ("2024-01-02", "2024-01-03"),
            ("2024-01-06", "2024-01-07"),
        ]
    )
    assert spans == [("2024-01-01", "2024-01-04"), ("2024-01-06", "2024-01-07")]
    assert covers(spans, ("2024-01-02", "2024-01-04"))
    assert not covers(spans, ("2024-01-03", "2024-01-07"))
    assert not covers([], ("2024-01-03", "2024-01-07"))


def test_rows_that_a_batch_does_not_take_are_counted(lake: Lake) -> None:
    run = Run(lake)
    source = rows([(0, at(0, 1)), (1, at(1, 1)), (2, None), (3, at(3))])
    assert run.batch(source, at(0), at(1)) == 1
    assert run.batch(source, at(1), at(3)) == 1
    assert [dict(left) for left in run.table.left_out] == [{"without_time": 1, "outside": 2}] * 2


def test_a_date_is_refused_where_batches_are_hours(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="event_time at is a date: a batch is shorter than a day"):
        Run(lake).batch(rows([(0, at(0))], "date"), at(0), at(0, 1))


SPANS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted), max_size=4)


@given(SPANS, st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted))
@settings(**PROPERTY)
def test_what_is_left_of_windows(spans: list[list[int]], taken: list[int]) -> None:
    def held(windows: list[tuple[str, str]]) -> set[str]:
        return {hour for hour in HOURS if any(start <= hour < end for start, end in windows)}

    texts = [(HOURS[start], HOURS[end]) for start, end in spans if start < end]
    gone = (HOURS[taken[0]], HOURS[taken[1]])
    assert held(without(texts, gone)) == held(texts) - held([gone])


HOURS = [f"2024-01-01T{hour:02}:00:00" for hour in range(13)]


@pytest.mark.parametrize("kind", some(3, ["timestamptz", "timestamp", "date"]))
@pytest.mark.parametrize(
    ("times", "days", "remade"),
    [
        ([at(0), at(1), at(2)], [(0, 1), (1, 2), (2, 3)], [Remade.SOME, Remade.SOME, Remade.ALL]),
        ([at(0), at(1), at(2)], [(0, 1), (2, 3)], [Remade.SOME, Remade.SOME]),
        ([at(0), at(2)], [(0, 1), (2, 3)], [Remade.SOME, Remade.ALL]),  # no row is between them
        ([at(0), at(1), None], [(0, 1), (1, 2)], [Remade.SOME, Remade.SOME]),  # no window holds NULL
    ],
)
def test_windows_of_several_runs_remake_a_table(
    lake: Lake, kind: str, times: list[dt.datetime | None], days: list[tuple[int, int]], remade: list[Remade]
) -> None:
    lake.write(rows([(0, moment) for moment in times], kind))
    spans: list[tuple[str, str]] = []
    found: list[Remade] = []

    def described(made: Remade) -> dict[str, str]:
        found.append(made)
        return {}

    for start, end in days:
        run = Run(lake)
        source = rows([(1, moment) for moment in times if moment], kind)
        run.batch(source, at(start), at(end))
        spans = joined([*spans, Window("at", at(start), at(end)).span])
        run.last = replace(run.last, described=described)
        run.stage(column="AT", spans=spans)
    assert found == remade
    old = [row for row in lake.by_duckdb() if row[0] == 0]
    assert bool(old) is (remade[-1] is Remade.SOME)
