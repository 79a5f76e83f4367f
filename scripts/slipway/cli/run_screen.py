"""One run: what ``slipway run`` prints at its end, and what ``slipway show`` says about it later."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from slipway.cli import figures, output
from slipway.counts import plural
from slipway.records.landed_files import outstanding_lines
from slipway.records.node_results import Change, Status, shortened
from slipway.records.run_manifest import Outcome
from slipway.secrets import one_line

if TYPE_CHECKING:
    from slipway.dbt.start import Run
    from slipway.records.landed_files import LandedFile
    from slipway.records.node_results import Node, TestResult
    from slipway.records.run_manifest import RunManifest
    from slipway.runs.history import RunDetails


_FEW, _SOME = 5, 10  # lines of one kind before the rest is only counted
_GOOD = (Status.PASS, Status.SUCCESS, Status.NOT_RUN, Status.SKIPPED)
_HEADERS: tuple[str, ...] = (
    "table",
    "change",
    "rows",
    "before",
    "added",
    "removed",
    "files",
    "size",
    "seconds",
    "snapshot",
)
_OPTIONAL = ("snapshot", "files", "size", "before", "seconds")


def report(done: Run, target: str | None = None, program: str = "slipway") -> str:
    """The end of a run as text.

    Args:
        done: the run.
        target: the target that was named on the command line; what to try next names it, too.
        program: how the command is called.
    """
    manifest = done.manifest
    lines = [
        "",
        *_built(_with_tables(manifest)),
        *_of_other_code(manifest),
        *_notes(manifest),
        *_tests_in_short(manifest),
        *figures.books(manifest),
        *_set_aside(manifest),
        "",
        _headline(manifest),
        f"  run        {manifest.run_id}",
        f"  records    {done.folder}",
        f"  warehouse  {done.environment.warehouse}",
        *_signed_by(done),
        "",
        *_next_steps(manifest, f" --target {target}" if target else "", program),
    ]
    return "\n".join(one_line(line) for line in lines)


def _with_tables(manifest: RunManifest) -> list[Node]:
    """Nodes that have a table, layer by layer."""
    nodes = [node for node in manifest.nodes if node.table]
    return sorted(nodes, key=lambda node: figures.by_layer(node.table or ""))


def _built(nodes: list[Node]) -> Iterator[str]:
    width = max((len(node.table or "") for node in nodes), default=0)
    with_engine = any(node.other_engine for node in nodes)
    if nodes:
        header = f"{'table':<{width}}  {'':<12}  {'rows':>11}  {'added':>9}  {'removed':>9}  {'written':>9}  {'s':>6}"
        yield f"{header}  engine" if with_engine else header
    for node in nodes:
        cells = f"{node.table:<{width}}  {figures.change(node):<12}  {figures.number(node.rows_after):>11}"
        if node.change is Change.BUILT:
            added, removed = figures.number(node.rows_added), figures.number(node.rows_removed)
            written = figures.size(node.bytes_written)
            cells += f"  {added:>9}  {removed:>9}  {written:>9}  {node.seconds:>6.2f}"
        if engine := node.other_engine:
            cells = f"{cells:<{len(header)}}  {engine}"
        yield cells.rstrip()


def _of_other_code(manifest: RunManifest) -> list[str]:
    found = [
        f"{word}: {node.table}: {why}"
        for node in manifest.nodes
        for word, why in (("stale", node.stale), ("kept", node.kept), ("always built", _volatile(node)))
        if why
    ]
    return ["", *found] if found else []


def _volatile(one: Node | TestResult) -> str:
    """What else a result depends on. A query that ended in an error has none: DuckDB's message is the reason of the failure."""
    return "" if one.status in (Status.ERROR, Status.RUNTIME_ERROR) else one.volatile


def _notes(manifest: RunManifest) -> list[str]:
    found = [f"  {node.table or node.unique_id}: {note}" for node in manifest.nodes for note in node.notes]
    found += [f"  {note}" for note in manifest.tests.notes]
    return ["", "notes:", *found] if found else []


def _tests_in_short(manifest: RunManifest) -> Iterator[str]:
    tests = manifest.tests
    if not tests.expected:
        return
    parts = [f"{tests.executed} executed", f"{tests.carried} carried from an earlier run"]
    parts += [
        f"{count} {word}" for count, word in ((tests.not_run, "not run"), (tests.warned, "warned")) if count
    ]
    yield ""
    yield f"tests: {tests.expected} expected, {', '.join(parts)}, {tests.failed} failed"
    volatile = [test for test in tests.results if _volatile(test)]
    for test in volatile[:_FEW]:
        yield f"  never carried: {test.name}: {figures.one_line(test.volatile, 160)}"
    if len(volatile) > _FEW:
        yield f"  … and {len(volatile) - _FEW} more that are never carried"
    for test in tests.results:
        if _has_something_to_say(test):
            yield f"  {test.status:<5} {test.name}: {figures.one_line(test.message, 160)}"
            yield from (f"        {problem}" for problem in shortened(test.problems))


