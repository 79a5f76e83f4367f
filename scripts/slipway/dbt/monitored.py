"""What the generic tests of monitors ask: their arguments, what they compare, and their answer as SQL.

They are judged while dbt compiles them, when the tables that they look at are staged, and their answer is a query without tables. What they look at is in no
node key: the clock, history. So each says of itself that it is never carried.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from pyiceberg.table import Table

from slipway.contracts.classification import Classifications
from slipway.contracts.contract_files import read_contracts
from slipway.contracts.model import Contract
from slipway.dbt.classified_in_run import ClassifiedInRun
from slipway.dbt.command import is_partial
from slipway.dbt.inputs import read_as
from slipway.dbt.nodes import DbtManifest, DbtNode, find, table_of
from slipway.dbt.volatility import Volatility
from slipway.errors import ConfigError, NotFoundError, SlipwayError
from slipway.iceberg.schema import listed, top_level
from slipway.landing.feeds import Feed
from slipway.monitors import service_levels
from slipway.monitors.column_profiles import PROFILES, ColumnProfile, Kind, keep_profiles, kind_of
from slipway.monitors.service_levels import Calendar, Promise, judge_freshness, judge_latency
from slipway.monitors.table_profiles import TableProfiles
from slipway.monitors.verdicts import History, Verdict, judge_drift, judge_nulls, judge_volume
from slipway.monitors.volumes import DayOfRows, days_of_partitions, days_of_snapshots
from slipway.names import TableName
from slipway.records.run_manifest import Outcome
from slipway.runs.pinned_tables import PinnedTables
from slipway.runs.run_inputs import RunInputs
from slipway.runs.run_results import CarriedTests
from slipway.sql_text import literal

_KEPT = (Outcome.PUBLISHED, Outcome.STAGED, Outcome.UNCHANGED)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AWARE = "TIMESTAMP WITH TIME ZONE"
_AHEAD = timedelta(days=1)
_DAYS = "date '0001-01-02' and date '9999-12-30'"
"""Times that Python has in every time zone."""
_NOTHING = "select null::date as business_date, null::varchar as problem where false"


@dataclass(frozen=True)
class Question:
    """A monitor that is to be judged.

    Args:
        cursor: of the thread.
        manifest: dbt's manifest.
        test: the generic test.
        relation: what it looks at, as an item of FROM.
        given: its arguments.
    """

    cursor: duckdb.DuckDBPyConnection
    manifest: DbtManifest
    test: DbtNode
    relation: str
    given: Mapping[str, Any]

    @property
    def tested(self) -> str:
        """Unique id of the model, seed, snapshot or source that the test stands below.

        Raises:
            ConfigError: it stands below none.
        """
        name = getattr(self.test, "attached_node", None) or next(iter(self.test.depends_on_nodes), "")
        if find(self.manifest, name) is None:
            raise ConfigError(f"{self.test.name} looks at no table", fix="Write it below a model or a source")
        return str(name)

    @property
    def column(self) -> str:
        """The column that the test stands below, without quotes."""
        return str(self.given["column"]).strip('"')

    @property
    def table(self) -> TableName:
        """Its table."""
        found = find(self.manifest, self.tested)
        assert found is not None
        return table_of(found)

    def left_out(self) -> set[date]:
        """Days that are neither judged nor history."""
        return {service_levels.day_of(one) for one in self.given["except_dates"] or ()}

    def history(self) -> History | None:
        """Which earlier days count; None where the test has only bounds."""
        given = self.given
        if not given.get("anomaly", True):
            return None
        return History(int(given["window"]), int(given["min_history"]), float(given["deviations"]))


class Monitoring:
    """Judges the monitors of one run.

    Args:
        project: folder of dbt_project.yml.
        run_id: the run.
        inputs: what the run reads.
        pinned: what was published when it began.
        volatility: gets what a test reads in addition to tables.
        tests: gets the result of each.
        now: the time, UTC.
    """

    def __init__(
        self,
        project: Path,
        run_id: str,
        inputs: RunInputs,
        pinned: PinnedTables,
        volatility: Volatility,
        tests: CarriedTests,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._project, self._run_id, self._inputs, self._pinned = project, run_id, inputs, pinned
        self._of_tables: dict[TableName, TableProfiles] = {}
        self._lock = threading.Lock()
        self._volatility, self._tests, self._now = volatility, tests, now
        self._classifications = ClassifiedInRun(project, inputs, pinned)

    def judge(self, kind: str, question: Question) -> Verdict:
        """What a monitor finds.

        Raises:
            ConfigError: it cannot be judged as it is configured.
            NotFoundError: it names a contract that there is not.
        """
        judge, why = {
            "freshness": (self._freshness, "it looks at the clock"),
            "latency": (self._latency, "it looks at the contracts of the project"),
            "volume": (self._volume, "it looks at earlier snapshots"),
            "nulls": (self._nulls, "it looks at earlier profiles"),
            "drift": (self._drift, "it looks at earlier profiles"),
        }[kind]
        unique_id = question.test.unique_id
        self._volatility.rendered[unique_id] = why
        part = self._part()
        verdict = Verdict(not_evaluated=part) if part else judge(question)
        self._tests.notes[unique_id] = verdict.line
        return verdict

    def _volume(self, question: Question) -> Verdict:
        given = question.given
        refuse_condition(question)
        table, before = self._table(question), self._pinned.base(question.table)
        if given["date_column"]:
            days = _partitions(question, table)
            earlier = days_of_partitions(before, str(given["date_column"])) if before else None
            rows = {day: one.rows for day, one in days.items()}
            known = {day: one.rows for day, one in (earlier or {}).items()}
        else:
            zone = service_levels.calendar(str(given["time_zone"])).zone
            if (which := given["count"]) not in ("added", "total"):
                raise ConfigError(f"{question.test.name}: count is {which}", fix="Write added or total")
            rows, known = days_of_snapshots(table, which, zone), {}
        rows = {day: count for day, count in rows.items() if day not in question.left_out()}
        return judge_volume(
            rows,
            judged_days(rows, known),
            least=given["min_rows"],
            most=given["max_rows"],
            history=question.history(),
        )

    def _nulls(self, question: Question) -> Verdict:
        known, judged = self._profiles(question)
        return judge_nulls(
            {day: (one.null_count, one.row_count) for day, one in known.items()},
            judged,
            question.column,
            most=question.given["max_rate"],
            history=question.history(),
        )

    def _drift(self, question: Question) -> Verdict:
        if self._classified(question).hides_values(question.column):
            raise ConfigError(
                f"{question.test.name} looks at {question.column}, which is classified, or made from what is",
                "no value of it is kept",
                "Use null_rate, which keeps counts",
            )
        field = top_level(self._table(question).schema(), question.column)
        if field is not None and kind_of(field) is Kind.OTHER:
            raise ConfigError(
                f"{question.test.name} looks at {question.column}",
                f"values of type {field.field_type} are not compared",
                "Name a column of numbers, texts or times",
            )
        known, judged = self._profiles(question)
        given, history = question.given, question.history()
        assert history is not None  # it has no bounds that need none
        return judge_drift(
            {day: one.values for day, one in known.items()},
            judged,
            question.column,
            most=float(given["max_index"]),
            new_share=float(given["new_share"]),
            history=history,
        )

    def _profiles(self, question: Question) -> tuple[dict[date, ColumnProfile], list[date]]:
        """Profiles of the column of a test by day, and the days that are judged."""
        refuse_condition(question)
        table, window = self._table(question), int(question.given["window"])
        if top_level(table.schema(), question.column) is None:
            raise ConfigError(
                f"{question.table} has no column {question.column}",
                fix=f"Use one of {listed(table.schema())}",
            )
        with self._lock:
            if question.table not in self._of_tables:
                self._of_tables[question.table] = TableProfiles(
                    question.table,
                    table,
                    self._pinned.base(question.table),
                    self._inputs.own(PROFILES),
                    self._run_id,
                    self._now(),
                )
        found = self._of_tables[question.table].column(
            question.cursor,
            question.relation,
            question.column,
            str(question.given["date_column"]),
            window=window,
            classified=self._classified(question).hidden,
        )
        left_out = question.left_out()
        known = {day: one for day, one in found.known.items() if day not in left_out}
        return known, [day for day in found.judged if day not in left_out]

    def _classified(self, question: Question) -> Classifications:
        return self._classifications.of_table(question.manifest, question.table)

    def keep(self, outcome: Outcome, days: int) -> str:
        """Keep the profiles that the run has made, unless its tables will never be published.

        Args:
            outcome: of the run.
            days: how many days profiles are kept.

        Returns:
            A line about why they are not kept, empty when they are: the next run makes them again.
        """
        made = [one for found in self._of_tables.values() for one in found.made]
        if not made or self._pinned.places.is_scratch or outcome not in _KEPT:
            return ""
        try:
            keep_profiles(self._pinned.places.outputs, made, days)
        except SlipwayError as error:
            return f"profiles of columns are not kept, and the next run makes them again: {error.line()}"
        return ""

    def _table(self, question: Question) -> Table:
        """The table as this run sees it.

        Raises:
            ConfigError: it is none of an environment.
        """
        table = self._inputs.known(*read_as(self._inputs, question.manifest, question.tested))
        if table is None:
            raise ConfigError(
                f"{question.test.name} looks at {question.table}",
                "it is no Iceberg table, and so has no history",
                "Write it below a model that is a table",
            )
        return table

    def _part(self) -> str:
        """Why this run has not the rows of now; empty where it has."""
        if self._pinned.places.pins is not None:
            return "the run builds from recorded inputs"
        if self._pinned.places.is_slice:
            return "the run builds a slice"
        return "the run builds with --empty or --sample" if is_partial() else ""

    def _freshness(self, question: Question) -> Verdict:
        cursor, relation, given = question.cursor, question.relation, question.given
        column, days = str(given["column"]), _calendar(given)
        promise = self._promise(question)
        max_age = service_levels.length(str(given["max_age"])) if given["max_age"] else promise.freshness
        by = service_levels.due(str(given["due"])) if given["due"] else promise.due
        if max_age is None and by is None:
            raise _no_limit(question.test, "max_age or due", "freshness or timeOfAvailability")
        kind, now = _type_of(cursor, relation, column), self._now()
        # a date that nobody has reached yet would make the table fresh until then
        offset = "+00" if kind == _AWARE else ""
        known = f"{column} <= {literal(f'{now + _AHEAD:%Y-%m-%d %H:%M:%S}{offset}')}::{kind}"
        if kind == "DATE":
            ((day,),) = cursor.execute(f"select max({column}) from {relation} where {known}").fetchall()
            newest: datetime | date | None = day
        else:
            moment = _moment(cursor, relation, column, given["time_zone"])
            ((us,),) = cursor.execute(
                f"select epoch_us(max({moment})) from {relation} where {known}"
            ).fetchall()
            newest = None if us is None else _EPOCH + timedelta(microseconds=us)
        later = int(given["due_days"])
        return judge_freshness(newest, now, days, max_age=max_age, by=by, days_later=later)

    def _latency(self, question: Question) -> Verdict:
        cursor, relation, given = question.cursor, question.relation, question.given
        column, happened, zone = str(given["column"]), str(given["happened_at"]), given["time_zone"]
        days, promise = _calendar(given), self._promise(question)
        allowed = (
            service_levels.length(str(given["max_latency"])) if given["max_latency"] else promise.latency
        )
        if allowed is None:
            raise _no_limit(question.test, "max_latency", "latency")
        arrived, began = (_moment(cursor, relation, one, zone) for one in (column, happened))
        rows = cursor.execute(
            f"""
            with timed as (
                select {arrived} as arrived, {began} as happened
                from {relation} where {column} between {_DAYS} and {happened} between {_DAYS}
            ),
            recent as (
                from timed where arrived >= (select max(arrived) from timed) - to_days({int(given["days"])})
            )
            select epoch_us(arg_max(happened, arrived - happened)), epoch_us(arg_max(arrived, arrived - happened))
            from recent group by timezone({literal(str(zone))}, happened)::date
            """
        ).fetchall()
        slowest = [tuple(_EPOCH + timedelta(microseconds=us) for us in row) for row in rows]
        return judge_latency([(one, other) for one, other in slowest], days, allowed)

    def _promise(self, question: Question) -> Promise:
        """What the contract promises of the table that a test looks at, or the contract that it names."""
        contracts, table, given = read_contracts(self._project), question.table, question.given
        named, column = given["contract"], question.column
        found = [
            (one, names)
            for one in contracts
            if (names := objects(one, table) if named is None else {part.name for part in one.tables})
            and named in (None, one.id)
        ]
        if named is not None and not found:
            raise NotFoundError(f"No contract {named}", "none in contracts/ has this id", "Write one's id")
        names = {name for _, called in found for name in called}
        return service_levels.promised([sla for one, _ in found for sla in one.sla], names, column)


def profile_days(variables: Mapping[str, Any]) -> int:
    """How many days before the newest of a table profiles of columns are kept: the var ``keep_profile_days``.

    Raises:
        ConfigError: it is no number of days.
    """
    days: object = variables.get("keep_profile_days", 400)
    if isinstance(days, bool) or not isinstance(days, int) or days < 1:
        raise ConfigError(f"keep_profile_days is {days}", "it is no number of days", "Write for example 400")
    return days


def findings_query(verdict: Verdict) -> str:
    """A query with the findings of a verdict: ``business_date`` and ``problem``."""
    if not verdict.findings:
        return _NOTHING
    rows = ", ".join(
        f"({'null' if one.business_date is None else literal(str(one.business_date))}::date, {literal(one.text)})"
        for one in verdict.findings
    )
    return f"select business_date, problem from (values {rows}) as findings(business_date, problem)"


def judged_days(now: Mapping[date, object], before: Mapping[date, object]) -> list[date]:
    """The days that a run has to answer for: the newest, and those that are not as they are published.

    Where nothing is published all days are new, and only the newest is judged: the others are its history.
    """
    changed = {day for day, one in now.items() if before.get(day) != one} if before else set()
    return sorted(changed | ({max(now)} if now else set()))


def refuse_condition(question: Question) -> None:
    """Refuse ``where`` of a test that reads no rows.

    Raises:
        ConfigError: it has one.
    """
    if question.test.config.get("where"):
        raise ConfigError(
            f"{question.test.name} has a where", "it looks at all rows of the table", "Remove it"
        )


def _partitions(question: Question, table: Table) -> Mapping[date, DayOfRows]:
    column = str(question.given["date_column"])
    found = days_of_partitions(table, column)
    if found is None:
        raise ConfigError(
            f"{question.test.name}: the metadata of {question.table} does not say how many rows have which {column}",
            "the table is not partitioned by it, has files that are not, or delete files of another program",
            f"Configure partitioned_by: [{column}], or leave date_column out to count the rows that are added",
        )
    return found


def objects(contract: Contract, table: TableName) -> set[str]:
    """What a contract calls a table, empty where it does not describe it."""
    if (feed := Feed.of(contract)) is not None:
        return {contract.tables[0].name} if table == ("raw", feed.name) else set()
    names = {one.name: one.physical_name or one.name for one in contract.tables}
    return {name for name, place in names.items() if str(table) == (place if "." in place else contract.id)}


def _calendar(given: Mapping[str, Any]) -> Calendar:
    return service_levels.calendar(str(given["time_zone"]), given["weekdays"], given["holidays"])


def _type_of(cursor: duckdb.DuckDBPyConnection, relation: str, column: str) -> str:
    described = cursor.execute(f"select {column} from {relation} limit 0").description
    return str(described[0][1])


def _moment(cursor: duckdb.DuckDBPyConnection, relation: str, column: str, zone: object) -> str:
    """SQL for the moment that a column holds; a time without an offset is one of the test's time zone.

    Raises:
        ConfigError: it holds no times.
    """
    kind = _type_of(cursor, relation, column)
    if kind == "DATE" or kind.startswith("TIMESTAMP"):
        return column if kind == _AWARE else f"timezone({literal(str(zone))}, {column}::timestamp)"
    raise ConfigError(
        f"{column} holds no times", f"its type is {kind}", "Name a column of dates or timestamps"
    )


def _no_limit(test: DbtNode, arguments: str, promised: str) -> ConfigError:
    return ConfigError(
        f"{test.name} has no limit",
        f"neither the test says {arguments} nor the table's contract {promised}",
        f"Write {arguments.partition(' or ')[0]} in the test, or slaProperties in the contract",
    )
