"""One run, explained on one screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from slipway.cli.render import figures, output
from slipway.counts import plural
from slipway.records.run_manifest import Change, Status
from slipway.secrets import one_line

if TYPE_CHECKING:
    from slipway.records.run_manifest import LandedFile, Node, Outstanding, RunManifest
    from slipway.runs.history import RunDetails


_SOME = 10  # lines of one kind before the rest is only counted
_GOOD = (Status.PASS, Status.SUCCESS, Status.NOT_RUN, Status.SKIPPED)
_HEADERS = ("table", "change", "rows", "before", "added", "removed", "files", "size", "seconds", "snapshot")
_RIGHT = ("rows", "before", "added", "removed", "files", "size", "seconds", "snapshot")
_OPTIONAL = ("snapshot", "files", "size", "before", "seconds")


def show(details: RunDetails) -> None:
    """Print what a run did and why it ended as it did."""
    manifest = details.manifest
    if manifest is None:
        output.line(f"run {details.run_id}: incomplete{_released(details)}")
        _fields(
            [
                ("why", "it wrote no run manifest: it was killed, or has not finished"),
                ("records", details.location),
            ]
        )
        _list("staged", details.staged)
        return
    released = f", release {manifest.release}" if manifest.release is not None else _released(details)
    output.line(f"run {manifest.run_id}: {manifest.outcome}{released}")
    _fields([("why", manifest.reason), *_circumstances(manifest), ("records", details.location)])
    _landed(manifest.landed_files)
    _outstanding(manifest.outstanding)
    _inputs(manifest)
    _tables(manifest.nodes)
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


def _released(details: RunDetails) -> str:
    return "" if details.release is None else f", published as release {details.release}"


def _circumstances(manifest: RunManifest) -> Iterator[tuple[str, str]]:
    seconds = (manifest.finished_at - manifest.started_at).total_seconds()
    branch = f" on {manifest.code.branch}" if manifest.code.branch else ""
    dirty = ", with uncommitted changes" if manifest.code.dirty and manifest.code.commit else ""
    versions = manifest.versions
    yield (
        "target",
        f"{manifest.target} ({manifest.mode})"
        + (f", scratch {manifest.scratch}" if manifest.scratch else ""),
    )
    yield "started", f"{figures.moment(manifest.started_at)} UTC, took {seconds:.1f} s"
    yield "by", f"{manifest.who} on {manifest.host}: {' '.join(manifest.command)}"
    yield "code", f"{manifest.code.commit or 'no commit'}{branch}{dirty}"
    yield (
        "made with",
        f"slipway {versions.slipway}, Python {versions.python}, dbt {versions.dbt}, DuckDB {versions.duckdb}, "
        f"pyiceberg {versions.pyiceberg}"
        + (f", lock {versions.lock_sha256[:12]}" if versions.lock_sha256 else ""),
    )
    if manifest.vars:
        yield "vars", ", ".join(f"{name}: {value}" for name, value in manifest.vars.items())
    if manifest.as_of:
        yield "as of", manifest.as_of


def _landed(files: list[LandedFile]) -> None:
    if not files:
        return
    accepted = [entry for entry in files if entry.verdict == "accepted"]
    aside = [entry for entry in files if entry.verdict != "accepted"]
    rows = sum(entry.rows or 0 for entry in accepted)
    output.line(
        f"\nlanded: {plural(len(accepted), 'new file')}, {plural(rows, 'row')}; {len(aside)} set aside"
    )
    _list(
        "", [f"{one_line(entry.path)} ({entry.verdict}): {figures.one_line(entry.reason)}" for entry in aside]
    )


def _inputs(manifest: RunManifest) -> None:
    if manifest.inputs:
        output.line("\npinned inputs:")
        rows = [(f"  {read.table}", figures.number(read.rows), read.snapshot_id) for read in manifest.inputs]
        output.table(("  table", "rows", "snapshot"), rows, right=("rows", "snapshot"))


def _outstanding(found: list[Outstanding]) -> None:
    if not found:
        return
    output.result("\noutstanding files, which are not in raw:")
    _list("", [f"{one_line(item.path)}: {figures.one_line(item.reason)}" for item in found])


def _tables(nodes: list[Node]) -> None:
    shown = [node for node in nodes if node.table]
    if shown:
        output.result("")
        ordered = sorted(shown, key=lambda node: figures.by_layer(node.table or ""))
        output.table(_HEADERS, [_table(node) for node in ordered], right=_RIGHT, optional=_OPTIONAL)
    _list(
        "rows made by other code",
        [f"{node.table}: {node.stale or node.kept}" for node in nodes if node.stale or node.kept],
    )
    _list("notes", [f"{node.table}: {note}" for node in shown for note in node.notes])
    _list("always built", [f"{node.table}: {node.volatile}" for node in nodes if node.volatile])
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
    _list("never carried", [f"{test.name}: {test.volatile}" for test in tests.results if test.volatile])
    found = [test for test in tests.results if test.status not in _GOOD]
    found.sort(key=lambda test: test.status)
    _list("", [f"{test.status}: {test.name}: {figures.one_line(test.message)}" for test in found])


def _balance(manifest: RunManifest) -> None:
    lines = [figures.balance(item) for item in manifest.conservation]
    for source in manifest.freshness:
        last = f"{figures.moment(source.last_landed_at)} UTC" if source.last_landed_at else "never"
        lines.append(f"freshness: {source.source} last brought a file {last}{_age(source.age_seconds)}")
    if lines:
        output.result("\n" + "\n".join(lines))


def _age(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f", {seconds / length:.0f} {unit} before the run ended"
    return f", {seconds:.0f} seconds before the run ended"


def _signed(sign: str, value: int | None) -> str:
    return f"{sign}{value:,}" if value else figures.number(value)


def _fields(pairs: list[tuple[str, str]]) -> None:
    for name, value in pairs:
        output.line(f"  {name:<9}  {value}")


def _list(title: str, lines: list[str]) -> None:
    """Lines under a title, the first of them if they are many."""
    if title and lines:
        output.line(f"\n{title}:")
    for line in lines[:_SOME]:
        output.line(f"  {line}")
    if len(lines) > _SOME:
        output.line(f"  … and {len(lines) - _SOME} more: --output json shows all")
