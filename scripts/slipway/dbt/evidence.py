"""Proof of what a run did, from dbt's results and the session."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyiceberg.table import Table

from slipway.dbt.keys.node_key import manifest_node
from slipway.dbt.session import Session
from slipway.names import TableName
from slipway.records.run_manifest import (
    Change,
    Conservation,
    Freshness,
    Node,
    Options,
    RunManifest,
    Status,
    TestResult,
    Tests,
)
from slipway.releases.publication import figures
from slipway.runs.pinned_tables import LANDING

_BUILT = ("model", "seed", "snapshot")
_TESTS = ("test", "unit_test")


def nodes(session: Session, results: Sequence[Any]) -> list[Node]:
    """One entry per model, seed and snapshot that dbt came to, and those that a retry took over."""
    found = _taken_over(session, results)
    for result in results:
        if result.node.resource_type not in _BUILT or result.node.config.materialized == "ephemeral":
            continue
        known = session.nodes.get(result.node.unique_id) or Node(
            unique_id=result.node.unique_id, table=None, status=Status.OPEN, change=Change.NONE
        )
        found.append(
            known.model_copy(
                update={
                    "status": Status(str(result.status)),
                    "message": str(result.message or ""),
                    "seconds": round(float(result.execution_time or 0), 4),
                }
            )
        )
    return found


def _taken_over(session: Session, results: Sequence[Any]) -> list[Node]:
    """Nodes whose tables a retry publishes as the run that failed had staged them."""
    again = {result.node.unique_id for result in results}
    staged = {str(identifier) for identifier in session.candidate.staged}
    failed = session.continues.nodes if session.continues else []
    return [node for node in failed if node.table in staged and node.unique_id not in again]


def _passed_before(session: Session, built_again: set[str]) -> dict[str, TestResult]:
    """Tests that the run which a retry continues has passed, of no table that was built again since."""
    known = session.continues.tests.results if session.continues else []
    return {
        test.unique_id: test
        for test in known
        if test.status in (Status.PASS, Status.WARN) and built_again.isdisjoint(test.tables)
    }


def tests(session: Session, manifest: Any, results: Sequence[Any]) -> Tests:
    """Tests that the built nodes ask for, and what became of each."""
    made = [result.node for result in results if result.node.resource_type in _BUILT]
    before = _passed_before(session, {f"{node.schema}.{node.alias}" for node in made})
    built = {node.unique_id for node in (*made, *_taken_over(session, results))}
    found = {
        result.node.unique_id: _test(session, manifest, result)
        for result in results
        if result.node.resource_type in _TESTS
    }
    for unique_id, node in [*manifest.nodes.items(), *manifest.unit_tests.items()]:
        if node.resource_type in _TESTS and unique_id not in found and built & set(node.depends_on.nodes):
            found[unique_id] = before.get(unique_id) or TestResult(
                unique_id=unique_id, status=Status.NOT_RUN, tables=_tables(manifest, node)
            )
    statuses = [test.status for test in found.values()]
    carried = sum(test.carried for test in found.values())
    not_run = sum(status.left_out for status in statuses)
    return Tests(
        expected=len(found),
        executed=len(found) - carried - not_run,
        carried=carried,
        not_run=not_run,
        failed=sum(status.failed for status in statuses),
        warned=sum(status is Status.WARN for status in statuses),
        results=list(found.values()),
    )


def freshness(session: Session, manifest: Any) -> list[Freshness]:
    """When each feed last brought a file that was accepted, and what its dbt source says of that."""
    if session.request.pins is not None:
        return []
    now, found = datetime.now(UTC), []
    for feed in session.intake.landing.feeds:
        last = session.intake.landing.ledger.last_landed_at(feed)
        age = round((now - last).total_seconds(), 3) if last else None
        warn_after, error_after = _thresholds(manifest, feed)
        found.append(
            Freshness(
                source=f"landing.{feed}",
                last_landed_at=last,
                age_seconds=age,
                warn_after_seconds=warn_after,
                error_after_seconds=error_after,
            )
        )
    return found


def conservation(session: Session, manifest: Any) -> list[Conservation]:
    """Rows landed = rows curated + rows quarantined + rows deduplicated, for every quarantine table.

    A quarantine model names what it belongs to in its config: ``conserves: {raw: …, curated: …}``.
    """
    found = []
    for node in manifest.nodes.values():
        named = node.config.get("conserves") if node.resource_type == "model" else None
        if not named:
            continue
        quarantine = TableName(node.schema, node.alias)
        identifiers = [TableName.parse(str(named[part])) for part in ("raw", "curated")]
        raw, curated, bad = (session.inputs.own(identifier) for identifier in (*identifiers, quarantine))
        if raw is None or curated is None or bad is None or session.is_slice:
            continue
        rows = [figures(table)["rows"] or 0 for table in (raw, curated, bad)]
        found.append(
            Conservation(
                raw=named["raw"],
                curated=named["curated"],
                quarantine=str(quarantine),
                landed=rows[0],
                curated_rows=rows[1],
                quarantined_rows=rows[2],
                deduplicated=rows[0] - rows[1] - rows[2],
                by_rule=_rows_by_rule(session, quarantine, bad),
            )
        )
    return found


def _rows_by_rule(session: Session, quarantine: TableName, table: Table) -> dict[str, int]:
    """Quarantined rows by rule; of a table that this run did not touch what the last run counted."""
    name = str(quarantine)
    if session.previous and _was_read_by(session.previous, name, table):
        for item in session.previous.conservation:
            if item.quarantine == name:
                return item.by_rule
    scan = session.views.scan(table)
    rows = session.views.query(f"select rule_id, count(*) from {scan} group by all order by all")
    return {str(rule): int(count) for rule, count in rows}


def as_of(session: Session) -> str | None:
    """The business time of the run: the var ``as_of``, or the latest event that the var ``as_of_input`` names.

    ``as_of_input`` is ``schema.table.column``.
    """
    given = session.vars.get("as_of")
    named = str(session.vars.get("as_of_input") or "")
    if given or named.count(".") != 2:
        return str(given) if given else None
    schema, name, column = named.split(".")
    table = session.inputs.own(TableName(schema, name))
    if table is None:
        return None
    previous = session.previous
    if previous and "as_of" not in previous.vars and _was_read_by(previous, f"{schema}.{name}", table):
        return previous.as_of
    scan = session.views.scan(table)
    rows = session.views.query(f'select max("{column}")::varchar from {scan}')
    return str(rows[0][0]) if rows and rows[0][0] is not None else None


def options() -> Options:
    """What dbt was asked to build."""
    from dbt.flags import get_flags

    flags = get_flags()

    def moment(name: str) -> datetime | None:
        given = getattr(flags, name, None)
        return given.replace(tzinfo=given.tzinfo or UTC) if given else None

    return Options(
        select=list(getattr(flags, "SELECT", None) or ()),
        exclude=list(getattr(flags, "EXCLUDE", None) or ()),
        full_refresh=bool(getattr(flags, "FULL_REFRESH", False)),
        event_time_start=moment("EVENT_TIME_START"),
        event_time_end=moment("EVENT_TIME_END"),
    )


def _was_read_by(run: RunManifest, name: str, table: Table) -> bool:
    """Whether a run looked at the snapshot that is current now: it may have begun earlier than one published before it."""
    current = table.current_snapshot()
    snapshot_id = str(current.snapshot_id) if current else None
    snapshots = {node.candidate_snapshot for node in run.nodes if node.table == name}
    snapshots |= {read.snapshot_id for read in run.inputs if read.table == f"{run.target}.{name}"}
    return snapshot_id in snapshots


def invocation_id() -> str:
    """dbt's id of this invocation."""
    from dbt_common.invocation import get_invocation_id

    return str(get_invocation_id())


