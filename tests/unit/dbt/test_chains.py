"""A table that is brought up to date from another one is what a full build would make of it, whatever happened to the other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import some

from slipway.dbt.inputs import increment
from slipway.dbt.partial_groups import checked_for_partial_groups
from slipway.dbt.volatility import Volatility
from slipway.engines.duckdb.batches import BatchedTable, Window
from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.rewrite import NotCarriedError
from slipway.engines.duckdb.scan import Views
from slipway.iceberg.snapshots import current_content
from slipway.names import TableName

if TYPE_CHECKING:
    import duckdb
    from tests.unit.conftest import Lake

DAYS = [dt.date(2024, 1, 30), dt.date(2024, 1, 31), dt.date(2024, 2, 1), dt.date(2024, 2, 2)]
Content = dict[int, tuple[dt.date, int]]

# each at once: rows by key with a day and a value, or None for those that are withdrawn
changes = st.dictionaries(
    st.integers(1, 6), st.none() | st.tuples(st.sampled_from(DAYS), st.integers(0, 3)), min_size=1, max_size=3
)
UPSTREAM = ("append", "merge", "delete+insert", "insert_overwrite", "microbatch", "replace")
steps = st.lists(st.tuples(changes, st.sampled_from(UPSTREAM), st.booleans()), min_size=2, max_size=5)

ROWS = "select k, day, v from up where {changed}"
BY_DAY = "select day, sum(v)::bigint as total, count(*) as n from up where {changed} group by day"
LARGEST = f"{ROWS} and v > 0 qualify row_number() over (partition by day order by v desc, k) = 1"
BY_MONTH = (
    "select date_trunc('month', day)::date as month, sum(v)::bigint as total from up where date_trunc('month', day) in"
    " (select date_trunc('month', day) from up where {changed}) group by all"
)
NEXT_DAY = "select day + 1 as day, k, v from up where {changed}"
OVER = "insert_overwrite"
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "append": (ROWS, "append", {}),
    "merge": (ROWS, "merge", {"unique_key": ["k"]}),
    "merge-by-partition": (ROWS, "merge", {"unique_key": ["day", "k"], "partitioned_by": ["day"]}),
    "merge-aggregates": (BY_DAY, "merge", {"unique_key": ["day"]}),
    "merge-the-largest": (LARGEST, "merge", {"unique_key": ["k"]}),
    "merge-if-other": (
        ROWS,
        "merge",
        {
            "unique_key": ["k"],
            "merge": {
                "merge_update_condition": "DBT_INTERNAL_SOURCE.v <> DBT_INTERNAL_DEST.v"
                " or DBT_INTERNAL_SOURCE.day <> DBT_INTERNAL_DEST.day"
            },
        },
    ),
    "delete+insert": (ROWS, "delete+insert", {"unique_key": ["k"]}),
    "delete+insert-days": (ROWS, "delete+insert", {"unique_key": ["day"]}),
    "delete+insert-expression": (ROWS, "delete+insert", {"unique_key": ["date_trunc('day', day)"]}),
    "overwrite-rows": (ROWS, OVER, {"partitioned_by": ["day"]}),
    "overwrite-aggregates": (BY_DAY, OVER, {"partitioned_by": ["day"]}),
    "overwrite-the-largest": (LARGEST, OVER, {"partitioned_by": ["day"]}),
    "overwrite-two-fields": (ROWS, OVER, {"partitioned_by": ["v", "day"]}),
    "overwrite-months": (BY_MONTH, OVER, {"partitioned_by": ["month"]}),
    "overwrite-coarser": (ROWS, OVER, {"partitioned_by": ["month(day)"]}),
    "overwrite-other-meaning": (NEXT_DAY, OVER, {"partitioned_by": ["day"]}),
    "overwrite-buckets": (ROWS, OVER, {"partitioned_by": ["bucket(2, k)"]}),
    "overwrite-whole": (ROWS, OVER, {}),
}


@dataclass
class Chain:
    """Two tables, of which the second is made from the first by a query."""

    up: Lake
    down: Lake
    views: Views
    name: str
    content: Content = field(default_factory=dict)
    consumed: str | None = None
    carried: int = 0

    def change(self, made: Mapping[int, tuple[dt.date, int] | None], strategy: str) -> None:
        """Change rows of the first table by a strategy, or replace it where the strategy cannot do that."""
        before, after = self.content, dict(self.content)
        for key, row in made.items():
            if row is None:
                after.pop(key, None)
            else:
                after[key] = row
        days = {row[0] for key in made for row in (before.get(key), after.get(key)) if row}
        whole = {key: row for key, row in after.items() if row[0] in days}
        new = {key: row for key, row in after.items() if key in made}
        gone = [key for key in made if key in before and key not in after]
        emptied = days - {row[0] for row in after.values()}
        self.content = after
        if not days:
            return
        if self.up.base is None or strategy == "replace":
            self._write(after, "replace")
        elif strategy == "append" and not set(made) & set(before):
            self._write(new, "append")
        elif strategy == "merge":
            self._merge(new, gone)
        elif strategy == "delete+insert" and not emptied:
            self._write(whole, strategy, unique_key=["day"])
        elif strategy == OVER and not emptied:
            self._write(whole, strategy)
        elif strategy == "microbatch":
            self._batches(whole, days)
        else:
            self._write(after, "replace")
        found = self.up.connection.execute(f"select k, day, v from {self.up.scan}").fetchall()
        assert {key: (day, value) for key, day, value in found} == after

    def _write(self, rows: Content, strategy: str, **options: Any) -> None:  # noqa: ANN401 - of a WriteRequest
        self.up.write(listed(rows), strategy, partitioned_by=["day"], **options)

    def _merge(self, new: Content, gone: list[int]) -> None:
        marked = f"select *, false as gone from ({listed(new)})"
        if gone:
            marked += f" union all select unnest({gone}), null, null, true"
        clauses = {
            "when_matched": [
                {"action": "delete", "condition": "DBT_INTERNAL_SOURCE.gone"},
                {"action": "update", "mode": "by_name"},
            ],
            "when_not_matched": [{"action": "insert", "mode": "by_name"}],
        }
        self.up.write(
            marked, "merge", unique_key=["k"], partitioned_by=["day"], merge={"merge_clauses": clauses}
        )

    def _batches(self, rows: Content, days: set[dt.date]) -> None:
        table = BatchedTable(self.up.tables, self.up.base)
        self.up.writes += 1
        request = WriteRequest(
            TableName("layer", "up"),
            listed(rows),
            "append",
            f"run-{self.up.writes}",
            "r",
            partitioned_by=["day"],
        )
        for day in sorted(days):
            start = dt.datetime.combine(day, dt.time(), dt.UTC)
            table.write(self.up.connection, request, Window("day", start, start + dt.timedelta(days=1)))
        self.up.base = table.stage(request).staged.table

    def update(self) -> None:
        """Bring the second table up to date as a run does, by the macro's condition, and compare it with a full build."""
        query, strategy, options = MODELS[self.name]
        database, relation = "chain", '"chain"."layer"."up"'
        self.views.table(database, TableName("layer", "up"), self.up.table.metadata_location)
        full = query.replace("from up", f"from {relation} as up").format(changed="true")
        message = increment((database, "layer", "up"), self.up.table, self.consumed, "day")
        if self.down.base is None:
            self.down.write(full, partitioned_by=options.get("partitioned_by", ()))
        else:
            part = query.replace("from up", f"from {relation} as up").format(changed=message.predicate)
            try:
                self.down.write(part, strategy, increments=[message], **options)
                self.carried += message.predicate != "false"
            except NotCarriedError:
                self.down.write(full, partitioned_by=options.get("partitioned_by", ()))
        self.consumed = current_content(self.up.table)
        expected = self.down.connection.execute(f"from ({full}) order by all").fetchall()
        stored = self.down.connection.execute(f"from {self.down.scan} order by all").fetchall()
        assert stored == expected, message.predicate


