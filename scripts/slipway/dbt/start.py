"""Run: land, build, test, publish, and write it all down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.alerts.routes import FILE, read_routes
from slipway.environments.environment import Environment, Mode, check_vars, requested_slice
from slipway.errors import ConfigError, SlipwayError, UnavailableError
from slipway.records.node_results import Status
from slipway.records.run_ids import new_run_id
from slipway.records.run_manifest import RunManifest
from slipway.records.store import Records
from slipway.runs.progress import NodeEnded, Note, Progress
from slipway.runs.repeat import Repetition, begin, repeat, write
from slipway.runs.run_request import NOTHING_SELECTED, Beginning, RunRequest
from slipway.settings import Settings

if TYPE_CHECKING:
    from slipway.dbt.command import Invocation
    from slipway.dbt.event_stream import EventStream
    from slipway.dbt.session import Session


@dataclass(frozen=True)
class RunOptions:
    """What to run.

    Args:
        project: folder of dbt_project.yml.
        target: the environment, None for the profile's default.
        select: dbt selectors.
        exclude: dbt selectors.
        vars: dbt variables.
        full_refresh: rebuild incremental models from nothing.
        event_time_start: microbatch models are built from this time on, UTC.
        event_time_end: microbatch models are built up to this time.
        force: build also what is unchanged.
        threads: dbt threads, None for the profile's.
        scratch: build in this folder instead of the environment's own tables.
        pins: inputs fixed to metadata locations, ``schema.table`` to location.
        engines: as for ``RunRequest``.
        isolated: as for ``RunRequest``.
        state: folder with dbt's manifest to compare with; sets ``--defer --state``.
        command: the command line, for the record.
        wait: seconds to wait for other runs on the same tables; None for the setting, or else the default.
        despite_tests: build also what comes after tests that fail, which a comparison needs.
        staged_for: what its tables are to be published with, so that the run itself stages only; empty where it publishes.
    """

    project: Path
    target: str | None = None
    select: Sequence[str] = ()
    exclude: Sequence[str] = ()
    vars: dict[str, Any] = field(default_factory=dict)
    full_refresh: bool = False
    event_time_start: datetime | None = None
    event_time_end: datetime | None = None
    force: bool = False
    threads: int | None = None
    scratch: Path | None = None
    pins: dict[str, str] | None = None
    engines: dict[str, str] = field(default_factory=dict)
    isolated: bool = False
    state: Path | None = None
    command: Sequence[str] = ()
    wait: float | None = None
    despite_tests: bool = False
    staged_for: str = ""


@dataclass(frozen=True)
class Run:
    """A run that came to an end, and where its records are."""

    manifest: RunManifest
    folder: str
    environment: Environment


class NothingSelectedError(SlipwayError):
    """The selection names no node, so there is no run."""


def run(options: RunOptions, show: Callable[[Progress], None]) -> Run:
    """Build the selection and publish it if everything passed.

    Raises:
        NothingSelectedError: the selection names no node.
        SlipwayError: the run could not begin, or dbt could not parse the project; nothing was built.
        KeyboardInterrupt: Ctrl-C; recorded, nothing published.
        ConflictError: other runs on the same tables took too long, so that nothing was built; or someone else
            published a table of the run, which is recorded; nothing was published.
        UnavailableError: the catalog could not be written when files were landed; recorded, nothing built.
    """
    from slipway.environments.profiles import Profile
    from slipway.processes import too_late

    environment = Profile(options.project).environment(options.target)
    check_vars(options.vars)
    if not options.scratch:
        read_routes(options.project)  # with a mistake in it, nobody would hear of a failure
    sliced = requested_slice(options.vars, options.vars) is not None
    if not (options.scratch or sliced):
        _refuse_at_once(environment, options)
    _check_code(environment, options, show, kept=not (options.scratch or sliced))
    now = datetime.now(UTC)
    request = RunRequest(
        run_id=new_run_id(now),
        started_at=now,
        managed=True,
        force=options.force,
        vars=options.vars,
        scratch=str(options.scratch) if options.scratch else None,
        pins=options.pins,
        engines=options.engines,
        isolated=options.isolated,
        command=list(options.command),
        wait=options.wait,
        staged_for=options.staged_for,
    )
    beginning = None if sliced else _beginning(options)
    why = "the command asks for it"
    if beginning and not Settings.read().starts_dbt:
        found = repeat(
            Records(environment),
            options.project,
            beginning,
            run_id=request.run_id,
            started_at=now,
            command=options.command,
        )
        if not isinstance(found, str):
            repeated = _without_dbt(environment, found, show)
            with too_late():
                _notify(options.project, Records(environment), request, show)
            return repeated
        why = found
    from slipway.dbt import invocation
    from slipway.dbt.event_stream import EventStream, report_log_failure_once

    request.beginning = beginning
    # a log of its own would be left behind if the process is killed
    is_own = options.scratch is None or (options.pins is None and not options.isolated)
    logs = environment.logs if is_own else Path(str(options.scratch)) / "logs"
    log = logs / f"{request.run_id}.jsonl"
    events = EventStream(request.run_id, log, show)
    events.write(f"dbt is started: {why}", "Started")
    with report_log_failure_once(show):
        done = invocation.invoke(
            _arguments(options), options.project, request, events, despite_tests=options.despite_tests
        )
    session = invocation.session()
    try:
        return _ended(session, done, events, request, show)
    finally:
        if session:
            with too_late():  # whoever ended it here would read that nothing was published
                session.leave()
                if session.begun and not session.scratch:
                    _notify(options.project, session.records, request, show)


def _refuse_at_once(environment: Environment, options: RunOptions) -> None:
    """What keeps a run from beginning and takes no dbt to find; it is looked at again when dbt has parsed the project.

    With a selection, only dbt knows whether the run lands files.

    Raises:
        SlipwayError: the environment is on hold.
        NotFoundError: there is no landing area.
    """
    from slipway.landing.area import landing_area
    from slipway.landing.feeds import read_feeds
    from slipway.releases.holds import Holds

    Holds(Records(environment)).refuse(f"A run in {environment.name}")
    if options.select or options.exclude:
        return
    feeds = []
    with suppress(ConfigError):  # said later, with all else that is wrong with contracts
        feeds = read_feeds(options.project)
    if feeds:
        landing_area(environment.landing, environment.catalog_properties).check()


def _beginning(options: RunOptions) -> Beginning | None:
    """What is so before dbt is started, None for a run that is to build in any case, or elsewhere."""
    asked = (
        options.force,
        options.full_refresh,
        options.scratch,
        options.pins is not None,
        options.engines,
        options.state,
        options.event_time_start,
        options.event_time_end,
    )
    if any(asked):
        return None
    selectors = [*options.select, *options.exclude]
    command = [list(options.select), list(options.exclude), options.vars]
    return begin(options.project, selectors, command)


def _without_dbt(environment: Environment, found: Repetition, show: Callable[[Progress], None]) -> Run:
    """The end of a run that changes nothing: what is shown and written down is what dbt would have led to."""
    from slipway.processes import too_late

    records = Records(environment)
    for line in found.lines:
        show(Note(line))
    built = [node for node in found.manifest.nodes if node.table]
    for at, node in enumerate(built, start=1):
        kind = node.unique_id.partition(".")[0]
        show(NodeEnded(str(node.table), kind, node.status, node.message, node.seconds, at, len(built)))
    with too_late():
        write(records, found)
    _tell_abandoned(records, set(found.basis.made), show)
    return Run(found.manifest, records.location(found.manifest.run_id), environment)


def _ended(
    session: Session | None,
    done: Invocation,
    events: EventStream,
    request: RunRequest,
    show: Callable[[Progress], None],
) -> Run:
    from slipway.dbt.configuration import tables_of
    from slipway.processes import too_late

    if session is None or not session.begun:
        events.close()
        events.path.unlink(missing_ok=True)
        if done.interrupted:
            raise KeyboardInterrupt
        if done.refusal:
            raise done.refusal
        if done.success:
            raise NothingSelectedError("Nothing to do", NOTHING_SELECTED, "List nodes with dbt ls")
        raise SlipwayError(
            "The run did not begin", done.error or _first_failure(done), "See the log in logs/dbt.log"
        )
    with too_late():
        try:
            manifest = session.conclude(done)
        finally:
            try:
                session.records.write_compressed(request.run_id, "log.jsonl", events.close())
                events.path.unlink(missing_ok=True)
            except (OSError, UnavailableError) as error:  # it must not hide how the run ended
                show(Note(f"the log is left in {events.path}: {getattr(error, 'strerror', None) or error}"))
    if not session.scratch and session.manifest is not None:
        _tell_abandoned(session.records, tables_of(session.manifest), show)
    if done.interrupted:
        raise KeyboardInterrupt
    if done.refusal and all(node.status is Status.SKIPPED for node in manifest.nodes):
        raise done.refusal  # at its start, where files are landed: its code says more than that the run failed
    return Run(manifest, session.records.location(request.run_id), session.records.environment)


def _notify(project: Path, records: Records, request: RunRequest, show: Callable[[Progress], None]) -> None:
    """Tell people what the run found, however it ended; nothing about that changes how it ended."""
    from slipway.telemetry import export as telemetry

    lines = telemetry.after_run(records, request.run_id)
    if (project / FILE).is_file():
        from slipway.alerts.notify import after_run

        lines += after_run(project, records, request.run_id)
    for line in lines:
        show(Note(line))


def _tell_abandoned(records: Records, made: set[str], show: Callable[[Progress], None]) -> None:
    """Name published tables that no model of the project makes any more: they look current, and never will be again."""
    with suppress(SlipwayError):  # a record that is damaged is reported elsewhere
        released = records.last_release()
        if released and (found := released.without_model(made)):
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            show(
                Note(
                    f"no model makes {', '.join(found[:3])}{more} any more, and readers still see what was published:"
                    f" slipway retire {' '.join(found)}"
                )
            )


def _arguments(options: RunOptions) -> list[str]:
    import json

    # dbt parses a project anew when a target is named that was not before, were it the same one
    arguments = ["build", *(["--target", options.target] if options.target else [])]
    for name, values in (("--select", options.select), ("--exclude", options.exclude)):
        arguments += [name, *values] if values else []
    if options.vars:
        arguments += ["--vars", json.dumps(options.vars, default=str)]
    if options.full_refresh:
        arguments.append("--full-refresh")
    for name, value in (
        ("--event-time-start", options.event_time_start),
        ("--event-time-end", options.event_time_end),
    ):
        arguments += [name, value.strftime("%Y-%m-%dT%H:%M:%S")] if value else []
    if options.threads:
        arguments += ["--threads", str(options.threads)]
    if options.state:
        arguments += ["--defer", "--state", str(options.state)]
    return arguments


def _check_code(
    environment: Environment, options: RunOptions, show: Callable[[Progress], None], *, kept: bool
) -> None:
    """A production run is of a commit that others can find again; any other run says when there is no commit.

    Args:
        environment: where it runs.
        options: of the run.
        show: gets the note.
        kept: what is built is for readers, not for a scratch environment.

    Raises:
        SlipwayError: it is a production run, and no commit holds all of its code.
    """
    from slipway.code.versions import code_of

    code = code_of(options.project)
    if kept and environment.mode is Mode.PRODUCTION and (why := code.unknown):
        way = "Commit or remove it"
        if code.commit and not code.dirty:
            way = "Add the digest there when you have looked at the package, or commit the package"
        raise SlipwayError(f"A run in {environment.name} needs a clean work tree at a commit", why, way)
    if kept and code.commit is None:
        show(Note(f"No commit holds this code ({code.problem}): this run cannot be replayed"))


def _first_failure(done: Invocation) -> str:
    for result in done.results:
        if str(result.status) in (Status.ERROR, Status.FAIL):
            return " ".join(str(result.message).split())
    return "dbt stopped before the first node"
