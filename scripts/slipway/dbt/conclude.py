"""The end of a run of dbt: what its results prove, as plain records, with which the run is ended."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from pyiceberg.table import Table

from slipway.code import versions
from slipway.dbt.balance import Balance, conservation, was_read_by
from slipway.dbt.code_read import basis_of, code_read, own_files
from slipway.dbt.command import Invocation, is_partial, options, target_path
from slipway.dbt.event_stream import with_reason
from slipway.dbt.microbatch import check_batched
from slipway.dbt.nodes import DbtManifest, DbtNode, find, table_of
from slipway.dbt.processor_time import ProcessorTime
from slipway.dbt.promised import quarantine_limits, retentions
from slipway.dbt.slices import empty_slice, sample_taken
from slipway.dbt.stale import judged
from slipway.dbt.volatility import Volatility
from slipway.engines.duckdb.engine import memory_limit
from slipway.engines.duckdb.scan import Views
from slipway.engines.writers import DUCKDB, SPARK
from slipway.errors import ConfigError, ContractError, UnavailableError
from slipway.names import TableName
from slipway.records.landed_files import Freshness, InputVolume
from slipway.records.node_results import Change, Node, Status, TestResult, Tests
from slipway.records.run_manifest import Code, InputSnapshot, Outcome, RunManifest
from slipway.records.store import Records
from slipway.releases.publication import figures
from slipway.runs.decision import RunFacts
from slipway.runs.end import DBT_MANIFEST, BuiltRun, end_run
from slipway.runs.intake import Intake
from slipway.runs.pinned_tables import LANDING, PinnedTables
from slipway.runs.run_candidate import BatchedModels, RunCandidate
from slipway.runs.run_inputs import RunInputs
from slipway.runs.run_request import RunRequest
from slipway.runs.run_results import CarriedTests, RunNodes
from slipway.secrets import hide, hide_in
from slipway.storage.objects import writing_below

_FAILED = frozenset({Status.ERROR, Status.FAIL, Status.RUNTIME_ERROR, Status.PARTIAL_SUCCESS})
_BUILT = ("model", "seed", "snapshot")
_TESTS = ("test", "unit_test")


def conclude(
    done: Invocation,
    *,
    request: RunRequest,
    project: Path,
    variables: Mapping[str, Any],
    scratch: Path | None,
    code: Code,
    previous: RunManifest | None,
    continues: RunManifest | None,
    pinned: PinnedTables,
    candidate: RunCandidate,
    batched: BatchedModels,
    intake: Intake,
    inputs: RunInputs,
    views: Views,
    volatility: Volatility,
    nodes: RunNodes,
    tests: CarriedTests,
    records: Records,
) -> RunManifest:
    """Describe in records what dbt did, and end the run; raises what ``end_run`` raises.

    What it is given are the parts of a ``session.Session``, which says what each is.
    """
    manifest, environment = done.manifest, pinned.places.inputs.environment
    assert manifest is not None  # or the run would not have begun
    code = code_read(code, project, manifest, list(sys.modules.values()))
    batched.stage_all()
    if done.success and not _failed(done.results):
        try:
            check_batched(candidate.staged, views, manifest)
        except ContractError as error:
            done = replace(done, success=False, error=error.line())
    taken_over = _taken_over(continues, candidate.staged, done.results)
    ran = (_with_use(node, done.used) for node in node_records(done.results, nodes.known))
    noted = [*taken_over, *ran]
    noted = judged(manifest, noted, nodes.known, candidate, pinned, variables)
    balance = Balance()
    volumes: list[InputVolume] = []
    if not (pinned.places.is_slice or is_partial()):  # a part of the rows is nothing to conserve
        try:
            columns = {feed.name: feed.columns for feed in intake.landing.feeds.values()}
            balance = conservation(
                manifest,
                inputs,
                views,
                previous,
                columns,
                intake.current,
                quarantine_limits(project),
                retentions(project, variables),
                {str(node.table) for node in nodes.known.values()},
                pinned.base,
            )
        except ConfigError as error:
            done = replace(done, success=False, error=done.error or error.line())
        volumes = _volumes(intake, candidate.staged, taken_over, continues)
    described = RunManifest(
        run_id=request.run_id,
        invocation_id=done.invocation_id,
        target=environment.name,
        mode=environment.mode,
        scratch=str(scratch) if scratch else None,
        who=versions.who(),
        host=versions.host(),
        started_at=request.started_at,
        finished_at=datetime.now(UTC),
        command=[hide(part) for part in request.command],
        vars=request.vars,
        options=options(),
        as_of=as_of(variables, inputs, views, previous),
        code=code,
        versions=versions.versions_of(project),
        inputs=_inputs(environment.name, candidate.staged, inputs.read, continues),
        landed_files=[*(continues.landed_files if continues else []), *intake.landed],
        outstanding=intake.outstanding,
        nodes=[_with_reason(node, done.reasons) for node in noted],
        tests=test_records(manifest, done.results, tests, taken_over, continues),
        freshness=[] if request.pins is not None else freshness(manifest, intake),
        conservation=balance.counted,
        not_counted=balance.not_counted,
        input_volumes=volumes,
        sample=sample_taken(variables, nodes.known, manifest),
        cpu_seconds=done.used.total if done.used else None,
        peak_memory_bytes=done.used.peak_memory if done.used else None,
        memory_limit_bytes=memory_limit(views.cursor),
        release=None,
        outcome=Outcome.FAILED,
        reason="",
    )
    built = BuiltRun(
        facts=RunFacts.of(
            described,
            environment,
            scratch=scratch is not None,
            managed=request.managed,
            staged_for=request.staged_for,
            interrupted=done.interrupted,
            error="" if done.success else done.error or "dbt reports a failure",
            nodes=_counted(done.results),
            failed=_failed(done.results),
            skipped=any(str(result.status) == Status.SKIPPED for result in done.results),
            empty_slice=empty_slice(variables, nodes.known, manifest),
            staged=len(candidate.staged),
            partial=is_partial(),
            replaced=_replaced(intake) if candidate.staged else "",
        ),
        manifest=described,
        staged=[*candidate.staged.values(), *candidate.retired.values()],
        number=lambda: candidate.number,
        artifacts=_artifacts(project, done, managed=request.managed),
        basis=lambda run: basis_of(
            run,
            request=request,
            project=project,
            manifest=manifest,
            results=done.results,
            own=own_files(manifest, project),
            pinned=pinned,
            candidate=candidate,
            intake=intake,
            inputs=inputs,
            volatility=volatility,
            nodes=nodes,
            continued=continues is not None,
        ),
    )
    return end_run(pinned.places.outputs, records, built)


def _counted(results: Sequence[Any]) -> int:
    """How many models, seeds, snapshots and tests there were: hooks, which are Slipway's, count only where they failed."""
    return sum(
        result.node.resource_type != "operation" or str(result.status) in _FAILED for result in results
    )


