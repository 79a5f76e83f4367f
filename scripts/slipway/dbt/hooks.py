"""What happens around the nodes of a run: its turn, what landed, retry, tests that need not run."""

from __future__ import annotations

import atexit
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
from dbt import selected_resources
from dbt.adapters.contracts.connection import AdapterResponse
from dbt.adapters.factory import FACTORY
from dbt.events.types import JinjaLogInfo
from dbt_common.events.functions import fire_event

from slipway.counts import plural
from slipway.dbt.command import is_partial, target_path
from slipway.dbt.data_tests import MOST_PROBLEMS, PROBLEM
from slipway.dbt.inputs import inputs_of
from slipway.dbt.keys.node_key import keys_by_engine, unit_test_key
from slipway.dbt.nodes import DbtManifest
from slipway.dbt.volatility import Volatility, volatile_node, volatile_unit_test
from slipway.environments.environment import Environment, Mode
from slipway.environments.profiles import ADAPTER
from slipway.errors import ConfigError, DamagedError, NotFoundError
from slipway.iceberg.catalogs.movers import can_be_published_on
from slipway.landing.area import nothing_to_land
from slipway.names import shown
from slipway.records.landed_files import outstanding_lines
from slipway.records.node_results import TestResult
from slipway.records.store import Records
from slipway.releases.candidates import staged_of
from slipway.releases.lease_rules import WAITS
from slipway.releases.leases import HeldLease, Leases
from slipway.runs.earlier_results import EarlierResults
from slipway.runs.intake import Intake
from slipway.runs.pinned_tables import PinnedTables
from slipway.runs.run_candidate import RunCandidate
from slipway.runs.run_inputs import RunInputs
from slipway.runs.run_request import RunRequest
from slipway.runs.run_results import CarriedTests
from slipway.secrets import one_line
from slipway.settings import Settings

_NO_TABLE = ("ephemeral", "view")
_MOST = 10  # run manifests that are read besides the last one whose tables are what is published
_COPIED = ("on_run_begin", "on_run_finish")


def take_turn(
    manifest: DbtManifest,
    request: RunRequest,
    environment: Environment,
    records: Records,
    *,
    everything: bool,
) -> HeldLease | None:
    """Take the lease of the tables that a run may publish; None for one that cannot publish, which needs none.

    Args:
        manifest: dbt's.
        request: what the caller asked for.
        environment: where the run publishes.
        records: of the environment.
        everything: the run may publish more than dbt selected.

    Raises:
        ConflictError: others on the same tables took longer than the run may wait.
        ConfigError: SLIPWAY_WAIT is no number of seconds.
    """
    tables = None if everything else _tables(manifest)
    publishes = environment.mode is not Mode.PRODUCTION if request.managed else environment.publishes_from_dbt
    if tables == [] or is_partial() or not publishes:
        return None
    wait = Settings.read().wait_seconds if request.wait is None else request.wait
    lease = Leases(records).take(
        request.run_id,
        tables,
        wait=WAITS if wait is None else wait,
        what=f"A run in {environment.name}",
        tell=lambda text: fire_event(JinjaLogInfo(msg=text)),
    )
    atexit.register(lease.release)  # plain dbt leaves out on-run-end when it is interrupted
    return lease


def forget_relations() -> None:
    """Have dbt ask anew which tables there are."""
    adapter: Any = FACTORY.adapters[ADAPTER]
    adapter.cache.clear()


def _tables(manifest: DbtManifest) -> list[str]:
    """``layer.table`` of the models, seeds and snapshots that dbt selected."""
    selected = [manifest.nodes.get(unique_id) for unique_id in selected_resources.SELECTED_RESOURCES]
    return [
        f"{node.schema}.{node.alias}"
        for node in selected
        if node is not None
        and node.resource_type in ("model", "seed", "snapshot")
        and node.config.materialized not in _NO_TABLE
    ]


