"""What happens around the nodes of a run: its turn, begin, retry, carried tests."""

from __future__ import annotations

import atexit
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dbt import selected_resources
from dbt.adapters.contracts.connection import AdapterResponse
from dbt.adapters.factory import FACTORY
from dbt.events.types import JinjaLogInfo
from dbt_common.events.functions import fire_event

from slipway.counts import plural
from slipway.dbt.configuration import check_configuration, check_names
from slipway.dbt.evidence import target_path
from slipway.dbt.inputs import inputs_of
from slipway.dbt.keys.engine_key import engine
from slipway.dbt.keys.node_key import manifest_node, node_key, unit_test_key
from slipway.dbt.rendered import volatile_node, volatile_unit_test
from slipway.dbt.session import Session
from slipway.environments.environment import Mode
from slipway.environments.profiles import ADAPTER
from slipway.errors import ConfigError, DamagedError, NotFoundError
from slipway.iceberg.catalogs.updates import stands_on
from slipway.landing.area import nothing_to_land
from slipway.names import shown
from slipway.records.run_manifest import Outcome, RunManifest, outstanding_lines
from slipway.releases.candidates import staged_of
from slipway.releases.holds import Holds
from slipway.releases.lease_rules import WAITS
from slipway.releases.leases import Leases
from slipway.releases.publication import check_store
from slipway.secrets import one_line
from slipway.settings import Settings

_NO_TABLE = ("ephemeral", "view")
_COPIED = ("on_run_begin", "on_run_finish")


def wait_for_turn(session: Session, *, everything: bool = False) -> bool:
    """Take the lease of the tables that a run may publish, and pin its inputs anew: others published meanwhile.

    Runs that cannot publish in the environment need none.

    Args:
        session: the run.
        everything: the run may publish more than dbt selected.

    Returns:
        Whether others published meanwhile.

    Raises:
        ConflictError: others on the same tables took longer than the run may wait.
        ConfigError: SLIPWAY_WAIT is no number of seconds.
    """
    tables = None if everything else _tables(session.manifest)
    if tables == [] or not _publishes(session):
        return False
    session.lease = Leases(session.records).take(
        session.request.run_id,
        tables,
        wait=_seconds(session.request.wait),
        what=f"A run in {session.environment.name}",
        tell=lambda text: fire_event(JinjaLogInfo(msg=text)),
    )
    atexit.register(session.lease.release)  # plain dbt leaves out on-run-end when it is interrupted
    if not session.pinned.look_again():
        return False
    adapter: Any = FACTORY.adapters[ADAPTER]
    adapter.cache.clear()
    return True


def _publishes(session: Session) -> bool:
    from dbt.flags import get_flags

    flags, environment = get_flags(), session.environment
    if session.scratch or getattr(flags, "EMPTY", False) or getattr(flags, "SAMPLE", None):
        return False
    return (
        environment.mode is not Mode.PRODUCTION if session.request.managed else environment.publishes_from_dbt
    )


def _tables(manifest: Any) -> list[str]:
    """``layer.table`` of the models, seeds and snapshots that dbt selected."""
    selected = [manifest.nodes.get(unique_id) for unique_id in selected_resources.SELECTED_RESOURCES]
    return [
        f"{node.schema}.{node.alias}"
        for node in selected
        if node is not None
        and node.resource_type in ("model", "seed", "snapshot")
        and node.config.materialized not in _NO_TABLE
    ]


def _seconds(asked: float | None) -> float:
    given = Settings.read().wait_seconds if asked is None else asked
    return WAITS if given is None else given


BUILDING = frozenset({"build", "run", "seed", "snapshot", "retry"})
"""dbt commands that land, stage and publish."""


def begin(session: Session) -> list[str]:
    """Start a run: land new files, continue a failed run on ``dbt retry``.

    Returns:
        Lines for the person who watches.
    """
    if not builds():
        return []
    check_names(session.manifest, session.environment)
    check_configuration(session.manifest, selected_resources.SELECTED_RESOURCES)
    if not session.scratch:
        Holds(session.records).refuse(f"A run in {session.environment.name}")
    engine()  # before threads ask for it all at once
    lines = list(session.pinned.heal())
    if not session.scratch:
        session.records.last_release()  # what is built could not be published next to a damaged record
    if wait_for_turn(session, everything=_is_retry()):
        Holds(session.records).refuse(f"A run in {session.environment.name}")  # placed while it waited
    lines += session.pinned.heal()
    if warning := check_store(session.places.outputs, session.records):
        lines.append(warning)
    session.begin()
    lines += landing_lines(session)
    if _is_retry():
        failed = _failed_run(session)
        _resume(session, failed)
        lines.append(f"continues run {failed}: {plural(len(session.candidate.staged), 'table')} of it built")
    session.previous, damaged = _last_good_run(session)
    lines += damaged
    if session.previous:
        session.tests.take(session.previous)
    return [one_line(line) for line in lines]  # they name files, and dbt prints them as they are


def check_project(session: Session) -> None:
    """Refuse a project with names that cannot be used, or with copies of Slipway's macros, if this command builds.

    Raises:
        ConfigError: there are some.
    """
    if session.builds and session.manifest:
        _check_copies(session.manifest)
        check_names(session.manifest, session.environment)


def _check_copies(manifest: Any) -> None:
    """Refuse macros that projects had as files of their own before the package brought them: hooks would run twice."""
    for macro in manifest.macros.values():
        if macro.name in _COPIED:
            raise ConfigError(
                f"{shown(macro.original_file_path)} has Slipway's macro {macro.name}",
                "it comes with the adapter now",
                "Delete the project's copies of Slipway's macros, and the hooks that call them in dbt_project.yml",
            )


