"""The profiles of one table that a run needs: those that were kept, and those that it makes because days have changed."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import duckdb
from pyiceberg.table import Table

from slipway.iceberg.earlier_states import ancestors
from slipway.iceberg.metadata_files import summary_of
from slipway.iceberg.snapshots import content_of, current_content
from slipway.monitors.column_profiles import (
    ColumnProfile,
    DayColumn,
    counted,
    profile_columns,
    stored_profiles,
)
from slipway.monitors.volumes import DayOfRows, days_of_partitions
from slipway.names import TableName
from slipway.sql_text import literal

_MOST_JUDGED = 31
"""Of more days that one run changed, the last ones are judged."""
_DAYS = "date '0001-01-01' and date '9999-12-31'"
"""Those that Python's calendar has."""
_LEAST_DAYS = 120
"""So many days are profiled at least where the whole table is read for it."""


@dataclass(frozen=True)
class Profiled:
    """Profiles of a column by day.

    Args:
        known: those that count, of days that the table has now and of days that it had.
        judged: the newest day, and those that are not as they are published.
    """

    known: Mapping[date, ColumnProfile]
    judged: Collection[date]


class TableProfiles:
    """Profiles of one table in one run; threads take turns.

    Args:
        identifier: the table.
        table: as the run sees it.
        before: as it is published; None where it is not.
        stored: ``ops.column_profiles``; None where there is none yet.
        run_id: the run.
        now: the time, UTC.

    Attributes:
        made: profiles that this run has made.
    """

    def __init__(
        self,
        identifier: TableName,
        table: Table,
        before: Table | None,
        stored: Table | None,
        run_id: str,
        now: datetime,
    ) -> None:
        self._identifier, self._table, self._before, self._stored = identifier, table, before, stored
        self._run_id, self._now = run_id, now
        self._lock = threading.Lock()
        self._days: dict[str, tuple[Mapping[date, DayOfRows] | None, Mapping[date, DayOfRows]]] = {}
        self._read: dict[date | None, list[ColumnProfile]] = {}
        self.made: list[ColumnProfile] = []

    def column(
        self,
        cursor: duckdb.DuckDBPyConnection,
        relation: str,
        name: str,
        day_column: str,
        *,
        window: int,
        classified: Collection[str],
    ) -> Profiled:
        """Profiles of a column, with those of as many days before the judged ones as a window has.

        Args:
            cursor: of the thread.
            relation: the table as an item of FROM.
            name: of the column, in any case.
            day_column: the column that says of which day a row is.
            window: days.
            classified: columns of which no value is kept, in small letters.

        Raises:
            ConfigError: the day column is none.
            DamagedTableError: a file cannot be read.
        """
        days = DayColumn.of(self._table.schema(), day_column, str(self._identifier))
        with self._lock:
            if days.name not in self._days:
                published = days_of_partitions(self._before, days.name) if self._before else None
                self._days[days.name] = days_of_partitions(self._table, days.name), published or {}
            partitions, before = self._days[days.name]
            if partitions is None:
                return self._of_whole_table(cursor, relation, name, days, window, classified)
            return self._of_partitions(cursor, relation, name, days, window, classified, partitions, before)

    def _of_partitions(
        self,
        cursor: duckdb.DuckDBPyConnection,
        relation: str,
        name: str,
        days: DayColumn,
        window: int,
        classified: Collection[str],
        now: Mapping[date, DayOfRows],
        published: Mapping[date, DayOfRows],
    ) -> Profiled:
        if not now:
            return Profiled({}, ())
        changed = [day for day in now if published and published.get(day) != now[day]]
        candidates = sorted({max(now), *sorted(changed)[-_MOST_JUDGED:]})
        needed = {day for day in now if any(0 <= (one - day).days <= window for one in candidates)}
        contents = {day: one.content for day, one in now.items()}
        kept = self._kept(min(needed))
        have = {
            one.business_date for one in (*kept, *self.made) if contents.get(one.business_date) == one.content
        }
        if missing := sorted(needed - have):
            listed = ", ".join(f"date {literal(str(day))}" for day in missing)
            condition = f"{days.between(missing[0], missing[-1])} and {days.day} in ({listed})"
            rows = sum(now[day].rows for day in missing)
            self._make(cursor, relation, days, condition, rows, classified, contents)
        before = {day: one.content for day, one in published.items()}
        return self._answer(name, kept, before, contents, candidates)

    def _of_whole_table(
        self,
        cursor: duckdb.DuckDBPyConnection,
        relation: str,
        name: str,
        days: DayColumn,
        window: int,
        classified: Collection[str],
    ) -> Profiled:
        content = f"snapshot {current_content(self._table)}"
        kept = self._kept(None)
        there = [one.business_date for one in (*kept, *self.made) if one.content == content]
        if not there:
            ((newest,),) = cursor.execute(
                f"select max({days.day}) from {relation} where {days.day} between {_DAYS}"
            ).fetchall()
            if newest is None:
                return Profiled({}, ())
            first = date.fromordinal(max(1, newest.toordinal() - max(window, _LEAST_DAYS)))
            rows = int(summary_of(self._table.current_snapshot()).get("total-records", 0))
            self._make(cursor, relation, days, days.between(first, newest), rows, classified, content)
            there = [one.business_date for one in self.made if one.content == content]
        contents = dict.fromkeys(there, content)
        before = f"snapshot {current_content(self._before)}"
        known = {one.business_date: before for one in kept if one.content == before}
        return self._answer(name, kept, known, contents, sorted(contents)[-_MOST_JUDGED:])

    def _kept(self, first: date | None) -> list[ColumnProfile]:
        if first not in self._read:
            self._read[first] = stored_profiles(self._stored, self._identifier, first)
        return self._read[first]

    def _make(
        self,
        cursor: duckdb.DuckDBPyConnection,
        relation: str,
        days: DayColumn,
        condition: str,
        rows: int,
        classified: Collection[str],
        content: Mapping[date, str] | str,
    ) -> None:
        measured = profile_columns(
            cursor, relation, self._table.schema(), days, condition, rows=rows, classified=classified
        )
        for one in measured:
            day = one["business_date"]
            assert isinstance(day, date)
            self.made.append(
                ColumnProfile(
                    table_name=str(self._identifier),
                    content=content if isinstance(content, str) else content[day],
                    snapshot_id=str(current_content(self._table)),
                    run_id=self._run_id,
                    profiled_at=self._now,
                    **one,  # type: ignore[arg-type]
                )
            )

    def _answer(
        self,
        name: str,
        kept: list[ColumnProfile],
        published: Mapping[date, str],
        contents: Mapping[date, str],
        candidates: list[date],
    ) -> Profiled:
        current = self._table.current_snapshot()
        line = {content_of(one) for one in ancestors(self._table, current.snapshot_id if current else None)}

        def by_day(profiles: Collection[ColumnProfile]) -> dict[date, ColumnProfile]:
            return {one.business_date: one for one in profiles if one.column_name.lower() == name.lower()}

        earlier = by_day(counted(kept, published, line))
        of_now = [one for one in (*kept, *self.made) if contents.get(one.business_date) == one.content]
        now = by_day(of_now)
        judged = [
            day
            for day in candidates
            if day in now
            and (day == max(now) or (earlier and _measured(earlier.get(day)) != now[day].measured))
        ]
        return Profiled({**earlier, **now}, judged)


def _measured(profile: ColumnProfile | None) -> object:
    return profile.measured if profile else None
