"""The comparisons of one run as a record, as Markdown for a pull request, and as plain text."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from slipway.domain.comparison import format as fmt
from slipway.domain.comparison.details import details, summary
from slipway.domain.comparison.format import Style
from slipway.domain.comparison.records import Method, TableComparison, Verdict
from slipway.domain.comparison.verdict import fails, is_evidence, passed

_ORDER = (
    Verdict.DIFFERENT,
    Verdict.NOT_COMPARED,
    Verdict.NO_EVIDENCE,
    Verdict.EXPLAINED,
    Verdict.WITHIN_TOLERANCE,
    Verdict.IDENTICAL,
)
_HEADINGS = (
    "table",
    "verdict",
    "rows base → head",
    "added",
    "removed",
    "changed",
    "identical",
    "worst column",
)
_ALIGN = "llrrrrrl"
# Up to here every table has a line; in longer runs those without a difference are named together.
_SMALL_RUN = 10
# What fits a pull request's comment (65,536 characters on GitHub); the JSON report has everything.
_MAX_ROWS = 50
_MAX_NOTES = 20
_MAX_CHARACTERS = 60_000


class ComparisonReport(BaseModel):
    """Everything that was compared in one run.

    Args:
        title: what was run, for the heading.
        base: what the base side is (a ref, a release); ``head`` likewise.
        context: further facts such as the slice, by label.
        passed: whether nothing unexplained was found.
        tables: the judged comparisons, failing ones first, then by name.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    title: str
    base: str
    head: str
    context: dict[str, str] = Field(default_factory=dict)
    passed: bool
    tables: tuple[TableComparison, ...]


def make_report(
    comparisons: Sequence[TableComparison],
    *,
    title: str = "Comparison",
    base: str = "base",
    head: str = "head",
    context: Mapping[str, str] | None = None,
) -> ComparisonReport:
    """The record of a run's judged comparisons."""
    return ComparisonReport(
        title=title,
        base=base,
        head=head,
        context=dict(context or {}),
        passed=passed(comparisons),
        tables=tuple(sorted(comparisons, key=lambda table: (_ORDER.index(table.verdict), table.name))),
    )


def to_dict(report: ComparisonReport) -> dict[str, Any]:
    """The report as JSON values; the field names are those of ``ComparisonReport`` and its parts."""
    return report.model_dump(mode="json")


def headline(report: ComparisonReport) -> str:
    """The outcome in one line, with the number of tables for each verdict."""
    if why := nothing_compared(report):
        return f"failed, {why}"
    verdicts = Counter(table.verdict for table in report.tables)
    counts = [f"{verdicts[verdict]} {verdict.words}" for verdict in _ORDER if verdicts[verdict]]
    return f"{'passed' if report.passed else 'failed'}, {_tables(len(report.tables))} ({', '.join(counts)})"


def nothing_compared(report: ComparisonReport) -> str:
    """Why a report is no evidence of anything; empty where rows were compared, or something fails by itself."""
    if not report.tables:
        return "nothing was compared: no table was built on either side"
    if is_evidence(report.tables) or any(fails(table) for table in report.tables):
        return ""
    number = _tables(len(report.tables))
    return f"nothing was compared: {number} without a row on either side; publish data to compare on, or widen the slice"


def to_markdown(report: ComparisonReport) -> str:
    """One screen for a pull request: the tables, and below them what differs, folded."""
    style = Style(markdown=True)
    lines = [f"### {style.words(report.title)}: {headline(report)}", "", *_facts(report, style), ""]
    lines += _tables_with_verdicts(report, style)
    notes = coverage_notes(report, style) or ["no column was left out"]
    if len(notes) > _MAX_NOTES:
        notes = [*notes[:_MAX_NOTES], f"{len(notes) - _MAX_NOTES} more: see the JSON report"]
    coverage = _folded(f"Coverage: {coverage_line(report)}", [f"- {note}" for note in notes])
    room = _MAX_CHARACTERS - len("\n".join([*lines, *coverage]))
    left_out = 0
    for table in report.tables:
        if found := details(table, style):
            block = _folded(
                f"What differs in {html.escape(Style(markdown=False).value(table.name))}",
                [f"{'  ' * depth}- {line}" for depth, line in found],
            )
            room -= len("\n".join(block)) + 1
            if room > 0:
                lines += block
            else:
                left_out += 1
    if left_out:
        lines += [f"What differs in {_tables(left_out)} more: see the JSON report.", ""]
    return "\n".join([*lines, *coverage])