def _has_something_to_say(test: TestResult) -> bool:
    """Whether a test did not simply pass; a monitor may pass because it could not be evaluated."""
    return test.status not in _GOOD or "not evaluated: " in test.message


def _set_aside(manifest: RunManifest) -> Iterator[str]:
    aside = _refused(manifest.landed_files)
    if aside:
        yield f"files set aside: {len(aside)} of {len(manifest.landed_files)} new ones"
    for entry in aside[:_SOME]:
        yield f"  {one_line(entry.path)}: {one_line(entry.reason)}"
    if len(aside) > _SOME:
        yield f"  … and {len(aside) - _SOME} more: slipway show {manifest.run_id}"
    yield from outstanding_lines(manifest.outstanding, {entry.path for entry in aside[:_SOME]})
    if any(item.feed for item in manifest.outstanding):
        yield f"  all of them: slipway show {manifest.run_id}"


def _refused(files: list[LandedFile]) -> list[LandedFile]:
    return [entry for entry in files if entry.verdict != "accepted"]


def _headline(manifest: RunManifest) -> str:
    where = f" in a scratch environment: {manifest.scratch}" if manifest.scratch else f" in {manifest.target}"
    match manifest.outcome:
        case Outcome.PUBLISHED if manifest.scratch:
            return f"Built {manifest.tables_built}{where}"
        case Outcome.PUBLISHED:
            return f"Published release {manifest.release}, {manifest.tables_built}{where}."
        case Outcome.UNCHANGED:
            return f"Nothing changed{where}: no release."
    return f"Not published ({manifest.outcome}){where}: {manifest.reason.rstrip('.')}."


def _signed_by(done: Run) -> Iterator[str]:
    """Who signed the release, or why nobody did."""
    release = done.manifest.release
    if release is None or done.manifest.scratch:
        return
    from slipway.releases.attestation import signing_for
    from slipway.releases.signatures import signature_of

    said = signature_of(done.environment, release)
    if said == "not signed":
        said = f"no: {signing_for(done.environment).why_not}"
    yield f"  signed by  {said}"


def _next_steps(manifest: RunManifest, target: str, program: str) -> list[str]:
    look = f"Look closer:  {program} show {manifest.run_id}{target}"
    if manifest.outcome is Outcome.FAILED:
        return [look, "Nothing that readers see has changed."]
    if manifest.scratch:
        return [f"Remove it with:  rm -r {shlex.quote(manifest.scratch)}"]
    if manifest.outcome is Outcome.STAGED:
        return [look]
    served = [
        (node.change is not Change.BUILT, node.table)
        for node in manifest.nodes
        if node.table and node.table.startswith("serving.")
    ]
    if not served:
        return []
    _, table = min(served)
    return [
        "Try next:",
        f'  {program} sql{target} "select * from {table} limit 5"',
        f"  {program} show {table}{target}",
        f"  {program} connect{target}",
    ]


def show(details: RunDetails) -> None:
    """Print what a run did and why it ended as it did."""
    manifest = details.manifest
    released = "" if details.release is None else f", published as release {details.release}"
    records = ("records", details.location)
    if manifest is None:
        output.line(f"run {details.run_id}: incomplete{released}")
        output.fields([("why", "it wrote no run manifest: it was killed, or has not finished"), records])
        _list("staged", details.staged)
        return
    if manifest.release is not None:
        released = f", release {manifest.release}"
    output.line(f"run {manifest.run_id}: {manifest.outcome}{released}")
    signed = [("signed by", details.signature)] if details.signature else []
    output.fields([("why", manifest.reason), *_circumstances(manifest), records, *signed])
    _landed(manifest)
    if manifest.inputs:
        output.line("\npinned inputs:")
        rows = [(f"  {read.table}", figures.number(read.rows), read.snapshot_id) for read in manifest.inputs]
        output.table(("  table", "rows", "snapshot"), rows, right=("rows", "snapshot"))
    _tables(manifest)
    _tests(manifest)
    _balance(manifest)


def record(details: RunDetails) -> dict[str, Any]:
    """The run manifest for ``--output json``, or what is known of a run without one."""
    if details.manifest is not None:
        return details.manifest.model_dump(mode="json")
    return {
        "run_id": details.run_id,
        "outcome": "incomplete",
        "release": details.release,
        "staged": details.staged,
    }