def listed(rows: Content) -> str:
    values = ", ".join(f"({key}, date '{day}', {value})" for key, (day, value) in rows.items())
    return (
        f"select k::integer as k, day::date as day, v::integer as v from (values {values or '(null, null, null)'})"
        " as t(k, day, v) where k is not null"
    )


@pytest.fixture(scope="session")
def chained(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    connection.execute("attach if not exists ':memory:' as chain")
    return connection


def chain(lakes: Iterator[Lake], connection: duckdb.DuckDBPyConnection, name: str) -> Chain:
    up, down = next(lakes), next(lakes)
    up.name, down.name = "up", "down"
    return Chain(up, down, Views(connection), name)


def follow(
    lakes: Iterator[Lake],
    connection: duckdb.DuckDBPyConnection,
    name: str,
    made: list[tuple[dict[int, tuple[dt.date, int] | None], str, bool]],
) -> Chain:
    found = chain(lakes, connection, name)
    found.change({1: (DAYS[0], 1), 2: (DAYS[0], 2), 3: (DAYS[1], 3)}, "replace")
    found.update()
    for at, (changed, strategy, looks) in enumerate(made):
        found.change(changed, strategy)
        if looks or at == len(made) - 1:
            found.update()
    return found


def check(lakes: Iterator[Lake], connection: duckdb.DuckDBPyConnection, name: str, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(steps)
    def holds(made: list[tuple[dict[int, tuple[dt.date, int] | None], str, bool]]) -> None:
        follow(lakes, connection, name, made)

    holds()


@pytest.mark.long
@pytest.mark.parametrize("name", MODELS)
def test_every_strategy_after_every_other(
    lakes: Iterator[Lake], chained: duckdb.DuckDBPyConnection, name: str
) -> None:
    check(lakes, chained, name, 40)


# a row changes its day and leaves none there; one changes its value; one comes; one is withdrawn with its day
CORRECTIONS: list[tuple[dict[int, tuple[dt.date, int] | None], str, bool]] = [
    ({3: (DAYS[0], 3)}, "merge", True),
    ({2: (DAYS[0], 0)}, "merge", True),
    ({4: (DAYS[2], 1)}, "append", True),
    ({4: None}, "microbatch", True),
]


@pytest.mark.parametrize("name", some(4, MODELS))
def test_corrections_are_carried(
    lakes: Iterator[Lake], chained: duckdb.DuckDBPyConnection, name: str
) -> None:
    found = follow(lakes, chained, name, CORRECTIONS)
    # what a strategy can do by itself is not built anew
    carried_over = {"overwrite-rows", "overwrite-aggregates", "overwrite-the-largest", "overwrite-two-fields"}
    assert found.carried == 4 if name in carried_over else found.carried < 4


@pytest.mark.parametrize(
    ("strategy", "options", "carried"),
    [
        ("append", {}, True),
        ("merge", {"unique_key": ["k"]}, True),
        ("delete+insert", {"unique_key": ["k"]}, True),
        (OVER, {"partitioned_by": ["k"]}, True),
        (OVER, {"partitioned_by": ["day"]}, False),
        (OVER, {}, False),
    ],
)
def test_rows_that_were_added_replace_no_partition_that_has_others(
    lakes: Iterator[Lake],
    chained: duckdb.DuckDBPyConnection,
    strategy: str,
    options: dict[str, Any],
    carried: bool,
) -> None:
    found = chain(lakes, chained, "merge")
    up, down, relation = found.up, found.down, ("chain", "layer", "up")
    row = "select {}::integer as k, date '2024-01-30' as day, 'run-{}' as _run_id"
    up.write(row.format(1, 1), "append", snapshot_properties={"slipway.run-id": "run-1"})
    down.write(f"select k, day from {up.scan}", **options)
    consumed = current_content(up.table)
    up.write(row.format(2, 2), "append", snapshot_properties={"slipway.run-id": "run-2"})
    message = increment(relation, up.table, consumed)
    part = f"select k, day from {up.scan} where {message.predicate}"
    if not carried:
        with pytest.raises(NotCarriedError, match="rows"):
            down.write(part, strategy, increments=[message], **options)
        return
    down.write(part, strategy, increments=[message], **options)
    assert [key for key, _ in down.by_duckdb()] == [1, 2]
    # what is not known is never added to what is there
    with pytest.raises(NotCarriedError, match=r"it is not known what changed in layer.up"):
        down.write(part, strategy, increments=[increment(relation, up.table, None)], **options)


LANDED = "select day, k, v from up where {added}"
LAST = f"{LANDED} qualify row_number() over (partition by k order by _landed_at desc, v) = 1"
PARTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "totals": (
        "select day, sum(v)::bigint as v from up where {added} group by day",
        "merge",
        {"unique_key": ["day"]},
    ),
    "totals-appended": ("select day, sum(v)::bigint as v from up where {added} group by day", "append", {}),
    "rows": (LANDED, "merge", {"unique_key": ["k"]}),
    "distinct-rows": (LANDED.replace("select", "select distinct", 1), "merge", {"unique_key": ["k"]}),
    "rows-of-days": (LANDED, "delete+insert", {"unique_key": ["day"]}),
    "largest": (
        f"{LANDED} qualify row_number() over (partition by k order by v desc, day) = 1",
        "merge",
        {"unique_key": ["k"]},
    ),
    "last": (LAST, "merge", {"unique_key": ["k"]}),
    "last-inserted": (LAST, "delete+insert", {"unique_key": ["k"]}),
    "last-of-days": (LAST, OVER, {"partitioned_by": ["day"]}),
}
LANDINGS = st.lists(
    st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from(DAYS[:2]), st.integers(0, 3)),
        min_size=1,
        max_size=3,
        unique_by=lambda row: row[0],
    ),
    min_size=2,
    max_size=3,
)


