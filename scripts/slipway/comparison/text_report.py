"""A comparison as Markdown for a pull request, and as text on one screen of a terminal."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from slipway.comparison.costs import cost_lines
from slipway.comparison.report import (
    ComparisonReport,
    built_on_both,
    coverage_line,
    coverage_notes,
    groups,
    headline,
    in_groups,
    tests_of,
)
from slipway.comparison.results import (
    Side,
    TableComparison,
    Verdict,
)
from slipway.comparison.style import Style, table_lines
from slipway.comparison.table_differences import ALIGN, HEADINGS, cost_line, details, in_a_line, summary
from slipway.counts import plural

# Up to here every table has a line; in longer runs those without a difference are named together.
_SMALL_RUN = 10
# Lines of a terminal, with a few for the command above and the prompt below; in text more tables than this have no line of their own.
_SCREEN = 50
_MAX_TEXT_ROWS = 20
_MAX_TEXT_NOTES = 5
_MAX_TEXT_COSTS = 5
# What fits a pull request's comment (65,536 characters on GitHub); the JSON report has everything.
_MAX_ROWS = 50
_MAX_NOTES = 20
_MAX_CHARACTERS = 60_000


def to_markdown(report: ComparisonReport) -> str:
    """One screen for a pull request: the tables, and below them what differs, folded."""
    style = Style(markdown=True)
    lines = [
        f"### {style.words(report.title)}: {style.words(headline(report))}",
        "",
        *_facts(report, style),
        "",
    ]
    lines += (
        [*(f"{'  ' * depth}- {line}" for depth, line in tests_of(report, style)), ""] if report.tests else []
    )
    lines += _tables_with_verdicts(report, style)
    if costs := _costs(report, style, _MAX_ROWS):
        lines += folded("What building cost", costs)
    notes = coverage_notes(report, style) or ["no column was left out"]
    if len(notes) > _MAX_NOTES:
        notes = [*notes[:_MAX_NOTES], f"{len(notes) - _MAX_NOTES} more: see the JSON report"]
    coverage = folded(f"Coverage: {coverage_line(report)}", [f"- {note}" for note in notes])
    room = _MAX_CHARACTERS - len("\n".join([*lines, *coverage]))
    differing = differences_that_fit([(table, "") for table in in_groups(report)], room, "the JSON report")
    return "\n".join([*lines, *differing, *coverage])


def differences_that_fit(
    tables: Iterable[tuple[TableComparison, str]], room: int, elsewhere: str
) -> list[str]:
    """Lines of Markdown with what differs in each table, folded, as long as there is room; then how many are left out.

    Args:
        tables: each with words that end its title.
        room: characters, with those of the last line.
        elsewhere: where the rest is.
    """
    style, lines, left_out = Style(markdown=True), list[str](), 0
    room -= len(_left_out(1_000_000, elsewhere)) + 2
    for table, when in tables:
        if found := details(table, style):
            name = html.escape(Style(markdown=False).value(table.name))
            block = folded(
                f"What differs in {name}{when}", [f"{'  ' * depth}- {line}" for depth, line in found]
            )
            room -= len("\n".join(block)) + 1
            if room > 0:
                lines += block
            else:
                left_out += 1
    return [*lines, _left_out(left_out, elsewhere), ""] if left_out else lines


def _left_out(tables: int, elsewhere: str) -> str:
    return f"What differs in {plural(tables, 'table')} more: see {elsewhere}."


def _costs(report: ComparisonReport, style: Style, most: int) -> list[str]:
    return cost_lines(report.costs, built_on_both(report.tables), style, most) if report.costs else []


def folded(title: str, lines: Sequence[str]) -> list[str]:
    """Lines of Markdown under a title that opens them."""
    return ["<details>", f"<summary>{title}</summary>", "", *lines, "", "</details>", ""]


def to_text(report: ComparisonReport, whole: str = "--output html and json") -> str:
    """The same on one screen of a terminal; what does not fit is left out, and said to be.

    Args:
        report: the comparison.
        whole: where all of it is.
    """
    style = Style(markdown=False)
    lines = [f"{style.words(report.title)}: {headline(report)}", *_facts(report, style), ""]
    lines += (
        [*(f"{'  ' * depth}{line}" for depth, line in tests_of(report, style)), ""] if report.tests else []
    )
    lines += _tables_with_verdicts(report, style)
    if costs := _costs(report, style, _MAX_TEXT_COSTS):
        lines += [*costs, ""]
    notes = coverage_notes(report, style)
    coverage = [f"Coverage: {coverage_line(report)}", *(f"  {note}" for note in notes[:_MAX_TEXT_NOTES])]
    differing, left_out = _on_a_screen(report, _SCREEN - len(lines) - len(coverage) - 1)
    if len(notes) > _MAX_TEXT_NOTES:
        left_out.append(plural(len(notes) - _MAX_TEXT_NOTES, "note"))
    if left_out:
        coverage.append(f"Left out here: {', '.join(left_out)}. {whole} have everything.")
    return "\n".join([*lines, *differing, *coverage, ""])


def _on_a_screen(report: ComparisonReport, room: int) -> tuple[list[str], list[str]]:
    """What differs in each table, in as many lines as there is room for, and what is left out."""
    style = Style(markdown=False)
    own: list[tuple[str, list[tuple[int, str]]]] = []
    follow = []
    for table in in_groups(report):
        if found := details(table, style):
            name = style.value(table.name)
            if table.because_of:
                follow.append(f"{name}: {in_a_line(table, style)}")
            else:
                own.append((name, found))
    left_out = ["rows and columns of tables that follow"] * bool(follow)
    shown = own
    needed = sum(len(found) + 2 for _, found in shown) + len(follow) + bool(follow)
    if needed > room:
        shown = [(name, [line for line in found if not line[0]]) for name, found in own]
        left_out += ["examples of rows"] * (shown != own)
    fitting, blocks = room - (min(len(follow), 5) + 1 if follow else 0), list[str]()
    for at, (name, found) in enumerate(shown):
        if at and len(blocks) + len(found) + 2 > fitting:
            left_out.append(f"what differs in {plural(len(shown) - at, 'table')} more")
            break
        blocks += [name, *(f"{'  ' * (depth + 1)}{line}" for depth, line in found), ""]
    kept = follow[: max(room - len(blocks) - 1, 5)]
    if len(kept) < len(follow):
        left_out.append(f"{plural(len(follow) - len(kept), 'table')} more that follow")
    return [*blocks, *kept, *[""] * bool(kept)], left_out


def _facts(report: ComparisonReport, style: Style) -> list[str]:
    """What was compared with what, and what building both took where it is known for every table."""
    facts = {"base": report.base, "head": report.head, **report.context}
    lines = [" · ".join(f"{label} {style.value(value)}" for label, value in facts.items())]
    base, head = ([getattr(table, side) for table in report.tables] for side in ("base", "head"))
    cost = cost_line(_total(base), _total(head))
    # An empty line, or Markdown would run both together.
    for more in [*([f"built in {cost}"] if cost else []), *map(style.words, report.remarks)]:
        lines += ["", more] if style.markdown or more.startswith("built in") else [more]
    return lines


def _total(sides: Sequence[Side]) -> Side:
    """What building all tables took, as far as it is known of each."""
    seconds = [side.seconds for side in sides if side.seconds is not None]
    sizes = [side.bytes for side in sides if side.bytes is not None]
    return Side(
        seconds=sum(seconds) if sides and len(seconds) == len(sides) else None,
        bytes=sum(sizes) if sides and len(sizes) == len(sides) else None,
    )


def _tables_with_verdicts(report: ComparisonReport, style: Style) -> list[str]:
    """The table of tables; in a long run those without any difference are only named."""
    shown = list(report.tables)
    if len(shown) > _SMALL_RUN:
        shown = [table for table in shown if table.verdict is not Verdict.IDENTICAL]
    named = [table for table in report.tables if table not in shown]
    lines = []
    most = _MAX_ROWS if style.markdown else _MAX_TEXT_ROWS
    for title, group in groups(shown[:most], report.packages):
        rows = [summary(one, style) for one in group]
        lines += [style.words(title[:1].upper() + title[1:]), ""] if title and style.markdown else []
        lines += [f"{title[:1].upper()}{title[1:]}"] if title and not style.markdown else []
        lines += [*table_lines(HEADINGS, rows, ALIGN, style), ""]
    if len(shown) > most:
        lines += [f"{plural(len(shown) - most, 'table')} more: see the JSON report.", ""]
    if named:
        lines += [f"identical: {', '.join(style.value(table.name) for table in named)}", ""]
    return lines
