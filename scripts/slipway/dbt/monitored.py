"""What the generic tests of monitors ask: their arguments, what they compare, and their answer as SQL.

They are judged while dbt compiles them, when the tables that they look at are staged, and their answer is a query without tables. What they look at is in no
node key: the clock, history. So each says of itself that it is never carried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from slipway.contracts.contract_files import read_contracts
from slipway.contracts.model import Contract
from slipway.dbt.nodes import DbtManifest, DbtNode, find, table_of
from slipway.dbt.volatility import Volatility
from slipway.errors import ConfigError, NotFoundError
from slipway.iceberg.types import literal
from slipway.landing.feeds import Feed
from slipway.monitors import service_levels
from slipway.monitors.service_levels import Calendar, Promise, judge_freshness, judge_latency
from slipway.monitors.verdicts import Verdict
from slipway.names import TableName
from slipway.runs.run_results import CarriedTests

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING = "select null::date as business_date, null::varchar as problem where false"


class Monitoring:
    """Judges the monitors of one run.

    Args:
        project: folder of dbt_project.yml.
        volatility: is told what a test looks at besides tables.
        tests: is told what each has to say.
        now: the time, UTC.
    """

    def __init__(
        self,
        project: Path,
        volatility: Volatility,
        tests: CarriedTests,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._project, self._volatility, self._tests, self._now = project, volatility, tests, now

    def query(
        self,
        cursor: duckdb.DuckDBPyConnection,
        manifest: DbtManifest,
        unique_id: str,
        kind: str,
        relation: str,
        given: Mapping[str, Any],
    ) -> str:
        """What a monitor finds, as a query with a row for each finding.

        Args:
            cursor: of the thread.
            manifest: dbt's manifest.
            unique_id: the test.
            kind: which monitor it is.
            relation: what it looks at, as an item of FROM.
            given: its arguments.

        Raises:
            ConfigError: it cannot be judged as it is configured.
            NotFoundError: it names a contract that there is not.
        """
        test = manifest.nodes[unique_id]
        judge, why = {
            "freshness": (self._freshness, "it looks at the clock"),
            "latency": (self._latency, "it looks at the contracts of the project"),
        }[kind]
        self._volatility.rendered[unique_id] = why
        verdict = judge(cursor, manifest, test, relation, given)
        self._tests.notes[unique_id] = verdict.line
        return findings_query(verdict)

    def _freshness(
        self,
        cursor: duckdb.DuckDBPyConnection,
        manifest: DbtManifest,
        test: DbtNode,
        relation: str,
        given: Mapping[str, Any],
    ) -> Verdict:
        column, days = str(given["column"]), _calendar(given)
        promise = self._promise(manifest, test, given)
        max_age = service_levels.length(str(given["max_age"])) if given["max_age"] else promise.freshness
        by = service_levels.due(str(given["due"])) if given["due"] else promise.due
        if max_age is None and by is None:
            raise _no_limit(test, "max_age or due", "freshness or timeOfAvailability")
        if _type_of(cursor, relation, column) == "DATE":
            ((day,),) = cursor.execute(
                f"select max({column}) from {relation} where isfinite({column})"
            ).fetchall()
            newest: datetime | date | None = day
        else:
            moment = _moment(cursor, relation, column, given["time_zone"])
            ((us,),) = cursor.execute(
                f"select epoch_us(max({moment})) from {relation} where isfinite({column})"
            ).fetchall()
            newest = None if us is None else _EPOCH + timedelta(microseconds=us)
        later = int(given["due_days"])
        return judge_freshness(newest, self._now(), days, max_age=max_age, by=by, days_later=later)

    def _latency(
        self,
        cursor: duckdb.DuckDBPyConnection,
        manifest: DbtManifest,
        test: DbtNode,
        relation: str,
        given: Mapping[str, Any],
    ) -> Verdict:
        column, happened, zone = str(given["column"]), str(given["happened_at"]), given["time_zone"]
        days, promise = _calendar(given), self._promise(manifest, test, given)
        allowed = (
            service_levels.length(str(given["max_latency"])) if given["max_latency"] else promise.latency
        )
        if allowed is None:
            raise _no_limit(test, "max_latency", "latency")
        arrived, began = (_moment(cursor, relation, one, zone) for one in (column, happened))
        rows = cursor.execute(
            f"""
            with timed as (
                select {arrived} as arrived, {began} as happened
                from {relation} where isfinite({column}) and isfinite({happened})
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

    def _promise(self, manifest: DbtManifest, test: DbtNode, given: Mapping[str, Any]) -> Promise:
        """What the contract promises of the table that a test looks at, or the contract that it names."""
        contracts, table = read_contracts(self._project), tested_table(manifest, test)
        named, column = given["contract"], str(given["column"]).strip('"')
        found = [
            (one, names)
            for one in contracts
            if (names := objects(one, table) if named is None else {part.name for part in one.tables})
            and named in (None, one.id)
        ]
        if named is not None and not found:
            raise NotFoundError(f"No contract {named}", "none in contracts/ has this id", "Write one's id")
        levels = [(sla, names) for one, names in found for sla in one.sla]
        every = {name for _, names in found for name in names}
        return service_levels.promised([sla for sla, _ in levels], every, column)


def findings_query(verdict: Verdict) -> str:
    """A query with the findings of a verdict: ``business_date`` and ``problem``."""
    if not verdict.findings:
        return _NOTHING
    rows = ", ".join(
        f"({'null' if one.business_date is None else literal(str(one.business_date))}::date, {literal(one.text)})"
        for one in verdict.findings
    )
    return f"select business_date, problem from (values {rows}) as findings(business_date, problem)"


def tested_table(manifest: DbtManifest, test: DbtNode) -> TableName:
    """The table of the model, seed, snapshot or source that a generic test looks at."""
    name = getattr(test, "attached_node", None) or next(iter(test.depends_on_nodes), "")
    found = find(manifest, name)
    if found is None:
        raise ConfigError(f"{test.name} looks at no table", fix="Write it below a model or a source")
    return table_of(found)


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
        is_aware = kind == "TIMESTAMP WITH TIME ZONE"
        return column if is_aware else f"timezone({literal(str(zone))}, {column}::timestamp)"
    raise ConfigError(
        f"{column} holds no times", f"its type is {kind}", "Name a column of dates or timestamps"
    )


def _no_limit(test: DbtNode, arguments: str, promised: str) -> ConfigError:
    return ConfigError(
        f"{test.name} has no limit",
        f"neither the test says {arguments} nor the table's contract {promised}",
        f"Write {arguments.partition(' or ')[0]} in the test, or slaProperties in the contract",
    )
