"""Whatever happened in the source and in the target before: after a promotion the target shows what the release showed."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.table import StaticTable
from tests.harness.promotions import Stand

from slipway.errors import NotFoundError
from slipway.iceberg.metadata_files import summary_of
from slipway.maintenance.apply import maintain, propose_in
from slipway.releases.roll_back import propose as propose_rollback
from slipway.releases.roll_back import roll_back

if TYPE_CHECKING:
    import duckdb

    from slipway.records.release_records import Release

_folders = itertools.count(1)
_values = itertools.count(1)
PARTS: tuple[list[str], ...] = ([], ["day"], ["bucket(3, id)"], ["day", "truncate(10, id)"])


class Story:
    """What happens, a step at a time; ``promote`` compares."""

    def __init__(self, stand: Stand) -> None:
        self.stand, self.columns, self.parts, self.there = stand, 0, 0, False

    def step(self, name: str) -> None:
        getattr(self, name)()

    def _write(self, rows: int, strategy: str = "append") -> None:
        extra = "".join(f", {number} as c{number}" for number in range(self.columns))
        first = next(_values)
        sql = f"select (i + {first}) % 17 as id, i % 3 as day{extra} from range({rows}) t(i)"
        more = {"unique_key": ["id"]} if strategy == "merge" else {}
        if self.parts and "truncate" in str(PARTS[self.parts]) and strategy == "insert_overwrite":
            strategy = "append"
        request = {
            "table": "serving.a",
            "sql": f"select distinct on (id) * from ({sql}) order by id" if strategy == "merge" else sql,
            "strategy": strategy if self.there else "replace",
            "partitioned_by": PARTS[self.parts],
            "on_schema_change": "append_new_columns",
            **more,
        }
        self.stand.publish(request, {"table": "raw.b", "sql": f"select {first} as n"})
        self.there = True

    def append(self) -> None:
        self._write(5)

    def merge(self) -> None:
        self._write(4, "merge")

    def replace(self) -> None:
        self._write(6, "replace")

    def empty(self) -> None:
        self._write(0, "replace")

    def widen(self) -> None:
        self.columns += 1
        self._write(2)

    def repartition(self) -> None:
        self.parts = (self.parts + 1) % len(PARTS)
        self._write(3)

    def retire(self) -> None:
        if self.there:
            self.stand.publish(
                {"table": "raw.b", "sql": f"select {next(_values)} as n"}, retire=["serving.a"]
            )
            self.there = False

    def compact(self) -> None:
        environment, now = self.stand.environment("staging"), datetime.now(UTC)
        if self.stand.records("staging").release_keys():
            maintain(
                propose_in(environment, {}, {}, (), timedelta(days=3), now, dry_run=False), lambda _: None
            )

    def back(self) -> None:
        self._roll_back("staging")
        self.there = "serving.a" in self.stand.shown("staging")

    def back_there(self) -> None:
        self._roll_back("prod")

    def _roll_back(self, target: str) -> None:
        try:
            proposal = propose_rollback(self.stand.project, target, None, ())
        except NotFoundError:  # there is none before, or it is of a table that was made anew since
            return
        if proposal.steps:
            roll_back(proposal, hold=False, reason="")

    def maintain_there(self) -> None:
        if self.stand.records("prod").release_keys():
            environment, now = self.stand.environment("prod"), datetime.now(UTC)
            maintain(
                propose_in(environment, {}, {}, (), timedelta(days=3), now, dry_run=False), lambda _: None
            )

    def promote(self) -> None:
        self._promote(0)

    def promote_earlier(self) -> None:
        self._promote(-2)

    def _promote(self, at: int) -> None:
        releases = self.stand.records("staging").releases()
        if not releases:
            return
        goal = releases[max(at, -len(releases))] if at else releases[-1]
        before = self.stand.all_files()
        proposal = self.stand.proposal(goal.number)
        if proposal.is_needed:
            self.stand.promote(goal.number)
        added = self.stand.all_files() - before
        assert sum(path.stat().st_size for path in added) <= proposal.plan.bytes
        assert not self.stand.proposal(goal.number).is_needed
        self.shows(goal)

    def shows(self, goal: Release) -> None:
        shown = self.stand.shown()
        for name, state in goal.tables.items():
            there, here = StaticTable.from_metadata(state.metadata_location), self.stand.table(name)
            one, other = there.scan().to_arrow(), here.scan().to_arrow()
            assert one.schema == other.schema
            keys = [(column, "ascending") for column in one.column_names]
            assert one.sort_by(keys) == other.sort_by(keys)
            self.stand.rows(name)  # DuckDB says the same as pyiceberg
            wanted, found = summary_of(there.current_snapshot()), summary_of(here.current_snapshot())
            for key in ("slipway.digest", "total-records"):
                assert found[key] == wanted[key]
            root = f"file://{self.stand.folder}/prod/"
            assert all(task.file.file_path.startswith(root) for task in here.scan().plan_files())
        assert set(shown) - goal.tables.keys() == set()


STEPS = (
    "append", "merge", "replace", "empty", "widen", "repartition", "retire", "compact", "back", "back_there",
    "maintain_there", "promote", "promote_earlier",
)  # fmt: skip


def tell(tmp_path: Path, duck: duckdb.DuckDBPyConnection, steps: list[str]) -> None:
    folder = tmp_path / str(next(_folders))
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        stand = Stand(folder, duck)
        for name, value in stand.settings().items():
            patch.setenv(name, value)
        story = Story(stand)
        for step in ("append", *steps, "promote"):
            story.step(step)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(
            ["promote", "widen", "repartition", "merge", "promote", "back", "promote"], id="changes"
        ),
        pytest.param(
            ["append", "append", "append", "append", "append", "promote", "compact", "promote", "append"],
            id="compaction",
        ),
        pytest.param(
            ["promote", "replace", "promote", "back_there", "promote_earlier", "empty"],
            id="back",
            marks=pytest.mark.long,
        ),
        pytest.param(
            ["promote", "retire", "promote", "append", "promote", "retire"],
            id="retired",
            marks=pytest.mark.long,
        ),
        pytest.param(
            ["promote", "retire", "widen", "promote", "append"], id="made-again", marks=pytest.mark.long
        ),
    ],
)
def test_a_story(tmp_path: Path, duck: duckdb.DuckDBPyConnection, steps: list[str]) -> None:
    tell(tmp_path, duck, steps)


@pytest.mark.long
@given(steps=st.lists(st.sampled_from(STEPS), min_size=3, max_size=12))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_story(tmp_path: Path, duck: duckdb.DuckDBPyConnection, steps: list[str]) -> None:
    tell(tmp_path, duck, steps)
