"""The comment for a pull request: what was built, what its tests say, what differs."""

from __future__ import annotations

from collections.abc import Iterator

from slipway.ci.result import CiResult, Rebuild
from slipway.comparison.report import to_markdown as report_to_markdown
from slipway.comparison.report import why_failed
from slipway.comparison.style import Style
from slipway.records.run_manifest import Change, RunManifest, Status


def to_markdown(result: CiResult) -> str:
    """The comment for a pull request: what was built, what its tests say, what differs."""
    style = Style(markdown=True)
    run, report = result.run, result.report
    release = result.against
    against = (
        f"release {release.number} ({(release.code.commit or 'no commit')[:12]})" if release else "nothing"
    )
    if run is None and report is None:
        title, summary = "nothing to build", f"No model, seed or test differs from {against}."
    elif run is None:
        title, summary = _verdict(result), f"Compared with {against}. Nothing to build."
    else:
        reason = style.words(run.reason[:1].upper() + run.reason[1:])
        title, summary = _verdict(result), f"Compared with {against}. {reason}."
    lines = [
        f"### Slipway: {title}",
        "",
        summary,
        "",
        *(line for remark in result.remarks for line in (style.words(remark), "")),
        *(_built(run, style) if run else []),
        *_of_other_code(result),
    ]
    if result.rebuild:
        lines += ["#### On a full refresh", "", *_built(result.rebuild.run, style)]
    reports = [report, result.rebuild.report if result.rebuild else None]
    return "\n".join([*lines, *(report_to_markdown(one) for one in reports if one)])


def _built(run: RunManifest, style: Style) -> Iterator[str]:
    tests = run.tests
    yield f"- built: {run.tables_built}"
    yield f"- tests: {tests.executed} executed, {tests.failed} failed, {tests.warned} warned, {tests.not_run} not run"
    pinned = ", ".join(style.value(node.table) for node in run.nodes if node.change is Change.PINNED)
    if pinned:
        yield f"- not rebuilt, although selected: {pinned}, an input is taken as published"
    for test in tests.results:
        if test.status.failed:
            yield f"  - {style.value(test.name)}: {style.words(test.explanation)}"
    for node in run.nodes:
        if node.status is Status.ERROR:
            yield f"  - {style.value(node.table or node.unique_id)}: {style.words(node.message)}"
    yield ""


def _verdict(result: CiResult) -> str:
    """Whether a change passed, and if not, why."""
    if result.passed:
        return "passed"
    why = result.why_nothing_was_checked
    if not why and result.run is not None and not result.run.outcome.is_current:
        why = result.run.reason
    if not why and result.report is not None:
        why = why_failed(result.report)
    if not why and result.rebuild is not None:
        why = f"after a full refresh: {_why_rebuild_failed(result.rebuild)}"
    return f"failed, {Style(markdown=True).words(why)}"


def _of_other_code(result: CiResult) -> list[str]:
    """What the release needs for tables whose published rows other code made; a run adds to them and leaves the rest."""
    style = Style(markdown=True)
    stale, kept = (
        [f"- {style.value(table)}: {style.words(why)}" for table, why in sorted(found.items())]
        for found in ({**result.stale, **result.remade}, result.kept)
    )
    needed = ["#### What the release needs", "", *stale, ""] if stale else []
    return [*needed, *kept, ""] if kept else needed


def _why_rebuild_failed(rebuild: Rebuild) -> str:
    if not rebuild.run.outcome.is_current:
        return rebuild.run.reason
    return why_failed(rebuild.report) if rebuild.report else ""