def target_path(project: Path) -> Path:
    """Where dbt writes its artifacts."""
    from dbt.flags import get_flags

    return project / (get_flags().TARGET_PATH or "target")


def _thresholds(manifest: Any, feed: str) -> tuple[float | None, float | None]:
    """Seconds of ``warn_after`` and ``error_after`` of the source that stands for a feed."""
    for source in manifest.sources.values() if manifest else ():
        if source.schema == LANDING and source.identifier == feed and source.freshness:
            return _seconds(source.freshness.warn_after), _seconds(source.freshness.error_after)
    return None, None


def _seconds(threshold: Any) -> float | None:
    if threshold is None or threshold.count is None:
        return None
    period = str(getattr(threshold.period, "value", threshold.period))
    return float(threshold.count * {"minute": 60, "hour": 3600, "day": 86400}[period])


def _test(session: Session, manifest: Any, result: Any) -> TestResult:
    unique_id, status = result.node.unique_id, Status(str(result.status))
    return TestResult(
        unique_id=unique_id,
        status=Status.PASS if status is Status.SUCCESS else status,
        carried=unique_id in session.tests.carried,
        failures=result.failures,
        key=session.tests.keys.get(unique_id),
        tables=_tables(manifest, result.node),
        message=str(result.message or ""),
        volatile=session.tests.volatile.get(unique_id, ""),
    )


def _tables(manifest: Any, node: Any) -> list[str]:
    found = []
    for unique_id in node.depends_on.nodes:
        other = manifest_node(manifest, unique_id)
        if other is not None:
            found.append(
                f"{other.schema}.{other.identifier if other.resource_type == 'source' else other.alias}"
            )
    return found