def _folded(title: str, lines: Sequence[str]) -> list[str]:
    return ["<details>", f"<summary>{title}</summary>", "", *lines, "", "</details>", ""]


def to_text(report: ComparisonReport) -> str:
    """The same for a terminal or a log."""
    style = Style(markdown=False)
    lines = [f"{style.words(report.title)}: {headline(report)}", *_facts(report, style), ""]
    lines += _tables_with_verdicts(report, style)
    for table in report.tables:
        if found := details(table, style):
            lines += [style.value(table.name), *(f"{'  ' * (depth + 1)}{line}" for depth, line in found), ""]
    lines += [f"Coverage: {coverage_line(report)}"]
    return "\n".join([*lines, *(f"  {line}" for line in coverage_notes(report, style)), ""])


def coverage_line(report: ComparisonReport) -> str:
    """How many tables were compared, and how."""
    empty = sum(table.verdict is Verdict.NO_EVIDENCE for table in report.tables)
    methods = Counter(
        table.coverage.method for table in report.tables if table.verdict is not Verdict.NO_EVIDENCE
    )
    compared = methods[Method.KEY] + methods[Method.MULTISET]
    how = [
        f"{methods[method]} {label}"
        for method, label in ((Method.KEY, "by key"), (Method.MULTISET, "as whole rows without a key"))
        if methods[method]
    ]
    told = f"{compared} of {_tables(len(report.tables))} compared" + (f" ({', '.join(how)})" if how else "")
    return f"{told}, no evidence of {empty} without a row on either side" if empty else told


def coverage_notes(report: ComparisonReport, style: Style) -> list[str]:
    """What was left out or compared in another way than declared, and why."""
    ignored: dict[str, int] = {}
    notes = []
    for table in report.tables:
        for column, reason in table.coverage.not_compared.items():
            if reason == "ignored":
                ignored[column] = ignored.get(column, 0) + 1
            elif column not in {**table.schema_changes.added, **table.schema_changes.removed}:
                notes.append(f"{style.value(table.name)}, {style.value(column)}: {style.words(reason)}")
        notes += [f"{style.value(table.name)}: {style.words(note)}" for note in table.coverage.notes]
    if ignored:
        names = ", ".join(f"{style.value(column)} in {_tables(n)}" for column, n in sorted(ignored.items()))
        notes.append(f"ignored columns: {names}")
    return notes


def _facts(report: ComparisonReport, style: Style) -> list[str]:
    """What was compared with what, and what building both took where it is known for every table."""
    facts = {"base": report.base, "head": report.head, **report.context}
    lines = [" · ".join(f"{label} {style.value(value)}" for label, value in facts.items())]
    cost = fmt.cost(
        _total([table.base.seconds for table in report.tables]),
        _total([table.head.seconds for table in report.tables]),
        _total([table.base.bytes for table in report.tables]),
        _total([table.head.bytes for table in report.tables]),
    )
    # An empty line, or Markdown would run both together.
    return lines + (["", f"built in {cost}"] if cost else [])


def _total(amounts: Sequence[float | None]) -> float | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known and len(known) == len(amounts) else None


def _tables_with_verdicts(report: ComparisonReport, style: Style) -> list[str]:
    """The table of tables; in a long run those without any difference are only named."""
    shown = list(report.tables)
    if len(shown) > _SMALL_RUN:
        shown = [table for table in shown if table.verdict is not Verdict.IDENTICAL]
    named = [table for table in report.tables if table not in shown]
    lines = []
    if shown:
        rows = [summary(table, style) for table in shown[:_MAX_ROWS]]
        lines += [*fmt.table(_HEADINGS, rows, _ALIGN, style), ""]
    if len(shown) > _MAX_ROWS:
        lines += [f"{_tables(len(shown) - _MAX_ROWS)} more: see the JSON report.", ""]
    if named:
        lines += [f"identical: {', '.join(style.value(table.name) for table in named)}", ""]
    return lines


def _tables(number: int) -> str:
    return f"{number} {'table' if number == 1 else 'tables'}"