def _failed(results: Sequence[Any]) -> list[str]:
    return [result.node.name for result in results if str(result.status) in _FAILED]


def _with_reason(node: Node, reasons: Mapping[str, str]) -> Node:
    message = with_reason(node.status, node.message, reasons.get(node.unique_id, ""))
    return node.model_copy(update={"message": hide(message)})


def _with_use(node: Node, used: ProcessorTime | None) -> Node:
    """A node with its processor time and memory, where no other node ran at the same time."""
    seconds = used.seconds.get(node.unique_id) if used and node.engine != SPARK else None
    if seconds is None:
        return node.model_copy(update={"peak_memory_bytes": None, "spilled_bytes": None})
    return node.model_copy(update={"cpu_seconds": seconds})


def node_records(results: Sequence[Any], known: Mapping[str, Node]) -> Iterator[Node]:
    """One entry per model, seed and snapshot that dbt came to."""
    for result in results:
        if result.node.resource_type not in _BUILT or result.node.config.materialized == "ephemeral":
            continue
        node = known.get(result.node.unique_id) or Node(
            unique_id=result.node.unique_id, table=None, status=Status.OPEN, change=Change.NONE
        )
        yield node.model_copy(
            update={
                "status": Status(str(result.status)),
                "message": str(result.message or ""),
                "seconds": round(float(result.execution_time or 0), 4),
            }
        )