def check_copies(manifest: DbtManifest) -> None:
    """Refuse macros that projects had as files of their own before the package brought them: hooks would run twice.

    Raises:
        ConfigError: there are some.
    """
    for macro in manifest.macros.values():
        if macro.name in _COPIED:
            raise ConfigError(
                f"{shown(macro.original_file_path)} has Slipway's macro {macro.name}",
                "it comes with the adapter now",
                "Delete the project's copies of Slipway's macros, and the hooks that call them in dbt_project.yml",
            )


def landing_lines(intake: Intake) -> list[str]:
    """What landed, one line a feed and one per file that was set aside."""
    lines, landing = [], intake.landing
    for feed in landing.feeds:
        new = [entry for entry in intake.landed if entry.feed == feed]
        if ahead := landing.ledger.from_the_future(feed):
            when = f"{ahead[-1].landed_at:%Y-%m-%d %H:%M} UTC"
            lines.append(
                f"landed {feed}: {ahead[-1].path} landed by a clock that said {when}, so that it does not count as fresh"
            )
        if feed in landing.empty:
            lines.append(nothing_to_land(landing.area.root, feed))
        if not new:
            continue
        accepted = [entry for entry in new if entry.verdict == "accepted"]
        rows = sum(entry.rows or 0 for entry in accepted)
        lines.append(
            f"landed {feed}: {plural(len(accepted), 'file')}, {plural(rows, 'row')}; {len(new) - len(accepted)} set aside"
        )
        lines += [f"  {e.path} {e.reason}" for e in accepted if e.reason]
        lines += [f"  set aside {e.path}: {e.reason} ({e.verdict})" for e in new if e.verdict != "accepted"]
    return lines + outstanding_lines(intake.outstanding, {entry.path for entry in intake.landed})


def read_earlier_runs(records: Records, earlier: EarlierResults) -> list[str]:
    """Take over the results of runs whose tables were published, newest first, as far back as they are needed.

    Nothing is lost without one: tests are carried by keys of their own, and those that are not known run again.

    Args:
        records: of the environment.
        earlier: gets the results.

    Returns:
        Lines about run manifests that are damaged.
    """
    damaged, looked_at = [], 0
    for run_id in records.run_ids():
        if earlier.newest and (looked_at := looked_at + 1) > _MOST:
            break
        try:
            manifest = records.manifest(run_id)
        except DamagedError as error:
            damaged.append(error.line())
            continue
        if manifest is None or not manifest.outcome.is_current:
            continue
        earlier.add(manifest)
        if earlier.suffices(selected_resources.SELECTED_RESOURCES):
            break
    return damaged


def failed_run(project: Path, records: Records) -> str:
    """The id of the run that ``dbt retry`` goes on with.

    Raises:
        NotFoundError: no run of the environment belongs to the command that dbt goes on with.
    """
    path = target_path(project) / "run_results.json"
    results: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    invocation = results["metadata"]["invocation_id"]
    for run_id in records.run_ids():
        with suppress(DamagedError):
            manifest = records.manifest(run_id)
            if manifest is not None and manifest.invocation_id == invocation:
                return run_id
    raise NotFoundError(
        "Nothing to retry",
        f"no run in {records.environment.name} belongs to invocation {invocation}",
        "Use dbt build",
    )


def resume(run_id: str, records: Records, pinned: PinnedTables, candidate: RunCandidate) -> None:
    """Take over the candidate of a run that failed, so that a retry publishes all of it.

    Raises:
        NotFoundError: a table of it was published by someone else since.
    """
    published = pinned.own_locations()
    for record in records.candidate(run_id):
        table = record.name
        now = None if table in pinned.renamed else published.get(table)
        if not can_be_published_on(pinned.places.outputs, table, record.base, now):
            raise NotFoundError(
                f"Run {run_id} cannot be continued",
                f"{table} was published since",
                "Start a new run",
            )
        candidate.number = record.release  # its tables carry the tag of this number
        if not record.retires:  # that is done again when the table is staged that has its name now
            candidate.stage(staged_of(pinned.places.outputs, record))


