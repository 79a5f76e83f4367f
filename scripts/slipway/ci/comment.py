"""The comment for a pull request: one screen that says first whether a change passes, and if not, why; and below, folded, what differs.

The same as plain text is for whoever looks at a terminal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from slipway.ci.lineage_diagram import diagram
from slipway.ci.result import CiResult, Rebuild, described
from slipway.comparison.report import ComparisonReport, coverage_line, coverage_notes, groups, why_failed
from slipway.comparison.results import DifferenceKind, TableComparison, Verdict
from slipway.comparison.style import Style, table_lines
from slipway.comparison.table_differences import net_effect, summary
from slipway.comparison.text_report import differences_that_fit, folded
from slipway.comparison.text_report import to_text as report_as_text
from slipway.counts import plural, size
from slipway.records.node_results import Change, Status
from slipway.records.run_manifest import RunManifest

MOST_CHARACTERS = 60_000
"""Of the comment; GitHub refuses one with more than 65,536, and the workflow adds a little."""
_MOST_TABLES = 20
_MOST_LINES = 8
_MOST_NOTES = 20
_HEADINGS = (
    "table",
    "verdict",
    "rows",
    "added",
    "removed",
    "changed",
    "net effect",
    "worst column",
    "tests",
    "s",
    "size",
)
_ALIGN = "llrrrrlllrr"
_STYLE, _TEXT = Style(markdown=True), Style(markdown=False)


def to_markdown(result: CiResult) -> str:
    """The comment."""
    lines = [f"### Slipway: {_title(result)}", "", " ".join(_summary(result)), ""]
    for remark in result.remarks:
        lines += [_STYLE.words(remark), ""]
    for run in (result.run, result.rebuild.run if result.rebuild else None):
        lines += [*_failures(run, result.former_tests)] if run else []
    lines += _reasons_declared(result)
    lines += _tables(result.report, result.run) if result.report else []
    lines += _needs(result)
    if result.rebuild and result.rebuild.report:
        lines += ["#### After a full refresh", "", *_tables(result.rebuild.report, result.rebuild.run)]
    lines += _touched(result)
    folded = [*_lineage(result), *_coverage(result), *_what_to_do(result)]
    room = MOST_CHARACTERS - len("\n".join([*lines, *folded]))
    return "\n".join([*lines, *_differences(result, room), *folded]).rstrip("\n") + "\n"


def to_text(result: CiResult) -> str:
    """The same without Markdown: the reports of comparisons are those of ``slipway diff``, and lineage is left to the comment."""
    lines = [f"Slipway: {_title(result, _TEXT)}", "", " ".join(_summary(result, _TEXT)), ""]
    for remark in result.remarks:
        lines += [_TEXT.words(remark), ""]
    for run in (result.run, result.rebuild.run if result.rebuild else None):
        lines += [*_failures(run, result.former_tests, _TEXT)] if run else []
    lines += _reasons_declared(result, _TEXT)
    lines += [_report(result.report), ""] if result.report else []
    lines += _needs(result, _TEXT)
    if result.rebuild and result.rebuild.report:
        lines += ["After a full refresh", "", _report(result.rebuild.report), ""]
    lines += [*_touched(result, _TEXT), *_what_to_do(result, _TEXT)]
    return "\n".join(lines).rstrip("\n") + "\n"


def for_page(result: CiResult) -> ComparisonReport | None:
    """The comparison for a page of its own, with what the comment says besides: verdict, failures, what the release needs, who is affected."""
    if result.report is None:
        return None
    said = [f"Slipway: {_title(result, _TEXT)}. {' '.join(_summary(result, _TEXT))}"]
    for run in (result.run, result.rebuild.run if result.rebuild else None):
        said += _failures(run, result.former_tests, _TEXT) if run else []
    said += [*_reasons_declared(result, _TEXT), *_needs(result, _TEXT), *_touched(result, _TEXT)]
    remarks = [line.strip().removeprefix("- ") for line in (*result.remarks, *said) if line]
    again = f"The same report on a laptop: {_again(result)}"
    return result.report.model_copy(update={"remarks": (*result.report.remarks, *remarks, again)})


def _again(result: CiResult) -> str:
    """The command that makes the report again."""
    again = ["slipway ci"]
    if result.run is not None:
        again += ["--target", result.run.target]
    if result.base_commit:
        again += ["--base", result.base_commit[:12]]
    return " ".join(again)


def _report(report: ComparisonReport) -> str:
    return report_as_text(report, "ci.html and ci.json").rstrip()


def _heading(text: str, style: Style) -> str:
    return f"#### {text}" if style.markdown else text


def _block(kind: str, lines: Sequence[str], style: Style) -> list[str]:
    """Lines that are to be copied."""
    return [f"```{kind}", *lines, "```"] if style.markdown else [f"  {line}" for line in lines]


def _title(result: CiResult, style: Style = _STYLE) -> str:
    """Whether a change passed, and if not, why."""
    if result.run is None and result.report is None:
        return "nothing to build" if result.passed else f"failed, {style.words(_of_contracts(result))}"
    if result.passed:
        if not result.against:
            return "passed, and nothing was compared"
        number = len(_declared_tables(result))
        differ = f", {plural(number, 'table')} {'differs' if number == 1 else 'differ'}, {number} declared"
        return f"passed{differ if number else ''}"
    return f"failed, {style.words('; '.join(_reasons(result)))}"


def _declared_tables(result: CiResult) -> dict[str, str]:
    """Tables all of whose differences are declared, of a run or of a full refresh, with the reasons that their models give."""
    reports = [result.report, result.rebuild.report if result.rebuild else None]
    return {
        table.name: "; ".join(dict.fromkeys(str(one.explained_by) for one in table.differences))
        for report in reports
        for table in (report.tables if report else ())
        if table.verdict is Verdict.EXPLAINED
    }


def _reasons(result: CiResult) -> Iterator[str]:
    run = result.run
    if result.why_nothing_was_checked:
        yield result.why_nothing_was_checked
    elif run is not None and not run.outcome.is_current:
        yield run.reason
        if result.report is not None and not result.report.passed:
            yield why_failed(result.report)
    elif result.report is not None and not result.report.passed:
        yield why_failed(result.report)
    elif result.rebuild is not None and not result.rebuild.passed:
        yield f"after a full refresh: {_why_rebuild_failed(result.rebuild)}"
    if why := _of_contracts(result):
        yield why


def _why_rebuild_failed(rebuild: Rebuild) -> str:
    if not rebuild.run.outcome.is_current:
        return rebuild.run.reason
    return why_failed(rebuild.report) if rebuild.report else ""


def _of_contracts(result: CiResult) -> str:
    broken = [one for one in result.contracts if one.failures]
    return f"{plural(len(broken), 'contract')} not in order" if broken else ""


def _summary(result: CiResult, style: Style = _STYLE) -> Iterator[str]:
    """What was compared with what, how much was built, and what its tests say."""
    if (release := result.against) is not None:
        yield f"Compared with release {release.number} ({(release.code.commit or 'no commit')[:12]})."
    run = result.run
    if run is None:
        yield "Nothing to build." if result.report else "No model, seed or test differs."
        return
    yield from described(run)
    if pinned := ", ".join(style.value(node.table) for node in run.nodes if node.change is Change.PINNED):
        yield f"Not rebuilt, although selected: {pinned}, an input is taken as published."


def _reasons_declared(result: CiResult, style: Style = _STYLE) -> list[str]:
    """Tables that are meant to differ, and why."""
    lines = [
        f"- {style.value(table)} is meant to differ: {style.words(why)}"
        for table, why in sorted(_declared_tables(result).items())
    ]
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"- {len(lines) - _MOST_LINES} more: see ci.html and ci.json"]
    return [*lines, ""] if lines else []


def _failures(run: RunManifest, former_tests: Collection[str] | None, style: Style = _STYLE) -> list[str]:
    """Tests and nodes that failed, with what they said, and which of these tests are new."""
    lines = []
    for test in run.tests.results:
        if test.status.failed:
            is_new = former_tests is not None and test.unique_id not in former_tests
            why = f"{test.explanation}{' (the release does not have this test)' if is_new else ''}"
            lines.append(f"- {style.value(test.name)}: {style.words(why)}")
    lines += [
        f"- {style.value(node.table or node.unique_id)}: {style.words(node.message)}"
        for node in run.nodes
        if node.status is Status.ERROR
    ]
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"- {len(lines) - _MOST_LINES} more: see ci.json"]
    return [*lines, ""] if lines else []


def _tables(report: ComparisonReport, run: RunManifest | None) -> list[str]:
    """The tables under what brought their differences; those without one are named together."""
    same = [one for one in report.tables if one.verdict is Verdict.IDENTICAL]
    shown = [one for one in report.tables if one not in same]
    lines = []
    for title, group in groups(shown[:_MOST_TABLES]):
        lines += [f"**{_STYLE.words(title[:1].upper() + title[1:])}**", ""] if title else []
        lines += [*table_lines(_HEADINGS, [_row(one, run) for one in group], _ALIGN, _STYLE), ""]
    if len(shown) > _MOST_TABLES:
        lines += [f"{plural(len(shown) - _MOST_TABLES, 'more table')}: see ci.html and ci.json.", ""]
    if same:
        names = ", ".join(_STYLE.value(one.name) for one in same[:_MOST_TABLES])
        more = f" and {len(same) - _MOST_TABLES} more" if len(same) > _MOST_TABLES else ""
        lines += [f"Identical: {names}{more}", ""]
    return lines


def _row(table: TableComparison, run: RunManifest | None) -> list[str]:
    name, verdict, rows, added, removed, changed, _, worst = summary(table, _STYLE)
    seconds, built = table.head.seconds, table.head.bytes
    return [
        name,
        verdict,
        rows,
        added,
        removed,
        changed,
        net_effect(table, _STYLE),
        worst,
        _tests_of(table.name, run),
        "-" if seconds is None else f"{seconds:,.1f}",
        "-" if built is None else size(built),
    ]


def _tests_of(table: str, run: RunManifest | None) -> str:
    found = [test for test in run.tests.results if table in test.tables] if run else []
    if not found:
        return "none"
    failed = sum(test.status.failed for test in found)
    return f"**{failed} of {len(found)} failed**" if failed else f"{len(found)} passed"


def _needs(result: CiResult, style: Style = _STYLE) -> list[str]:
    """What the release needs for tables whose published rows other code made; a run adds to them and leaves the rest."""
    stale, kept = (
        [f"- {style.value(table)}: {style.words(why)}" for table, why in sorted(found.items())]
        for found in ({**result.stale, **result.remade}, result.kept)
    )
    needed = [_heading("What the release needs", style), "", *stale, ""] if stale else []
    return [*needed, *kept, ""] if kept else needed


def _touched(result: CiResult, style: Style = _STYLE) -> list[str]:
    """Who reads what differs, and what changes in contracts."""
    lines = [
        f"- exposure {style.value(one.name)} ({style.words(f'{one.kind} of {one.owner}' if one.owner else one.kind)})"
        f" reads {', '.join(map(style.value, one.tables))}"
        for one in result.exposures
    ]
    for contract in result.contracts:
        breaking = sum(bool(change.breaks) for change in contract.changes)
        kinds = f"{plural(breaking, 'breaking change')}, {len(contract.changes) - breaking} compatible"
        if contract.base is None or contract.head is None:
            kinds = "new" if contract.base is None else "removed"
        broken = f", breaks {' and '.join(sorted(contract.breaks))}" if contract.breaks else ""
        versions = " → ".join(style.value(one) for one in (contract.base, contract.head) if one is not None)
        lines.append(f"- contract {style.value(contract.id)} {versions}: {kinds}{broken}")
        lines += [f"  - {style.strong('not in order')}: {style.words(why)}" for why in contract.failures]
    if len(lines) > 2 * _MOST_LINES:
        lines = [*lines[: 2 * _MOST_LINES], f"- {len(lines) - 2 * _MOST_LINES} more: see ci.json"]
    return [_heading("Who is affected", style), "", *lines, ""] if lines else []


def _lineage(result: CiResult) -> list[str]:
    tables = result.report.tables if result.report else ()
    if len(tables) + len(result.exposures) < 2:
        return []
    return folded("Lineage", ["```mermaid", *diagram(tables, result.parents, result.exposures), "```"])


def _coverage(result: CiResult) -> list[str]:
    if result.report is None:
        return []
    notes = coverage_notes(result.report, _STYLE) or ["no column was left out"]
    if len(notes) > _MOST_NOTES:
        notes = [*notes[:_MOST_NOTES], f"{len(notes) - _MOST_NOTES} more: see ci.json"]
    return folded(f"Coverage: {coverage_line(result.report)}", [f"- {note}" for note in notes])


def _differences(result: CiResult, room: int) -> list[str]:
    """What differs in each table, folded, as long as there is room."""
    reports = ((result.report, ""), (result.rebuild and result.rebuild.report, " after a full refresh"))
    tables = [
        (table, when)
        for report, when in reports
        if report
        for _, group in groups(report.tables)
        for table in group
    ]
    return differences_that_fit(tables, room, "ci.html and ci.json")


def _what_to_do(result: CiResult, style: Style = _STYLE) -> list[str]:
    """How to declare what is meant to differ, and how to get this report again."""
    report = result.report if result.report and not result.report.passed else None
    if report is None and result.rebuild and result.rebuild.report and not result.rebuild.report.passed:
        report = result.rebuild.report
    failing = [one for one in report.tables if one.verdict is Verdict.DIFFERENT] if report else []
    lines = []
    if failing:
        first = next((one for one in failing if one.edited), failing[0])
        lines += [
            f"If it is meant to differ, say so in the configuration of the model, here of {style.value(first.name)}:",
            "",
            *_block("yaml", ["config:", "  compare_expected:", *_declared(first)], style),
            "",
        ]
    if not style.markdown:
        return lines
    lines += ["The same report on a laptop:", "", *_block("sh", [_again(result)], style)]
    return folded(
        "How to declare a difference, and to reproduce this" if failing else "How to reproduce this", lines
    )


def _declared(table: TableComparison) -> list[str]:
    """A declaration of all that is not explained in a table."""
    kinds = {one.kind for one in table.differences if one.explained_by is None}
    columns = sorted({one.column for one in table.differences if one.explained_by is None and one.column})
    rows = [
        name
        for name, kind in (("added", DifferenceKind.ROWS_ADDED), ("removed", DifferenceKind.ROWS_REMOVED))
        if kind in kinds
    ]
    whole = kinds & {
        DifferenceKind.TABLE_ADDED,
        DifferenceKind.TABLE_REMOVED,
        DifferenceKind.ROWS_NOT_COMPARED,
    }
    reason = "    - reason: why it is right"
    if whole or not (columns or rows):
        return [reason]
    lines = [reason, f"      columns: [{', '.join(columns)}]"] if columns else []
    return lines + ([reason, f"      rows: [{', '.join(rows)}]"] if rows else [])