def _taken_over(
    continues: RunManifest | None, staged: Collection[TableName], results: Sequence[Any]
) -> list[Node]:
    """Nodes whose tables a retry publishes as the run that failed had staged them."""
    again, names = {result.node.unique_id for result in results}, set(map(str, staged))
    failed = continues.nodes if continues else []
    return [node for node in failed if node.table in names and node.unique_id not in again]


def _volumes(
    intake: Intake,
    staged: Collection[TableName],
    taken_over: Sequence[Node],
    continues: RunManifest | None,
) -> list[InputVolume]:
    """How much the run read of feeds; of raw tables that a retry took over, what the run before it had read."""
    over = {node.table for node in taken_over}
    earlier = [one for one in (continues.input_volumes if continues else []) if f"raw.{one.feed}" in over]
    return [*earlier, *intake.volumes([table for table in staged if str(table) not in over])]


def test_records(
    manifest: DbtManifest,
    results: Sequence[Any],
    tests: CarriedTests,
    taken_over: Sequence[Node],
    continues: RunManifest | None,
) -> Tests:
    """Tests that the built nodes ask for, and what became of each.

    Args:
        manifest: dbt's.
        results: dbt's.
        tests: those that were not run.
        taken_over: nodes that a retry took over.
        continues: the run that it goes on with.
    """
    made = [result.node for result in results if result.node.resource_type in _BUILT]
    before = _passed_before(continues, {f"{node.schema}.{node.alias}" for node in made})
    built = {node.unique_id for node in (*made, *taken_over)}
    found = {
        result.node.unique_id: _test(manifest, result, tests)
        for result in results
        if result.node.resource_type in _TESTS
    }
    for unique_id, node in [*manifest.nodes.items(), *manifest.unit_tests.items()]:
        if node.resource_type in _TESTS and unique_id not in found and built & set(node.depends_on_nodes):
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
        results=[
            test.model_copy(update={"message": hide(test.message), "problems": [*map(hide, test.problems)]})
            for test in found.values()
        ],
    )


def _passed_before(continues: RunManifest | None, built_again: set[str]) -> dict[str, TestResult]:
    """Tests that the run which a retry continues has passed, of no table that was built again since."""
    return {
        test.unique_id: test
        for test in (continues.tests.results if continues else [])
        if test.status in (Status.PASS, Status.WARN) and built_again.isdisjoint(test.tables)
    }


def _test(manifest: DbtManifest, result: Any, tests: CarriedTests) -> TestResult:
    unique_id, status = result.node.unique_id, Status(str(result.status))
    return TestResult(
        unique_id=unique_id,
        status=Status.PASS if status is Status.SUCCESS else status,
        carried=unique_id in tests.carried,
        failures=result.failures,
        key=tests.keys.get(unique_id),
        tables=_tables(manifest, result.node),
        problems=[] if unique_id in tests.notes else tests.problems.get(unique_id, []),
        message="; ".join(filter(None, [tests.notes.get(unique_id, ""), str(result.message or "")])),
        volatile=tests.volatile.get(unique_id, ""),
        engine="" if status.left_out else tests.engines.get(unique_id, DUCKDB),
        notes=[tests.said[unique_id]] if unique_id in tests.said else [],
    )


def _tables(manifest: DbtManifest, node: DbtNode) -> list[str]:
    found = (find(manifest, unique_id) for unique_id in node.depends_on_nodes)
    return [str(table_of(other)) for other in found if other is not None]


def freshness(manifest: DbtManifest, intake: Intake) -> list[Freshness]:
    """When each feed last brought a file that was accepted, and what its dbt source says of that."""
    now, found = datetime.now(UTC), []
    for feed in intake.landing.feeds:
        last = intake.landing.ledger.last_landed_at(feed)
        warn_after, error_after = _thresholds(manifest, feed)
        found.append(
            Freshness(
                source=f"landing.{feed}",
                last_landed_at=last,
                age_seconds=round((now - last).total_seconds(), 3) if last else None,
                warn_after_seconds=warn_after,
                error_after_seconds=error_after,
            )
        )
    return found


