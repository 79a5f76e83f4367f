"""What ``slipway run`` prints at the end: what was built, where it is, and what to try next."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from slipway.cli.render import figures
from slipway.counts import plural
from slipway.records.run_manifest import Change, Outcome, Status, outstanding_lines
from slipway.secrets import one_line

if TYPE_CHECKING:
    from slipway.dbt.start import Run
    from slipway.records.run_manifest import Node, RunManifest


_SOME = 5  # tests of a kind that are named; the rest is counted


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
        *_tables(manifest),
        *_of_other_code(manifest),
        *_notes(manifest),
        *_tests(manifest),
        *map(figures.balance, manifest.conservation),
        *_landing(manifest),
        "",
    ]
    lines.append(_headline(manifest))
    lines += [f"  run        {manifest.run_id}", f"  records    {done.folder}"]
    lines += [f"  warehouse  {done.environment.warehouse}", ""]
    lines += _next_steps(manifest, f" --target {target}" if target else "", program)
    return "\n".join(one_line(line) for line in lines)


def _tables(manifest: RunManifest) -> list[str]:
    nodes = [node for node in manifest.nodes if node.table]
    if not nodes:
        return []
    width = max(len(node.table or "") for node in nodes)
    lines = [
        f"{'table':<{width}}  {'':<12}  {'rows':>11}  {'added':>9}  {'removed':>9}  {'written':>9}  {'s':>6}"
    ]
    return lines + [
        _table(node, width) for node in sorted(nodes, key=lambda node: figures.by_layer(node.table or ""))
    ]


def _notes(manifest: RunManifest) -> list[str]:
    said = [f"  {node.table or node.unique_id}: {note}" for node in manifest.nodes for note in node.notes]
    return ["", "notes:", *said] if said else []


def _table(node: Node, width: int) -> str:
    change = figures.change(node)
    cells = f"{node.table:<{width}}  {change:<12}  {figures.number(node.rows_after):>11}"
    if node.change is Change.BUILT:
        cells += f"  {figures.number(node.rows_added):>9}  {figures.number(node.rows_removed):>9}  {figures.size(node.bytes_written):>9}"
        cells += f"  {node.seconds:>6.2f}"
    return cells.rstrip()


def _of_other_code(manifest: RunManifest) -> list[str]:
    found = [
        (word, node.table, why)
        for node in manifest.nodes
        for word, why in (("stale", node.stale), ("kept", node.kept), ("always built", node.volatile))
        if why
    ]
    return ["", *(f"{word}: {table}: {why}" for word, table, why in found)] if found else []


def _tests(manifest: RunManifest) -> list[str]:
    tests = manifest.tests
    if not tests.expected:
        return []
    parts = [f"{tests.executed} executed", f"{tests.carried} carried from an earlier run"]
    parts += [
        f"{count} {word}" for count, word in ((tests.not_run, "not run"), (tests.warned, "warned")) if count
    ]
    lines = ["", f"tests: {tests.expected} expected, {', '.join(parts)}, {tests.failed} failed"]
    volatile = [test for test in tests.results if test.volatile]
    lines += [
        f"  never carried: {test.name}: {figures.one_line(test.volatile, 160)}" for test in volatile[:_SOME]
    ]
    if len(volatile) > _SOME:
        lines.append(f"  … and {len(volatile) - _SOME} more that are never carried")
    failed = [test for test in tests.results if test.status.failed or test.status is Status.WARN]
    return lines + [
        f"  {test.status:<5} {test.name}: {figures.one_line(test.message, 160)}" for test in failed
    ]


def _landing(manifest: RunManifest) -> list[str]:
    aside = [entry for entry in manifest.landed_files if entry.verdict != "accepted"]
    waiting = outstanding_lines(manifest.outstanding, {entry.path for entry in aside[:10]})
    if any(item.feed for item in manifest.outstanding):
        waiting.append(f"  all of them: slipway show {manifest.run_id}")
    if not aside:
        return waiting
    lines = [f"files set aside: {len(aside)} of {len(manifest.landed_files)} new ones"]
    lines += [f"  {one_line(entry.path)}: {one_line(entry.reason)}" for entry in aside[:10]]
    return (
        lines
        + ([f"  … and {len(aside) - 10} more: slipway show {manifest.run_id}"] if len(aside) > 10 else [])
        + waiting
    )


def _headline(manifest: RunManifest) -> str:
    where = f" in a scratch environment: {manifest.scratch}" if manifest.scratch else f" in {manifest.target}"
    match manifest.outcome:
        case Outcome.PUBLISHED:
            changed = sum(node.change.stages for node in manifest.nodes)
            if manifest.scratch:
                return f"Built {plural(changed, 'table')}{where}"
            return f"Published release {manifest.release}, {plural(changed, 'table')}{where}."
        case Outcome.UNCHANGED:
            return f"Nothing changed{where}: no release."
    return f"Not published ({manifest.outcome}){where}: {manifest.reason.rstrip('.')}."


def _next_steps(manifest: RunManifest, target: str, program: str) -> list[str]:
    if manifest.outcome is Outcome.FAILED:
        return [
            f"Look closer:  {program} show {manifest.run_id}{target}",
            "Nothing that readers see has changed.",
        ]
    if manifest.scratch:
        return [f"Remove it with:  rm -r {shlex.quote(manifest.scratch)}"]
    if manifest.outcome is Outcome.STAGED:
        return [f"Look closer:  {program} show {manifest.run_id}{target}"]
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
