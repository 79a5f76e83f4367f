"""States of one table that share data files, compared with and without them, and by going through the rows in Python."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from benchmarks.lake import Lake
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.manifest import DataFile

from slipway.comparison.compare import compare_states
from slipway.comparison.policy import ComparisonPolicy
from slipway.comparison.relations import Column, Pair
from slipway.comparison.results import Method, TableComparison, Verdict
from slipway.comparison.shared_files import TableState
from slipway.engines.duckdb.constraints import Contract
from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.scan import files_relation
from slipway.engines.duckdb.writer import write
from slipway.names import TableName

Row = tuple[int | None, int | None, int]
Rows = list[Row]
BY_ID = ComparisonPolicy(key=("id",))
WHOLE_ROWS = ComparisonPolicy()
PARTITIONS = 4
NUMBER = itertools.count(1)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    found = Lake(tmp_path_factory.mktemp("lake"))
    yield found
    found.connection.close()


def values(rows: Sequence[tuple[int | None, int | None, int]]) -> str:
    """A query for rows of a key, a value and a partition."""
    listed = ", ".join(
        f"({'null' if key is None else key}, {'null' if value is None else value}, {part})"
        for key, value, part in rows
    )
    typed = "select id::bigint as id, x::bigint as x, part::integer as part"
    if not rows:
        return f"{typed} from (values (1, 1, 1)) as t(id, x, part) where false"
    return f"{typed} from (values {listed}) as t(id, x, part)"


def written(
    lake: Lake, name: str, rows: Sequence[Row], changed: Mapping[int, Sequence[Row]]
) -> tuple[TableState, TableState]:
    """A table, and the same after some of its partitions were replaced, each by rows of its own."""
    lake.write(name, values(rows), "replace", partitioned_by=["part"])
    base = TableState(lake.table(name))
    new = [row for of_part in changed.values() for row in of_part]
    if new:
        lake.write(name, values(new), "insert_overwrite", partitioned_by=["part"])
    return base, TableState(lake.table(name))


def compare(
    lake: Lake, base: TableState, head: TableState, policy: ComparisonPolicy, *, whole: bool = False
) -> TableComparison:
    return compare_states(lake.connection, "serving.t", base, head, policy, whole=whole)


def figures(found: TableComparison) -> dict[str, Any]:
    """Everything but how much was read; of sums only by how much they moved."""
    described = found.model_dump(mode="json")
    described["coverage"].pop("files")
    moved = {one["column"]: (one["head"] or 0) - (one["base"] or 0) for one in described.pop("effects")}
    return described | {"moved": {column: by for column, by in moved.items() if by}}


class Files(TableState):
    """Some files of a table as a state of their own."""

    def __init__(self, whole: TableState, files: Sequence[DataFile]) -> None:
        super().__init__(whole.table)
        self.__dict__["files"] = list(files)

    @property
    def shown(self) -> None:
        return None

    @property
    def relation(self) -> str:
        return files_relation(self.files, self.schema)


@dataclass(frozen=True)
class History:
    """Rows of a table, and of those of its partitions that are replaced, which may then be empty."""

    rows: Rows
    replaced: dict[int, Rows]

    @property
    def after(self) -> Rows:
        kept = [row for row in self.rows if row[2] not in self.replaced]
        return kept + [row for rows in self.replaced.values() for row in rows]

    def states(self, lake: Lake) -> tuple[TableState, TableState]:
        """Both states, of files that are written at once: the column of lineage says of which state they are."""
        by_state = [(self.rows, 0), ([row for rows in self.replaced.values() for row in rows], 1)]
        queries = [f"select *, {state} as _run_id from ({values(rows)})" for rows, state in by_state]
        request = WriteRequest(
            TableName("serving", f"history_{next(NUMBER)}"),
            " union all ".join(queries),
            "replace",
            "run",
            "release-1",
            partitioned_by=["part", "_run_id"],
        )
        whole = TableState(write(lake.connection, lake.tables, None, request).staged.table)
        base = [file for file in whole.files if file.partition[1] == 0]
        kept = [file for file in base if file.partition[0] not in self.replaced]
        return Files(whole, base), Files(whole, [*kept, *(file for file in whole.files if file not in base)])


@st.composite
def histories(draw: st.DrawFn, *, unique: bool) -> History:
    keys = st.integers(0, 30) | st.none()
    row = st.tuples(keys, st.integers(0, 2) | st.none(), st.integers(0, PARTITIONS - 1))
    rows = draw(st.lists(row, min_size=1, max_size=14, unique_by=(lambda one: one[0]) if unique else None))
    replaced: dict[int, Rows] = {}
    taken = {row[0] for row in rows} if unique else set()
    for part in draw(st.sets(st.integers(0, PARTITIONS - 1), max_size=3)):
        old = [one for one in rows if one[2] == part]
        new = [(key, draw(st.integers(0, 2) | st.just(value)), part) for key, value, _ in old]
        replaced[part] = new[draw(st.integers(0, len(new))) :]
        for key, value, _ in draw(st.lists(row, max_size=3)):
            if key not in taken:
                replaced[part].append((key, value, part))
                taken |= {key} if unique else set()
    return History(rows, replaced)


FEW = settings(max_examples=20)


@FEW
@given(history=histories(unique=True))
def test_by_key_it_is_what_going_through_all_rows_finds(lake: Lake, history: History) -> None:
    base, head = history.states(lake)
    found = compare(lake, base, head, BY_ID)
    old, new = ({row[0]: row for row in side} for side in (history.rows, history.after))
    both = old.keys() & new.keys()
    assert (found.base.rows, found.head.rows) == (len(old), len(new))
    assert (found.rows.added, found.rows.removed) == (len(new.keys() - old), len(old.keys() - new))
    assert found.rows.changed == sum(old[key] != new[key] for key in both)
    assert found.rows.identical == sum(old[key] == new[key] for key in both)
    assert (found.verdict is Verdict.IDENTICAL) == (old == new)
    assert figures(found) == figures(compare(lake, base, head, BY_ID, whole=True))
    back = compare(lake, head, base, BY_ID)
    assert (back.rows.added, back.rows.removed) == (found.rows.removed, found.rows.added)
    assert (back.rows.changed, back.rows.identical) == (found.rows.changed, found.rows.identical)
    assert [one.matching for one in back.columns] == [one.matching for one in found.columns]


@FEW
@given(history=histories(unique=False), by_key=st.booleans())
def test_as_whole_rows_it_is_what_counting_them_finds(lake: Lake, history: History, by_key: bool) -> None:
    base, head = history.states(lake)
    found = compare(lake, base, head, BY_ID if by_key else WHOLE_ROWS)
    old, new = Counter(history.rows), Counter(history.after)
    assert (found.verdict is Verdict.IDENTICAL) == (old == new)
    assert (found.base.rows, found.head.rows) == (old.total(), new.total())
    # a row that is changed by its key is one removed and one added
    assert found.rows.removed + found.rows.changed == (old - new).total()
    assert found.rows.added + found.rows.changed == (new - old).total()


def test_a_state_and_itself_are_not_read(lake: Lake) -> None:
    base, head = written(lake, "itself", [(1, 1, 1)], {})
    found = compare(lake, base, head, BY_ID)
    assert (found.verdict, found.coverage.method) == (Verdict.IDENTICAL, Method.SNAPSHOT)
    assert found.coverage.files is not None
    assert (found.coverage.files.files, found.coverage.files.files_read) == (2, 0)
    assert found.rows.identical == 1


def test_one_digest_is_not_read(lake: Lake) -> None:
    """Rows that are written again have other files, and the same digest."""
    base, _ = written(lake, "again", [(1, 1, 1)], {})
    lake.write("again", values([(1, 2, 1)]), "replace", partitioned_by=["part"])
    lake.write("again", values([(1, 1, 1)]), "replace", partitioned_by=["part"])
    head = TableState(lake.table("again"))
    removed(head, keep=())
    found = compare(lake, base, head, BY_ID)
    assert (found.verdict, found.coverage.method) == (Verdict.IDENTICAL, Method.DIGEST)


def removed(state: TableState, keep: Sequence[str]) -> int:
    """Remove data files of a state, so that nothing can have opened them; returns how many."""
    gone = [
        Path(file.file_path.removeprefix("file://")) for file in state.files if file.file_path not in keep
    ]
    for path in gone:
        path.unlink(missing_ok=True)
    return len(gone)


def test_files_that_both_sides_have_are_not_opened(lake: Lake) -> None:
    # ids are spread over all partitions, so that only reading them would tell how many are in a range
    rows = [(number, 0, number % 50) for number in range(2000)]
    changed = {7: [(row[0], 1, 7) for row in rows if row[2] == 7]}
    base, head = written(lake, "pruned", rows, changed)
    paths = [{file.file_path for file in state.files} for state in (base, head)]
    own = paths[0] ^ paths[1]
    # keys overlap in every partition here, so that the key's columns of the others are needed unless it has the partition
    policy = ComparisonPolicy(key=("part", "id"))
    assert removed(base, keep=list(own)) == 49
    found = compare(lake, base, head, policy)
    assert (found.rows.changed, found.rows.identical) == (40, 1960)
    assert [(one.column, one.value, one.rows, one.table_share) for one in found.segments] == [
        ("part", "7", 40, 0.02)
    ]
    assert found.coverage.files is not None
    assert (found.coverage.files.files, found.coverage.files.files_read) == (100, 2)
    assert found.coverage.files.bytes_read < 0.05 * found.coverage.files.bytes


def test_a_key_that_an_unchanged_file_has_too_is_not_unique(lake: Lake) -> None:
    base, head = written(lake, "repeated", [(1, 1, 1), (2, 2, 2)], {2: [(2, 2, 2), (1, 5, 2)]})
    for whole in (False, True):
        found = compare(lake, base, head, BY_ID, whole=whole)
        assert found.coverage.notes == (
            "the key (id) is not unique, 1 repeated in head: compared whole rows",
        )
        assert (found.rows.added, found.rows.removed) == (1, 0)


def test_a_primary_key_is_not_counted_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """That it is one was checked when the table was written. A key of another type is counted: 1.0 and 1.4 are the same integer."""
    kinds: dict[str, str | None] = {"id": "BIGINT", "x": "BIGINT", "part": "INTEGER"}
    keyed = Contract(kinds, ["id"], [["id"]], key=["id"])
    for name, rows in {"kept": [(1, 1, 1), (2, 2, 2)], "left": [(1, 1, 1), (2, 3, 2)]}.items():
        lake.write(name, values(rows), "replace", contract=keyed)
    base, head = (TableState(lake.table(name)) for name in ("kept", "left"))
    counted: list[str] = []
    count = Pair.repeated_keys

    def note(pair: Pair, keys: Sequence[Column]) -> str:
        counted.append("once")
        return count(pair, keys)

    monkeypatch.setattr(Pair, "repeated_keys", note)
    assert compare(lake, base, head, BY_ID).rows.changed == 1
    assert counted == []
    unkeyed, _ = written(lake, "unkeyed", [(1, 1, 1), (1, 2, 2)], {})
    assert "1 repeated in head" in compare(lake, base, unkeyed, BY_ID).coverage.notes[0]
    assert counted == ["once"]
    nullable = replace(keyed, not_null=[])
    lake.write("nullable", values([(None, 1, 1), (None, 2, 2)]), "replace", contract=nullable)
    assert (
        "1 repeated in head"
        in compare(lake, base, TableState(lake.table("nullable")), BY_ID).coverage.notes[0]
    )
    lake.write(
        "wide",
        f"select * replace (id::double as id) from ({values([(1, 1, 1)])})",
        "replace",
        contract=replace(keyed, columns={**kinds, "id": "DOUBLE"}),
    )
    compare(lake, base, TableState(lake.table("wide")), BY_ID)
    assert counted == ["once"] * 3


def test_a_column_that_is_added_leaves_the_files_that_both_have(lake: Lake) -> None:
    base, _ = written(lake, "evolved", [(1, 1, 1), (2, 2, 2)], {})
    more = "select 3::bigint as id, 3::bigint as x, 3::integer as part, 'new' as word"
    lake.write("evolved", more, "append", partitioned_by=["part"], on_schema_change="append_new_columns")
    found = compare(lake, base, TableState(lake.table("evolved")), BY_ID)
    assert found.schema_changes.added == {"word": "VARCHAR"}
    assert (found.rows.added, found.rows.identical) == (1, 2)
    assert found.coverage.files is not None
    assert found.coverage.files.files_read == 1


def test_a_sample_without_a_row_that_may_differ_proves_nothing(lake: Lake) -> None:
    base, head = written(lake, "sampled", [(1, 1, 1), (2, 2, 2)], {2: [(2, 3, 2)]})
    found = compare_states(lake.connection, "serving.t", base, head, BY_ID, sample=0.0001)
    assert found.verdict is Verdict.NO_EVIDENCE
    assert found.coverage.notes == ("no row that was to be compared is in the sample",)
    every = compare_states(lake.connection, "serving.t", base, head, BY_ID, sample=0.9999)
    assert (every.verdict, every.rows.changed, every.head.rows) == (Verdict.DIFFERENT, 1, 1)