def _thresholds(manifest: DbtManifest, feed: str) -> tuple[float | None, float | None]:
    """Seconds of ``warn_after`` and ``error_after`` of the source that stands for a feed."""
    for source in manifest.sources.values():
        if source.schema == LANDING and source.identifier == feed and source.freshness:
            return _seconds(source.freshness.warn_after), _seconds(source.freshness.error_after)
    return None, None


def _seconds(threshold: Any) -> float | None:
    if threshold is None or threshold.count is None:
        return None
    period = str(getattr(threshold.period, "value", threshold.period))
    return float(threshold.count * {"minute": 60, "hour": 3600, "day": 86400}[period])


def as_of(
    variables: Mapping[str, Any], inputs: RunInputs, views: Views, previous: RunManifest | None
) -> str | None:
    """The business time of the run: the var ``as_of``, or the latest event that the var ``as_of_input`` names.

    ``as_of_input`` is ``schema.table.column``.
    """
    given, named = variables.get("as_of"), str(variables.get("as_of_input") or "")
    if given or named.count(".") != 2:
        return str(given) if given else None
    schema, name, column = named.split(".")
    table = inputs.own(TableName(schema, name))
    if table is None:
        return None
    if previous and "as_of" not in previous.vars and was_read_by(previous, f"{schema}.{name}", table):
        return previous.as_of
    rows = views.query(f'select max("{column}")::varchar from {views.scan(table)}')
    return str(rows[0][0]) if rows and rows[0][0] is not None else None


def _replaced(intake: Intake) -> str:
    try:
        return intake.landing.replaced()
    except UnavailableError as error:  # it is not known, which is no reason to leave the run without a record
        return error.line()


def _inputs(
    environment: str,
    staged: Collection[TableName],
    read: Mapping[str, Table],
    continues: RunManifest | None,
) -> list[InputSnapshot]:
    """Tables the run read and did not make, those of the run that it continues with them."""
    made = {f"{environment}.{identifier}" for identifier in staged}
    before = continues.inputs if continues else []
    found = [item for item in before if item.table not in made and item.table not in read]
    for name, table in sorted(read.items()):
        if name in made:
            continue
        current = table.current_snapshot()
        found.append(
            InputSnapshot(
                table=name,
                snapshot_id=str(current.snapshot_id) if current else None,
                schema_id=table.schema().schema_id,
                rows=figures(table)["rows"],
                metadata_location=table.metadata_location,
            )
        )
    return found


def _artifacts(project: Path, done: Invocation, *, managed: bool) -> dict[str, Callable[[], bytes]]:
    """dbt's manifest and run results, as far as there are any.

    Plain dbt writes its manifest with the compiled queries after the end of the run; until then its file is that of the parsed project.
    """
    found: dict[str, Callable[[], bytes]] = {}
    if (manifest := done.manifest) is not None:
        found[DBT_MANIFEST] = lambda: (
            _artifact(project, DBT_MANIFEST, manifest, done) if managed else _made(DBT_MANIFEST, manifest)
        )
    if (results := done.execution) is not None:
        name = "run_results.json"
        found[name] = lambda: _without_secrets(_artifact(project, name, results, done))
    return found


def _artifact(project: Path, name: str, artifact: Any, done: Invocation) -> bytes:
    """A file that dbt wrote, or, where another run of this checkout has put its own there by now, the same made again."""
    with suppress(OSError):
        content = (target_path(project) / name).read_bytes()
        if done.invocation_id.encode() in content:
            return content
    return _made(name, artifact)


def _made(name: str, artifact: Any) -> bytes:
    """A file as dbt writes it, of what it knows now."""
    with writing_below(gettempdir()), TemporaryDirectory() as folder:
        artifact.write(str(Path(folder) / name))
        return (Path(folder) / name).read_bytes()


def _without_secrets(run_results: bytes) -> bytes:
    """dbt's run results, whose messages are those of the engine and of the store."""
    described = json.loads(run_results)
    for result in described["results"]:
        result["message"] = hide_in(result.get("message"))
    return json.dumps(described).encode()