class CarryOver:
    """Decides for each test of a run whether its result is carried over from an earlier run.

    Args:
        variables: dbt's vars as the run has them.
        inputs: what the run reads.
        volatility: looks at queries.
        tests: what is known of tests that passed.
    """

    def __init__(
        self, variables: Mapping[str, Any], inputs: RunInputs, volatility: Volatility, tests: CarriedTests
    ) -> None:
        self._vars, self._inputs, self._volatility, self._tests = variables, inputs, volatility, tests

    def data_test(self, manifest: DbtManifest, unique_id: str, sql: str, *, runs: bool) -> bool:
        """Whether a data test need not run: it passed before with the same code on the same snapshots.

        Args:
            manifest: dbt's manifest.
            unique_id: the test.
            sql: its compiled query.
            runs: it is run in any case.
        """
        node, inputs = manifest.nodes[unique_id], inputs_of(self._inputs, manifest, unique_id)
        if not inputs or "freshness" in node.tags:  # which looks at the landing area
            return False
        keys = keys_by_engine(manifest, unique_id, inputs, self._vars)
        key = self._tests.known_as(unique_id, keys)
        query = _test_query(node.config, sql)
        return self._tests.carry(
            unique_id, key, lambda: volatile_node(self._volatility, manifest, unique_id, query), runs=runs
        )

    def known_test(self, manifest: DbtManifest, unique_id: str, passed: TestResult) -> bool:
        """The same of a test of which it is known that it depends on nothing but its key.

        Args:
            manifest: dbt's manifest.
            unique_id: the test.
            passed: its result in an earlier run.
        """
        inputs = inputs_of(self._inputs, manifest, unique_id)
        keys = keys_by_engine(manifest, unique_id, inputs, self._vars)
        if not inputs or passed.key not in keys.values():
            return False
        return self._tests.carry(unique_id, self._tests.known_as(unique_id, keys), str)

    def unit_test(
        self,
        manifest: DbtManifest,
        unique_id: str,
        queries: Sequence[str],
        config: Mapping[str, Any],
        *,
        runs: bool,
    ) -> bool:
        """Whether a dbt unit test need not run: it passed before as the same SQL, with the same rows expected of it.

        Args:
            manifest: dbt's manifest.
            unique_id: the unit test.
            queries: its compiled query, and the one of its expected rows if it has one.
            config: its configuration.
            runs: it is run in any case.
        """
        key = unit_test_key(manifest, unique_id, queries[0], config)
        self._tests.keys[unique_id] = key
        return not runs and self._tests.carry(
            unique_id, key, lambda: volatile_unit_test(self._volatility, manifest, unique_id, queries)
        )


def _test_query(config: Any, sql: str) -> str:
    """What decides about a test: its query, and the expressions of its configuration around it."""
    return (
        f"select failures {config.warn_if}, failures {config.error_if} "
        f"from (select {config.fail_calc} as failures from (\n{sql}\n) as dbt_internal_test)"
    )


def problems_of(cursor: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    """What the rows of a data test say in their column ``problem``, each on one line; empty if the query has no such column.

    Args:
        cursor: the connection that the test ran on.
        sql: the test's query.
    """
    columns = [column[0] for column in cursor.execute(f"from (\n{sql}\n) limit 0").description]
    if PROBLEM not in columns:
        return []
    rows = cursor.execute(
        f"select distinct {PROBLEM}::varchar from (\n{sql}\n) where {PROBLEM} is not null order by all limit {MOST_PROBLEMS}"
    )
    return [one_line(text) for (text,) in rows.fetchall()]


def carried_result() -> tuple[AdapterResponse, Any]:
    """What dbt gets for a data test that is not run again: a response, and the one row of its default test query."""
    import agate  # type: ignore[import-untyped]

    names, kinds = ["failures", "should_warn", "should_error"], [agate.Number(), *[agate.Boolean()] * 2]
    return AdapterResponse(_message="CARRIED"), agate.Table([(0, False, False)], names, kinds)


def carried_unit_test() -> tuple[AdapterResponse, Any]:
    """What dbt gets for a unit test that is not run again: a response, and no row in which actual and expected differ."""
    import agate

    names = ["column", "actual_or_expected"]
    return AdapterResponse(_message="CARRIED"), agate.Table([], names, [agate.Text(), agate.Text()])
