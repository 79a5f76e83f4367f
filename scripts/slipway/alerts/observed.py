"""What a run says of causes: read from its run manifest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from slipway.alerts.causes import Cause, Event, Observation
from slipway.contracts.model import Severity
from slipway.counts import plural
from slipway.environments.environment import Mode
from slipway.records.landed_files import Freshness, Outstanding
from slipway.records.node_results import Node, Status, said
from slipway.records.run_manifest import Outcome, RunManifest
from slipway.runs.decision import set_aside_reason
from slipway.secrets import one_line

INTERRUPTED = "interrupted"
_LONGEST = 300
_PASSED = (Outcome.PUBLISHED, Outcome.UNCHANGED, Outcome.STAGED)
_NOT_REACHED = (Status.SKIPPED, Status.NOT_RUN, Status.OPEN)


def of_run(manifest: RunManifest, tables: Mapping[str, str] | None = None) -> Observation | None:
    """What a run found, and what it looked at; None for one that shows nothing: it was interrupted, or built in a scratch environment.

    Args:
        manifest: of the run.
        tables: unique ids of dbt's nodes to their tables, for nodes that failed before the run knew theirs.
    """
    if manifest.scratch or manifest.reason == INTERRUPTED or manifest.outcome is Outcome.DISCARDED:
        return None
    names = {node.unique_id: _name(node, tables or {}) for node in manifest.nodes}
    show = command("show", manifest.run_id, manifest.target)
    failed = [*_failed(manifest, names, show)]
    rows = {item.quarantine: (item.landed, item.quarantined_rows) for item in manifest.conservation}
    return Observation(
        causes=[
            *failed,
            *(cause for item in manifest.freshness if (cause := late(item, manifest.target))),
            *set_aside(manifest.outstanding, manifest.target),
            *_warned(manifest, show),
            *_unexpected(manifest, show),
        ],
        events=(Event.FILE_SET_ASIDE,) if _has_landed(manifest) else (),
        keys={
            *_passed(manifest, names),
            *(_key(Event.FRESHNESS, f"{item.source} source") for item in manifest.freshness),
            *(
                _key(Event.ANOMALY, test.unique_id)
                for test in manifest.tests.results
                if not test.status.left_out
            ),
            # a run to which nothing was landed says nothing of them
            *(_key(Event.BUDGET, f"{item.feed} {item.unit}") for item in manifest.input_volumes),
        },
        quarantined=rows,
        first=command("show", manifest.run_id, manifest.target),
    )


def command(name: str, what: str, target: str) -> str:
    """A command to type."""
    return f"slipway {name} {what} --target {target}".replace("  ", " ")


def _key(event: Event, subject: str) -> str:
    return f"{event}:{subject}"


def _failed(manifest: RunManifest, names: Mapping[str, str], show: str) -> Iterator[Cause]:
    """Why a run failed: one cause for each table that could not be made or whose tests failed, or one for the run."""
    if manifest.outcome not in (Outcome.FAILED, Outcome.REFUSED):
        return
    tables: dict[str, str] = {}
    for node in manifest.nodes:
        if node.status.failed or node.status is Status.PARTIAL_SUCCESS:
            name = names[node.unique_id]
            tables[name] = f"{name} could not be built: {_short(said(node.message))}"
    for test in manifest.tests.results:
        if test.status.failed:
            table = _table(test.tables)
            tables.setdefault(
                table or test.name, f"test {test.name} failed: {_short(said(test.explanation))}"
            )
    for table, what in tables.items():
        yield Cause(
            event=Event.RUN_FAILED, subject=table, table=table, what=_sentence(what, manifest), first=show
        )
    if not tables and not _has_cause_of_its_own(manifest):
        what = f"Run {manifest.run_id} ended as {manifest.outcome}: {_short(manifest.reason)}"
        yield Cause(event=Event.RUN_FAILED, subject="", what=what, first=show)


def _has_cause_of_its_own(manifest: RunManifest) -> bool:
    """Whether files that are set aside, or late sources, kept the run from being published: these are causes by themselves."""
    aside = [item.path for item in manifest.outstanding if item.blocks]
    unexpected = [item.problem for item in manifest.input_volumes if item.problem]
    late_ = [item.source for item in manifest.freshness if item.status is Status.ERROR]
    return bool(
        (aside and manifest.reason == set_aside_reason(aside))
        or (unexpected and manifest.reason == "; ".join(unexpected))
        or (late_ and manifest.reason.startswith(f"{', '.join(late_)} is older than"))
    )


def _sentence(what: str, manifest: RunManifest) -> str:
    return f"Run {manifest.run_id} failed: {what.rstrip('.: ')}"


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _name(node: Node, tables: Mapping[str, str]) -> str:
    return _table([node.table or ""]) or tables.get(node.unique_id) or node.unique_id


def _has_landed(manifest: RunManifest) -> bool:
    """Whether the run came to look at the landing area; one that did not knows of no file that is set aside."""
    return (
        manifest.outcome in _PASSED
        or bool(manifest.outstanding)
        or any(node.status not in _NOT_REACHED for node in manifest.nodes)
    )


def _table(tables: Sequence[str]) -> str:
    """``layer.table`` of the first table; run manifests name the environment of tables that tests read."""
    return ".".join(tables[0].split(".")[-2:]) if tables else ""


def _passed(manifest: RunManifest, names: Mapping[str, str]) -> Iterator[str]:
    """Failures that this run shows to be over: of tables that it built and tested, and of the run itself."""
    tests = manifest.tests.results
    unproven = {
        _table(test.tables) or test.name for test in tests if test.status.failed or test.status.left_out
    }
    for node in manifest.nodes:
        name = names[node.unique_id]
        if not node.status.failed and node.status not in _NOT_REACHED and name not in unproven:
            yield _key(Event.RUN_FAILED, name)
    # tests can be run without what they test
    for name in {_table(test.tables) or test.name for test in tests} - unproven - set(names.values()):
        yield _key(Event.RUN_FAILED, name)
    if manifest.outcome in _PASSED:
        yield _key(Event.RUN_FAILED, "")


def late(item: Freshness, target: str) -> Cause | None:
    """A feed that is older than its dbt source allows."""
    if item.status not in (Status.WARN, Status.ERROR):
        return None
    is_error = item.status is Status.ERROR
    allowed = item.error_after_seconds if is_error else item.warn_after_seconds
    last = (
        f"brought its last file at {item.last_landed_at:%Y-%m-%d %H:%M} UTC"
        if item.last_landed_at
        else "has brought no file"
    )
    return Cause(
        event=Event.FRESHNESS,
        subject=f"{item.source} source",
        table=f"raw.{item.source.rpartition('.')[2]}",
        what=f"{item.source} {last}, and its source allows {duration(allowed)}",
        severity=Severity.ERROR if is_error else Severity.WARNING,
        first=command("land", "status", target),
    )


def duration(seconds: float | None) -> str:
    """A length of time in words."""
    given = seconds or 0
    return plural(round(given / 3600), "hour") if given >= 7200 else plural(round(given / 60), "minute")


def set_aside(found: Iterable[Outstanding], target: str) -> Iterator[Cause]:
    """Files that are not in raw and should be."""
    for item in found:
        if item.feed:
            yield Cause(
                event=Event.FILE_SET_ASIDE,
                subject=item.path,
                table=f"raw.{item.feed}",
                what=f"{one_line(item.path)} is not in raw: {_short(item.reason)}",
                severity=Severity.ERROR if item.blocks else Severity.WARNING,
                first=command("land", "status", target),
            )


def _warned(manifest: RunManifest, show: str) -> Iterator[Cause]:
    for test in manifest.tests.results:
        if test.status is Status.WARN:
            yield Cause(
                event=Event.ANOMALY,
                subject=test.unique_id,
                table=_table(test.tables),
                what=f"Test {test.name} warns: {_short(said(test.explanation)) or plural(test.failures or 0, 'row')}",
                severity=Severity.WARNING,
                first=show,
            )


def _unexpected(manifest: RunManifest, show: str) -> Iterator[Cause]:
    """More or less than a contract expects of one run."""
    severity = Severity.WARNING if manifest.mode == Mode.EXPLORATORY else Severity.ERROR
    for item in manifest.input_volumes:
        if item.problem:
            yield Cause(
                event=Event.BUDGET,
                subject=f"{item.feed} {item.unit}",
                table=f"raw.{item.feed}",
                what=item.problem,
                severity=severity,
                first=show,
            )