def _circumstances(manifest: RunManifest) -> Iterator[tuple[str, str]]:
    seconds = (manifest.finished_at - manifest.started_at).total_seconds()
    code, versions = manifest.code, manifest.versions
    scratch = f", scratch {manifest.scratch}" if manifest.scratch else ""
    lock = f", lock {versions.lock_sha256[:12]}" if versions.lock_sha256 else ""
    yield "target", f"{manifest.target} ({manifest.mode}){scratch}"
    yield "started", f"{figures.moment(manifest.started_at)} UTC, took {seconds:.1f} s"
    yield "by", f"{manifest.who} on {manifest.host}: {' '.join(manifest.command)}"
    yield (
        "code",
        figures.code(code.commit or "no commit", code.branch, dirty=code.dirty and bool(code.commit)),
    )
    made_with = (
        f"slipway {versions.slipway}, Python {versions.python}, dbt {versions.dbt}, DuckDB {versions.duckdb}"
    )
    yield "made with", f"{made_with}, pyiceberg {versions.pyiceberg}{lock}"
    if manifest.vars:
        yield "vars", ", ".join(f"{name}: {value}" for name, value in manifest.vars.items())
    if manifest.as_of:
        yield "as of", manifest.as_of


def _landed(manifest: RunManifest) -> None:
    if manifest.landed_files:
        aside = _refused(manifest.landed_files)
        rows = sum(entry.rows or 0 for entry in manifest.landed_files if entry.verdict == "accepted")
        new = plural(len(manifest.landed_files) - len(aside), "new file")
        output.line(f"\nlanded: {new}, {plural(rows, 'row')}; {len(aside)} set aside")
        _list("", [f"{one_line(one.path)} ({one.verdict}): {figures.one_line(one.reason)}" for one in aside])
    _list(
        "outstanding files, which are not in raw",
        [f"{one_line(item.path)}: {figures.one_line(item.reason)}" for item in manifest.outstanding],
    )


def _tables(manifest: RunManifest) -> None:
    nodes, shown = manifest.nodes, _with_tables(manifest)
    if shown:
        output.result("")
        headers, rows = _HEADERS, [_table(node) for node in shown]
        if any(engines := [node.other_engine for node in shown]):
            headers = (*headers, "engine")
            rows = [[*row, engine] for row, engine in zip(rows, engines, strict=True)]
        output.table(headers, rows, right=_HEADERS[2:], optional=_OPTIONAL)
    other = [f"{node.table}: {node.stale or node.kept}" for node in nodes if node.stale or node.kept]
    _list("rows made by other code", other)
    notes = [f"{node.table}: {note}" for node in nodes if node.table for note in node.notes]
    _list("notes", [*notes, *manifest.tests.notes])
    _list("always built", [f"{node.table}: {node.volatile}" for node in nodes if _volatile(node)])
    failed = [node for node in nodes if node.status.failed or node.status is Status.PARTIAL_SUCCESS]
    _list("nodes that failed", [f"{node.unique_id}: {figures.one_line(node.message)}" for node in failed])


def _table(node: Node) -> list[object]:
    built = node.change is Change.BUILT
    return [
        node.table,
        figures.change(node),
        figures.number(node.rows_after),
        figures.number(node.rows_before) if built else None,
        _signed("+", node.rows_added) if built else None,
        _signed("-", node.rows_removed) if built else None,
        figures.number(node.files),
        figures.size(node.bytes_total),
        f"{node.seconds:.2f}",
        node.candidate_snapshot,
    ]


def _tests(manifest: RunManifest) -> None:
    tests = manifest.tests
    if not tests.expected:
        output.line("\ntests: none")
        return
    output.line(
        f"\ntests: {tests.expected} expected = {tests.executed} executed + {tests.carried} carried "
        f"+ {tests.not_run} not run; {tests.failed} failed, {tests.warned} warned"
    )
    _list("never carried", [f"{test.name}: {test.volatile}" for test in tests.results if _volatile(test)])
    found = sorted(filter(_has_something_to_say, tests.results), key=lambda test: test.status)
    _list("", [f"{test.status}: {test.name}: {figures.one_line(test.message)}" for test in found])
    _list(
        "problems that tests found",
        [f"{test.name}: {problem}" for test in found for problem in shortened(test.problems)],
    )


def _balance(manifest: RunManifest) -> None:
    lines = figures.books(manifest)
    for source in manifest.freshness:
        last = f"{figures.moment(source.last_landed_at)} UTC" if source.last_landed_at else "never"
        lines.append(f"freshness: {source.source} last brought a file {last}{_age(source.age_seconds)}")
    if lines:
        output.result("\n" + "\n".join(lines))


def _age(seconds: float | None) -> str:
    if seconds is None:
        return ""
    units = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
    unit, length = next((one for one in units if seconds >= 2 * one[1]), units[-1])
    return f", {plural(round(seconds / length), unit)} before the run ended"


def _signed(sign: str, value: int | None) -> str:
    return f"{sign}{value:,}" if value else figures.number(value)


def _list(title: str, lines: list[str]) -> None:
    """Lines under a title, the first of them if they are many."""
    if title and lines:
        output.line(f"\n{title}:")
    for line in lines[:_SOME]:
        output.line(f"  {line}")
    if len(lines) > _SOME:
        output.line(f"  … and {len(lines) - _SOME} more: --output json shows all")