@pytest.mark.parametrize(
    "name", ["totals", *(pytest.param(name, marks=pytest.mark.long) for name in PARTS if name != "totals")]
)
def test_parts_of_groups_are_written_as_a_full_build_does_or_not_at_all(
    lakes: Iterator[Lake], chained: duckdb.DuckDBPyConnection, name: str
) -> None:
    query, strategy, options = PARTS[name]
    node = SimpleNamespace(config=SimpleNamespace(get=lambda _: None, materialized="incremental"))
    own, relation = ("chain", "layer", "down"), ("chain", "layer", "up")

    @settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(LANDINGS)
    def holds(landings: list[list[tuple[int, dt.date, int]]]) -> None:
        found = chain(lakes, chained, "merge")
        up, down, consumed = found.up, found.down, None
        asked = query.replace("from up", 'from "chain"."layer"."up"')
        for number, rows in enumerate(landings):
            values = ", ".join(f"({k}, date '{day}', {v})" for k, day, v in rows)
            landed = f"select k, day, v, timestamp '2024-03-0{number + 1}' as _landed_at, 'run-{number + 1}' as _run_id"
            up.write(
                f"{landed} from (values {values}) as t(k, day, v)",
                "append",
                snapshot_properties={"slipway.run-id": f"run-{number + 1}"},
            )
            found.views.table("chain", TableName("layer", "up"), up.table.metadata_location)
            full = asked.format(added="true")
            message = increment(relation, up.table, consumed)
            if down.base is None:
                down.write(full, partitioned_by=options.get("partitioned_by", ()))
            else:
                part = asked.format(added=message.predicate)
                request = WriteRequest(
                    TableName("layer", "down"), part, strategy, "r", "r", increments=[message], **options
                )
                try:
                    request = checked_for_partial_groups(Volatility(found.views), node, request, own)
                    down.write(
                        part,
                        strategy,
                        increments=[message],
                        direct=request.direct,
                        distinct=request.distinct,
                        **options,
                    )
                except NotCarriedError:
                    down.write(full, partitioned_by=options.get("partitioned_by", ()))
            consumed = current_content(up.table)
            expected = down.connection.execute(f"from ({full}) order by all").fetchall()
            stored = down.connection.execute(f"from {down.scan} order by all").fetchall()
            assert stored == expected

    holds()
