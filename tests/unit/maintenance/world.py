"""An environment that is only imagined: tables, releases, runs, candidates and readers over months, and maintenance of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from tests.harness.records import release, released

from slipway.maintenance.protection import kept
from slipway.maintenance.retention import (
    Candidate,
    History,
    LiveFile,
    RecordedRun,
    Retention,
    Superseded,
    TableHistory,
)
from slipway.maintenance.steps import Compact, Expire, Folder, Found, Layout, Plan, plan
from slipway.records.release_records import Release
from slipway.records.run_manifest import Outcome
from slipway.releases.cut import TableVersion

TABLES = ("raw.a", "serving.b")
FLOOR = timedelta(days=3)
SMALL = 10  # bytes of every data file; the target is a hundred


@dataclass(frozen=True)
class Metadata:
    location: str
    snapshot_id: str
    snapshots: dict[str, datetime]
    tags: dict[str, str]
    log: tuple[tuple[str, datetime], ...]
    updated: datetime


@dataclass
class World:
    """Objects are names; a snapshot is a manifest list and data files. Without logs metadata does not tell what was before."""

    policy: Retention
    logs: bool = True
    now: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    objects: dict[str, datetime] = field(default_factory=dict)
    metadata: dict[str, Metadata] = field(default_factory=dict)
    content: dict[str, frozenset[str]] = field(default_factory=dict)
    current: dict[str, str] = field(default_factory=dict)
    releases: list[Release] = field(default_factory=list)
    runs: list[RecordedRun] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    readers: list[tuple[datetime, str]] = field(default_factory=list)
    count: int = 0

    # ------------------------------------------------------------------------------------------ what happens

    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    def read(self) -> None:
        self.readers += [(self.now, location) for location in self.current.values()]

    def run(
        self, tables: Iterable[str], outcome: Outcome | None, *, append: bool = True, clean: bool = True
    ) -> None:
        """A run that stages tables, and publishes them where that is its outcome; of a dirty tree there is no replay."""
        number = self._next()
        run_id = f"run-{number}"
        inputs = {name: self._state(name) for name in self.current}
        mine = [self._stage(name, run_id, outcome, number, append=append) for name in sorted(tables)]
        if outcome is Outcome.PUBLISHED:
            self._publish(run_id, number, {one.table: one.state.metadata_location for one in mine})
        else:
            self.candidates += mine
        if clean and outcome in (Outcome.PUBLISHED, Outcome.STAGED):
            self.runs.append(RecordedRun(run_id, self.now, inputs, {one.table: one.state for one in mine}))

    def approve(self) -> None:
        """Publish the last staged run, if its tables are where they were."""
        staged = [one for one in self.candidates if one.outcome is Outcome.STAGED]
        mine = [one for one in staged if one.run_id == staged[-1].run_id]
        there = all(
            one.state.metadata_location in self.objects for one in mine
        )  # metadata files are removed first
        if there and all(self.current.get(one.table) == one.base for one in mine):
            self._publish(
                mine[0].run_id, self._next(), {one.table: one.state.metadata_location for one in mine}
            )
            self.candidates = [one for one in self.candidates if one not in mine]

    def roll_back(self, which: int) -> None:
        """Show an earlier release again, if it is still there."""
        if not self.releases:
            return
        goal = self.releases[which % len(self.releases)]
        moves = {}
        for name, state in goal.tables.items():
            newest, snapshot = self.metadata[self.current[name]], state.snapshot_id
            if snapshot not in newest.snapshots or state.metadata_location not in self.objects:
                return
            assert snapshot is not None
            moves[name] = replace(newest, snapshot_id=snapshot)
        number = self._next()
        written = {name: self._write(name, moved, f"release-{number}") for name, moved in moves.items()}
        self._publish(goal.run_id, number, written, returns_to=goal.number)

    def maintain(self, steps: int | None = None) -> Plan:
        """Plan, and carry out so many steps before the process is killed."""
        history = self.history()
        names = history.names()
        layouts = {
            name: Layout(
                [
                    LiveFile(path, SMALL)
                    for path in self.content[self._state(name).snapshot_id or ""]
                    if "/data/" in path
                ],
                target=100,
            )
            for name in self.current
        }
        named = {one for name in names for one in self._named(history, name)}
        folders = {
            name: Folder(
                [Found(path, SMALL, at) for path, at in self.objects.items() if path.startswith(f"{name}/")],
                named,
            )
            for name in names
        }
        there = {path for path in named if path in self.objects}
        found = plan(history, names, layouts, folders, there)
        for step in list(found.steps)[:steps]:
            if isinstance(step, Compact):
                self._compact(step)
            elif isinstance(step, Expire):
                self._expire(step)
            else:
                for one in step.objects:
                    del self.objects[one.location]
        return found

    def history(self) -> History:
        shown: dict[str, datetime] = {}
        for publication in self.releases:
            for state in publication.tables.values():
                shown.setdefault(state.metadata_location, publication.published_at)
        tables = {}
        for name, location in self.current.items():
            one = self.metadata[location]
            ends = [*one.log[1:], (location, one.updated)]
            tables[name] = TableHistory(
                location,
                one.snapshot_id,
                one.snapshots,
                {**one.tags, "main": one.snapshot_id},
                list(one.tags),
                [
                    Superseded(file, max(at, shown.get(after, at)))
                    for (file, _), (after, at) in zip(one.log, ends, strict=False)
                ],
            )
        return History(
            self.now, FLOOR, tables, self.releases, self.runs, self.candidates, default=self.policy
        )

    # --------------------------------------------------------------------------------------- what it is made of

    def needs(self, location: str, snapshot: str | None = None) -> set[str]:
        """Objects that are opened by who reads one snapshot of a metadata file, or all that it names."""
        one = self.metadata[location]
        return {location}.union(*(self.content[name] for name in ([snapshot] if snapshot else one.snapshots)))

    def _named(self, history: History, table: str) -> set[str]:
        found: set[str] = set()
        for one in kept(history, table):
            found.add(one.state.metadata_location)
            if one.whole or one.state.snapshot_id:
                found |= self.needs(one.state.metadata_location, None if one.whole else one.state.snapshot_id)
        return found

    def _stage(
        self, name: str, run_id: str, outcome: Outcome | None, number: int, *, append: bool
    ) -> Candidate:
        base = self.current.get(name)
        before = self.metadata[base] if base else None
        data = self._object(name, "data")
        live = {path for path in self.content[before.snapshot_id] if "/data/" in path} if before else set()
        snapshot = self._snapshot(name, {data, *(live if append else ())})
        known = before.snapshots if before else {}
        staged = Metadata(
            "", snapshot, {**known, snapshot: self.now}, before.tags if before else {}, (), self.now
        )
        location = self._write(name, replace(staged, log=before.log if before else ()), f"release-{number}")
        return Candidate(run_id, self.now, name, base, TableVersion(location, snapshot), outcome)

    def _write(self, name: str, what: Metadata, tag: str = "") -> str:
        location = self._object(name, "metadata")
        base = self.current.get(name)
        log = (*what.log, (base, self.metadata[base].updated)) if base and self.logs else ()
        tags = {**what.tags, tag: what.snapshot_id} if tag else what.tags
        self.metadata[location] = replace(what, location=location, log=log, tags=tags, updated=self.now)
        return location

    def _publish(
        self, run_id: str, number: int, moves: dict[str, str], returns_to: int | None = None
    ) -> None:
        self.current |= moves
        self.releases.append(
            release(
                number,
                {
                    name: released(
                        self.metadata[location].snapshot_id, location, changed=name in moves, run_id=run_id
                    )
                    for name, location in self.current.items()
                },
                run_id=run_id,
                published_at=self.now,
                rolls_back=returns_to is not None,
                returns_to=returns_to,
            )
        )

    def _compact(self, step: Compact) -> None:
        before = self.metadata[self.current[step.table]]
        gone = {file.path for one in step.bins for file in one.files}
        made = {self._object(step.table, "data") for _ in step.bins}
        live = {path for path in self.content[before.snapshot_id] if "/data/" in path} - gone
        snapshot = self._snapshot(step.table, live | made)
        after = replace(before, snapshot_id=snapshot, snapshots={**before.snapshots, snapshot: self.now})
        self.current[step.table] = self._write(step.table, after)

    def _expire(self, step: Expire) -> None:
        before = self.metadata[self.current[step.table]]
        left = {name: at for name, at in before.snapshots.items() if name not in step.snapshots}
        tags = {tag: name for tag, name in before.tags.items() if tag not in step.tags}
        assert set(tags.values()) <= set(left), "a tag names a snapshot that is gone"
        self.current[step.table] = self._write(step.table, replace(before, snapshots=left, tags=tags))

    def _snapshot(self, name: str, data: set[str]) -> str:
        snapshot = str(self._next())
        self.content[snapshot] = frozenset({self._object(name, "metadata"), *data})
        return snapshot

    def _state(self, name: str) -> TableVersion:
        return TableVersion(self.current[name], self.metadata[self.current[name]].snapshot_id)

    def _object(self, name: str, folder: str) -> str:
        path = f"{name}/{folder}/{self._next()}"
        self.objects[path] = self.now
        return path

    def _next(self) -> int:
        self.count += 1
        return self.count