def landing_lines(session: Session) -> list[str]:
    """What landed, one line a feed and one per file that was set aside."""
    lines = []
    for feed in session.intake.landing.feeds:
        new = [entry for entry in session.intake.landed if entry.feed == feed]
        if ahead := session.intake.landing.ledger.from_the_future(feed):
            when = f"{ahead[-1].landed_at:%Y-%m-%d %H:%M} UTC"
            lines.append(
                f"landed {feed}: {ahead[-1].path} landed by a clock that said {when}, so that it does not count as fresh"
            )
        if feed in session.intake.landing.empty:
            lines.append(nothing_to_land(session.intake.landing.area.root, feed))
        if not new:
            continue
        accepted = [entry for entry in new if entry.verdict == "accepted"]
        rows = sum(entry.rows or 0 for entry in accepted)
        lines.append(
            f"landed {feed}: {plural(len(accepted), 'file')}, {plural(rows, 'row')}; {len(new) - len(accepted)} set aside"
        )
        lines += [f"  set aside {e.path}: {e.reason} ({e.verdict})" for e in new if e.verdict != "accepted"]
    return lines + outstanding_lines(
        session.intake.outstanding, {entry.path for entry in session.intake.landed}
    )


def test_carried(session: Session, manifest: Any, unique_id: str, sql: str) -> bool:
    """Whether a data test need not run: it passed before with the same code on the same snapshots.

    Args:
        session: the run.
        manifest: dbt's manifest.
        unique_id: the test.
        sql: its compiled query.
    """
    node, inputs = manifest_node(manifest, unique_id), inputs_of(session.inputs, manifest, unique_id)
    key = node_key(manifest, unique_id, inputs, session.vars)
    session.tests.keys[unique_id] = key
    if session.request.force or not session.begun or not inputs:
        return False
    if "freshness" in node.tags:
        return False  # it looks at the landing area
    query = test_query(node.config, sql)
    return session.tests.carry(
        unique_id, key, lambda: volatile_node(session.volatility, manifest, unique_id, query)
    )


def unit_test_carried(
    session: Session, manifest: Any, unique_id: str, queries: Sequence[str], config: Mapping[str, Any]
) -> bool:
    """Whether a dbt unit test need not run: it passed before as the same SQL, with the same rows expected of it.

    Args:
        session: the run.
        manifest: dbt's manifest.
        unique_id: the unit test.
        queries: its compiled query, and the one of its expected rows if it has one.
        config: its configuration.
    """
    key = unit_test_key(manifest, unique_id, queries[0], config)
    session.tests.keys[unique_id] = key
    if session.request.force or not session.begun:
        return False
    return session.tests.carry(
        unique_id, key, lambda: volatile_unit_test(session.volatility, manifest, unique_id, queries)
    )


def test_query(config: Any, sql: str) -> str:
    """What decides about a test: its query, and the expressions of its configuration around it."""
    return (
        f"select failures {config.warn_if}, failures {config.error_if} "
        f"from (select {config.fail_calc} as failures from (\n{sql}\n) as dbt_internal_test)"
    )


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


def command_line() -> list[str]:
    """The command as it was typed, without the folder of the program."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]


def project_dir(flags: Any) -> Path:
    """The dbt project's folder as dbt was given it."""
    return Path(flags.PROJECT_DIR).resolve()


def _last_good_run(session: Session) -> tuple[RunManifest | None, list[str]]:
    """The manifest of the last run whose tables are what is published now, and lines about those that are damaged.

    Nothing is lost without one: tests are carried by keys of their own, and those that are not known run again.
    """
    damaged = []
    for run_id in session.records.run_ids():
        try:
            manifest = session.records.manifest(run_id)
        except DamagedError as error:
            damaged.append(error.line())
            continue
        if manifest is not None and manifest.outcome in (Outcome.PUBLISHED, Outcome.UNCHANGED):
            return manifest, damaged
    return None, damaged


def builds() -> bool:
    """Whether the running dbt command lands, stages and publishes."""
    from dbt.flags import get_flags

    return get_flags().WHICH in BUILDING


def _is_retry() -> bool:
    import click

    context = click.get_current_context(silent=True)
    return context is not None and context.info_name == "retry"


def _resume(session: Session, run_id: str) -> None:
    """Take over the candidate of a run that failed, and what is known of its tables, so that a retry publishes all of it.

    Raises:
        NotFoundError: a table of it was published by someone else since.
    """
    published = session.pinned.own_locations()
    for record in session.records.candidate(run_id):
        table = record.name
        now = None if table in session.pinned.renamed else published.get(table)
        if not stands_on(session.places.outputs, table, record.base, now):
            raise NotFoundError(
                f"Run {run_id} cannot be continued",
                f"{table} was published since",
                "Start a new run",
            )
        session.candidate.number = record.release  # its tables carry the tag of this number
        if record.retires:
            continue  # again when the table is staged that has its name now
        session.stage(staged_of(session.places.outputs, record))
    session.continues = failed = session.records.manifest(run_id)
    if failed and (failed.code.dirty or failed.code.commit != session.code.commit):
        # no commit holds the code of all tables
        session.code = session.code.model_copy(update={"dirty": True})


def _failed_run(session: Session) -> str:
    path = target_path(session.project) / "run_results.json"
    results: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    invocation = results["metadata"]["invocation_id"]
    for run_id in session.records.run_ids():
        with suppress(DamagedError):
            manifest = session.records.manifest(run_id)
            if manifest is not None and manifest.invocation_id == invocation:
                return run_id
    raise NotFoundError(
        "Nothing to retry",
        f"no run in {session.environment.name} belongs to invocation {invocation}",
        "Use dbt build",
    )
