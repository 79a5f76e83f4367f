"""Random sequences of files, in every mode: the books balance, no landed value is lost, and what is current is what was sent last.

The other opinion is a dictionary of what each name held when a run looked.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.harness.landing_area import FEED, Area, lines

from slipway.contracts.model import FileMode
from slipway.landing.file_versions import current, version, versions_query
from slipway.landing.land import Landing
from slipway.landing.ledger import Ledger
from slipway.records.landed_files import LandedFile

NAMES = ["a.csv", "b.csv", "sub/c.csv"]
CONTENTS = {
    "nothing": lines(),
    "one": lines("1,x,1"),
    "two": lines("1,x,1", "2,y,2"),
    "three": lines("3,z,3", "3,z,3", "4,,"),
    "bad": lines("1,x"),
}
ROWS = {"nothing": 0, "one": 1, "two": 2, "three": 3}
ACTION = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(NAMES), st.sampled_from(sorted(CONTENTS))),
    st.tuples(st.just("rename"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("remove"), st.sampled_from(NAMES), st.just("")),
    st.tuples(st.just("touch"), st.sampled_from(NAMES), st.just("")),
)
RUNS = st.lists(st.lists(ACTION, max_size=3), min_size=1, max_size=6)
RAW = "id varchar, text varchar, amount varchar, _source_file varchar, _source_line bigint, _file_sha256 varchar, _landed_at timestamptz, _run_id varchar"


class Remembered(Ledger):
    """A ledger without a table: what is tested here is what stands in it."""

    def _read(self) -> pa.Table:
        return pa.table({})

    def _append(self, entries: Sequence[LandedFile]) -> bool:
        return True


class Place(Area):
    """A landing area with such a ledger."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ledger = Remembered(self.tables)

    def looked_at(self, keys: Collection[str] | None) -> Landing:
        found = super().looked_at(keys)
        found.ledger = self.ledger
        return found


class Story:
    """A landing area, a raw table, and what a person who watches would say is in them."""

    def __init__(self, folder: Path, mode: FileMode) -> None:
        self.area, self.mode, self.number = Place(folder), mode, 0
        self.area.feed = replace(FEED, mode=mode)
        self.area.connection.execute(f"create table raw ({RAW})")
        self.files: dict[str, str] = {}
        self.latest: dict[str, str] = {}  # name to the content that was accepted last
        self.newest = ""
        self.landed: set[str] = set()

    def do(self, action: str, name: str, other: str) -> None:
        """Change the landing area."""
        path = self.area.folder / name
        if action == "put":
            self.files[name] = other
            self._write(name, other)
        elif name in self.files and action == "rename" and other != name:
            self.files[other] = self.files.pop(name)
            path.unlink()
            self._write(other, self.files[other])
        elif name in self.files and action == "remove":
            del self.files[name]
            path.unlink()
        elif name in self.files and action == "touch":
            self._write(name, self.files[name])

    def _write(self, name: str, content: str) -> None:

        self.number += 1
        path = self.area.put(name, CONTENTS[content])
        os.utime(path, ns=(0, 1_700_000_000_000_000_000 + self.number * 1_000_000_000))

    def run(self) -> None:
        """Land, and add to raw what it does not show yet."""
        held = self._held()
        self.area.ingested = held
        entries = self.area.land()
        landing = self.area.landing
        pending = landing.wanted("orders") - held
        files, _ = landing.find("orders", pending)
        marked = landing.marks("orders", files, pending, held)
        query = landing.select("orders", files, f"run-{self.area.runs}", marked)
        self.area.connection.execute(f"insert into raw {query}")
        for name in sorted(entries):
            content = self.files[name]
            if content != "bad":
                self.latest[name.rsplit("/", 1)[-1]] = self.newest = content
                self.landed.add(content)

    def _held(self) -> set[str]:
        rows = self.area.connection.execute(
            "select distinct _file_sha256 from raw where _source_line > 0"
        ).fetchall()
        held = {row[0] for row in rows}
        if self.mode is not FileMode.APPEND:
            found = self.area.connection.execute(versions_query(self.mode, "raw")).fetchall()
            held |= {version(*row) for row in found}
        return held

    def current(self) -> Counter[tuple[str | None, ...]]:
        """The current rows of raw."""
        condition = "true"
        if self.mode is not FileMode.APPEND:
            found = self.area.connection.execute(versions_query(self.mode, "raw")).fetchall()
            newest = {row[1] for row in found}
            held = self.area.connection.execute("select distinct _file_sha256 from raw").fetchall()
            condition = current({row[0]: row[0] in newest for row in held})
        rows = self.area.connection.execute(f"select id, text, amount from raw where {condition}").fetchall()
        return Counter(rows)

    def expected(self) -> Counter[tuple[str | None, ...]]:
        """What should be current: each content once."""
        if self.mode is FileMode.APPEND:
            contents = self.landed
        else:
            contents = set(self.latest.values()) if self.mode is FileMode.REPLACE else {self.newest} - {""}
        return Counter(row for content in contents for row in rows_of(content))

    def check(self) -> None:
        """The books balance."""
        held = self.area.connection.execute(
            "select _file_sha256, count(*), count(distinct _source_line) from raw where _source_line > 0 group by all"
        ).fetchall()
        shas = {hashlib.sha256(CONTENTS[name].encode()).hexdigest(): rows for name, rows in ROWS.items()}
        accepted = {
            sha: entry.rows
            for sha, entry in self.area.landing.ledger.accepted("orders").items()
            if entry.rows
        }
        assert {sha: rows for sha, rows, _ in held} == accepted
        assert all(rows == lines_ == shas[sha] for sha, rows, lines_ in held)
        assert self.current() == self.expected()


def rows_of(content: str) -> list[tuple[str | None, ...]]:
    return [tuple(value or None for value in line.split(",")) for line in CONTENTS[content].splitlines()[1:]]


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(RUNS, st.sampled_from(list(FileMode)))
def test_the_books_balance_whatever_comes(runs: list[list[tuple[str, str, str]]], mode: FileMode) -> None:
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder), mode)
        try:
            for actions in runs:
                for action in actions:
                    story.do(*action)
                story.run()
                story.check()
        finally:
            story.area.close()
