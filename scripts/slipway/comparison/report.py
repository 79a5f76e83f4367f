"""The comparisons of one run as a record, as Markdown for a pull request, and as plain text."""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from slipway.code.lock_files import PackageDifference
from slipway.comparison.costs import ComparedCosts, Cost, cost_lines
from slipway.comparison.failing_tests import ComparedTests, lines_of_tests
from slipway.comparison.results import (
    ColumnComparison,
    Difference,
    DifferenceKind,
    Effect,
    Method,
    Move,
    Row,
    Side,
    TableComparison,
    Verdict,
    fails,
    is_evidence,
    passed,
)
from slipway.comparison.style import Style, table_lines
from slipway.counts import plural, size
from slipway.records.run_manifest import Sample

_EXPONENT_FROM = 1e15


def count(number: int | None) -> str:
    """A whole number with separators; a dash where there is none."""
    return "-" if number is None else f"{number:,}"


def match_rate(rate: float | None) -> str:
    """A share in per cent, rounded down, so that 100 % means all of them."""
    if rate is None:
        return "-"
    percent = math.floor(rate * 10_000) / 100
    return f"{percent:.10g} %" if percent or not rate else "< 0.01 %"


def largest_change(column: ColumnComparison) -> str:
    """The largest change of a column with its unit and size relative to base; empty without a distance."""
    absolute, relative = column.largest_absolute_change, column.largest_relative_change
    if absolute is None:
        return ""
    text = f"largest change {_number(absolute)}"
    if column.unit:
        text += f" {column.unit}"
    return text if relative is None else f"{text} ({_number(100 * relative, digits=3)} %)"


def cost_line(base: Side, head: Side) -> str:
    """Run time and bytes of base and head; empty when neither side has any."""
    seconds = [None if side.seconds is None else f"{side.seconds:,.1f} s" for side in (base, head)]
    sizes = [None if side.bytes is None else size(side.bytes) for side in (base, head)]
    return ", ".join(" → ".join(one or "-" for one in known) for known in (seconds, sizes) if any(known))


def _number(value: float, digits: int = 6) -> str:
    """A number with as many digits as tell something, whole above a million."""
    return f"{value:,.0f}" if 10**digits <= abs(value) < _EXPONENT_FROM else f"{value:,.{digits}g}"


_MAX_DIFFERENCES = 12
_MAX_EFFECTS = 6
_MAX_CELL_EFFECTS = 2
_LITTLE = 0.1
_MAX_EXAMPLES = 3
_MAX_ROW_VALUES = 6
_MAX_HIDDEN = 12


def summary(table: TableComparison, style: Style) -> list[str]:
    """Cells: table, verdict, rows base → head, added, removed, changed, identical, worst column."""
    verdict = style.strong(table.verdict_words) if fails(table) else table.verdict_words
    rows = f"{count(table.base.rows)} → {count(table.head.rows)}"
    if table.coverage.method is Method.NONE:
        reason = "; ".join(style.words(note) for note in table.coverage.notes)
        return [style.value(table.name), verdict, rows, "-", "-", "-", "-", reason]
    counts = table.rows
    changed = "-" if table.coverage.method is Method.MULTISET else count(counts.changed)
    if counts.within_tolerance:
        changed += f" + {count(counts.within_tolerance)} tolerated"
    worst = table.worst_column
    return [
        style.value(table.name),
        verdict,
        rows,
        count(counts.added),
        count(counts.removed),
        changed,
        count(counts.identical),
        f"{style.value(worst.name)} {_match(worst)}" if worst else "",
    ]


def details(table: TableComparison, style: Style) -> list[tuple[int, str]]:
    """Lines with their depth: every difference with its explanation and examples; empty when there is none."""
    if table.verdict in (Verdict.IDENTICAL, Verdict.NOT_COMPARED, Verdict.NO_EVIDENCE) and not table.notes:
        return []
    lines: list[tuple[int, str]] = []
    for difference in table.differences[:_MAX_DIFFERENCES]:
        lines += _difference(table, difference, style)
    if len(table.differences) > _MAX_DIFFERENCES:
        more = plural(len(table.differences) - _MAX_DIFFERENCES, "more difference")
        lines.append((0, f"{more}: see the JSON report"))
    for column in table.columns:
        if column.within_tolerance:
            amount = f"{count(column.within_tolerance)} within tolerance"
            # the largest change of all values is one beyond it, if there is one
            largest = "" if column.different else largest_change(column)
            lines.append((0, f"{style.value(column.name)}: {amount}{f', {largest}' if largest else ''}"))
    for segment in table.segments:
        share = f"{segment.rows:,} of {plural(segment.of_rows, 'differing row')}"
        value = f"{style.value(segment.column)} = {style.value(segment.value)}"
        if segment.until is not None:
            value = f"{style.value(segment.column)} from {style.value(segment.value)} to {style.value(segment.until)}"
        all_rows = f"{100 * segment.table_share:.2g} % of all rows have (lift {segment.lift:.2g})"
        lines.append((0, f"{share} have {value}, which {all_rows}"))
    lines += [(0, _moved(move, style)) for move in table.moves]
    lines += [(0, line) for line in _effects(table, style)]
    lines += [(0, style.words(note)) for note in table.notes]
    if lines and table.because_of and table.origins:
        lines.append(
            (0, f"follows from {', '.join(map(style.value, table.because_of))}, {style.words(table.origins)}")
        )
    cost = cost_line(table.base, table.head)
    return lines + ([(0, f"built in {cost}")] if lines and cost else [])


def _in_a_line(table: TableComparison, style: Style) -> str:
    """What differs in a table that follows from another one: how many differences, and by how much sums moved."""
    declared = sum(difference.explained_by is not None for difference in table.differences)
    parts = [f"{plural(len(table.differences), 'difference')}, {declared} declared"]
    parts += [_moved(move, style) for move in table.moves]
    if table.effects:
        parts.append(f"net effect: {', '.join(_moved_by(effect, style) for effect in table.effects[:3])}")
    parts += [style.words(table.origins)] if table.origins else []
    return "; ".join([*parts, *map(style.words, table.notes)])


def net_effect(table: TableComparison, style: Style) -> str:
    """By how much the first sums of a table moved, in a cell."""
    moved = [effect for effect in table.effects if effect.base != effect.head]
    more = " …" if len(moved) > _MAX_CELL_EFFECTS else ""
    return ", ".join(_moved_by(effect, style) for effect in moved[:_MAX_CELL_EFFECTS]) + more


def _moved_by(effect: Effect, style: Style) -> str:
    percent = _percent(effect)
    return f"{style.value(effect.column)} {percent}" if percent else _change(effect, style)


def _effects(table: TableComparison, style: Style) -> Iterator[str]:
    """Sums before and after, and distributions that moved."""
    files = table.coverage.files
    in_part = files is not None and files.files_read < files.files
    where = " in the data files that differ" if in_part else ""
    if table.effects:
        show = _change if in_part else _sums
        sums = [show(effect, style) for effect in table.effects[:_MAX_EFFECTS]]
        yield f"net effect: {', '.join(sums)}"
    drifts = [drift for drift in table.drifts if drift.stability_index >= _LITTLE]
    if drifts:
        moved = [
            f"{style.value(drift.column)} {drift.stability_index:.2f}" for drift in drifts[:_MAX_EFFECTS]
        ]
        yield f"distribution moved{where} (PSI, from 0.25 on much): {', '.join(moved)}"


def _moved(move: Move, style: Style) -> str:
    ways = [
        f"{plural(rows, 'row')} moved {way} {style.value(move.curated)}"
        for rows, way in ((move.to_quarantine, "here from"), (move.back, "from here to"))
        if rows
    ]
    return f"rule {style.value(move.rule)}: {', '.join(ways)}"


def _change(effect: Effect, style: Style) -> str:
    """By how much a sum moved, where the whole sums are not known."""
    change = (effect.head or 0) - (effect.base or 0)
    sign = "+" if change > 0 else ""
    return f"{style.value(effect.column)} {sign}{_sum(change, effect.scale, digits=12)}"


def _sum(value: float, scale: int | None, digits: int) -> str:
    """A sum, of decimals with all digits of their type as long as a float is exact to them."""
    is_exact = scale is not None and abs(value) * 10**scale < _EXPONENT_FROM
    return f"{value:,.{scale}f}" if is_exact else _number(value, digits=digits)


def _sums(effect: Effect, style: Style) -> str:
    base, head = (
        "no value" if value is None else _sum(value, effect.scale, digits=15)
        for value in (effect.base, effect.head)
    )
    percent = _percent(effect)
    return f"{style.value(effect.column)} {base} → {head}{f' ({percent})' if percent else ''}"


def _percent(effect: Effect) -> str:
    """By how much a sum moved relative to what it was; empty where that says nothing."""
    if not effect.base or effect.head is None:
        return ""
    return f"{100 * (effect.head - effect.base) / abs(effect.base):+.3g} %"


def _nulls(column: ColumnComparison, table: TableComparison) -> str:
    """NULLs before and after, with their share of the rows."""
    sides = ((column.base_nulls, table.base.rows), (column.head_nulls, table.head.rows))
    return " → ".join(
        count(nulls) + (f" ({100 * nulls / rows:.2g} %)" if nulls and rows else "") for nulls, rows in sides
    )


def _difference(table: TableComparison, difference: Difference, style: Style) -> Iterator[tuple[int, str]]:
    text = style.words(difference.detail)
    column = next((column for column in table.columns if column.name == difference.column), None)
    if difference.kind is DifferenceKind.VALUES_CHANGED and column is not None:
        text += f" ({_match(column)})"
    if column is not None and column.base_nulls != column.head_nulls:
        text += f", NULLs {_nulls(column, table)}"
    if difference.explained_by is None:
        yield 0, f"{style.strong('not explained')}: {text}"
    else:
        yield 0, f"expected ({style.words(difference.explained_by)}): {text}"
    if difference.kind is DifferenceKind.ROWS_ADDED:
        yield from _rows(table.added_examples, style)
    elif difference.kind is DifferenceKind.ROWS_REMOVED:
        yield from _rows(table.removed_examples, style)
    elif difference.kind is DifferenceKind.VALUES_CHANGED and column is not None:
        for example in column.examples[:_MAX_EXAMPLES]:
            yield 1, f"{_row(example.key, style)}: {style.value(example.base)} → {style.value(example.head)}"


def _rows(examples: Sequence[Row], style: Style) -> Iterator[tuple[int, str]]:
    for row in examples[:_MAX_EXAMPLES]:
        yield 1, _row(row, style)


def _row(row: Row, style: Style) -> str:
    """Values with their names, the first few of a wide row."""
    shown = [
        f"{style.words(name)} {style.value(value)}" for name, value in list(row.items())[:_MAX_ROW_VALUES]
    ]
    return ", ".join(shown) + (" …" if len(row) > len(shown) else "")


def _match(column: ColumnComparison) -> str:
    """Match rate, and the largest change where the type has one."""
    text = f"{match_rate(column.match_rate)} match"
    change = largest_change(column)
    return f"{text}, {change}" if change else text


_ORDER = (
    Verdict.DIFFERENT,
    Verdict.NOT_COMPARED,
    Verdict.NO_EVIDENCE,
    Verdict.EXPLAINED,
    Verdict.WITHIN_TOLERANCE,
    Verdict.IDENTICAL,
)
HEADINGS = (
    "table",
    "verdict",
    "rows base → head",
    "added",
    "removed",
    "changed",
    "identical",
    "worst column",
)
ALIGN = "llrrrrrl"
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


class ComparisonReport(BaseModel):
    """Everything that was compared in one run.

    Args:
        title: what was run, for the heading.
        found: what a search found, in the place of the headline; empty where both sides were given.
        base: what the base side is (a ref, a release); ``head`` likewise.
        context: further facts such as the slice, by label.
        remarks: sentences about how it was compared, and what was not.
        packages: in what the environments of both sides differ; empty where they were built with the same.
        sample: the part of the inputs that both sides were built from; None for all of it.
        passed: whether nothing unexplained was found, no test fails on head only, and no bound of time is broken.
        tests: what became of the tests of both sides; None where none were run for the comparison.
        costs: what both builds cost; None where they were not both built for the comparison.
        tables: the judged comparisons, failing ones first, then by name.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    title: str
    found: str = ""
    base: str
    head: str
    context: dict[str, str] = Field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    packages: tuple[PackageDifference, ...] = ()
    sample: Sample | None = None
    passed: bool
    tests: ComparedTests | None = None
    costs: ComparedCosts | None = None
    tables: tuple[TableComparison, ...]


def make_report(
    comparisons: Sequence[TableComparison],
    *,
    title: str = "Comparison",
    found: str = "",
    base: str = "base",
    head: str = "head",
    context: Mapping[str, str] | None = None,
    remarks: Sequence[str] = (),
    packages: Sequence[PackageDifference] = (),
    sample: Sample | None = None,
    tests: ComparedTests | None = None,
    costs: ComparedCosts | None = None,
) -> ComparisonReport:
    """The record of a run's judged comparisons; it says of which columns values are hidden."""
    hidden = sorted({column for table in comparisons for column in table.hidden})
    return ComparisonReport(
        title=title,
        found=found,
        base=base,
        head=head,
        context=dict(context or {}),
        remarks=(*remarks, *_hidden(hidden)),
        packages=tuple(packages),
        sample=sample,
        passed=passed(comparisons) and not any(part and part.why_failed for part in (tests, costs)),
        tests=tests,
        costs=costs,
        tables=tuple(sorted(comparisons, key=lambda table: (_ORDER.index(table.verdict), table.name))),
    )


def _hidden(columns: Sequence[str]) -> Iterator[str]:
    if columns:
        more = f" and {len(columns) - _MAX_HIDDEN} more" if len(columns) > _MAX_HIDDEN else ""
        yield (
            f"Values, or sums, of classified columns are hidden: {', '.join(columns[:_MAX_HIDDEN])}{more};"
            " --show-classified of slipway diff and slipway canary shows them"
        )


def to_dict(report: ComparisonReport) -> dict[str, Any]:
    """The report as JSON values; the field names are those of ``ComparisonReport`` and its parts."""
    return report.model_dump(mode="json")


def headline(report: ComparisonReport) -> str:
    """The outcome in one line, of which part of the inputs, why it is red if it is, and the number of tables for each verdict."""
    part = f" on {report.sample.words}" if report.sample else ""
    if why := nothing_compared(report):
        return f"failed{part}, {why}"
    if report.found:
        return report.found
    words = Counter(
        table.verdict_words for table in sorted(report.tables, key=lambda one: _ORDER.index(one.verdict))
    )
    counts = [f"{number} {word}" for word, number in words.items()]
    outcome = f"passed{part}, " if report.passed else f"failed{part}, {why_failed(report)}; "
    return f"{outcome}{plural(len(report.tables), 'table')} ({', '.join(counts)})"


def why_failed(report: ComparisonReport) -> str:
    """Why a report did not pass, in one line; empty when it passed."""
    if report.passed:
        return ""
    if why := nothing_compared(report):
        return why
    verdicts = Counter(table.verdict for table in report.tables)
    declared, missing = verdicts[Verdict.EXPLAINED], verdicts[Verdict.NOT_COMPARED]
    reasons = []
    if verdicts[Verdict.DIFFERENT]:
        number = verdicts[Verdict.DIFFERENT] + declared
        reasons.append(
            f"{plural(number, 'table')} {'differs' if number == 1 else 'differ'}, {declared} declared"
        )
    if missing:
        reasons.append(f"{plural(missing, 'table')} could not be compared")
    reasons += [part.why_failed for part in (report.tests, report.costs) if part and part.why_failed]
    return ", ".join(reasons)


def nothing_compared(report: ComparisonReport) -> str:
    """Why a report is no evidence of anything; empty where rows were compared, or something fails by itself."""
    if not report.tables:
        return "nothing was compared: no table was built on either side"
    if is_evidence(report.tables) or any(fails(table) for table in report.tables):
        return ""
    number = plural(len(report.tables), "table")
    return f"nothing was compared: {number} without a row on either side; publish data to compare on, or widen the slice"


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
    differing = differences_that_fit([(table, "") for table in _in_groups(report)], room, "the JSON report")
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


def tests_of(report: ComparisonReport, style: Style) -> list[tuple[int, str]]:
    """Lines about the tests of both sides, with their depth; empty where none were run."""
    return lines_of_tests(report.tests, style) if report.tests else []


def built_on_both(tables: Sequence[TableComparison]) -> dict[str, tuple[Cost, Cost]]:
    """What the tables cost that both sides have."""
    return {
        table.name: (table.base, table.head) for table in tables if table.base.exists and table.head.exists
    }


def _costs(report: ComparisonReport, style: Style, most: int) -> list[str]:
    return cost_lines(report.costs, built_on_both(report.tables), style, most) if report.costs else []


def folded(title: str, lines: Sequence[str]) -> list[str]:
    """Lines of Markdown under a title that opens them."""
    return ["<details>", f"<summary>{title}</summary>", "", *lines, "", "</details>", ""]


def to_text(report: ComparisonReport) -> str:
    """The same on one screen of a terminal; what does not fit is left out, and said to be."""
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
        coverage.append(f"Left out here: {', '.join(left_out)}. --output html and json have everything.")
    return "\n".join([*lines, *differing, *coverage, ""])


def _on_a_screen(report: ComparisonReport, room: int) -> tuple[list[str], list[str]]:
    """What differs in each table, in as many lines as there is room for, and what is left out."""
    style = Style(markdown=False)
    own: list[tuple[str, list[tuple[int, str]]]] = []
    follow = []
    for table in _in_groups(report):
        if found := details(table, style):
            name = style.value(table.name)
            if table.because_of:
                follow.append(f"{name}: {_in_a_line(table, style)}")
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


_METHODS = {
    Method.SNAPSHOT: "the same snapshot",
    Method.DIGEST: "with the same content digest",
    Method.KEY: "by key",
    Method.MULTISET: "as whole rows without a key",
}


def coverage_line(report: ComparisonReport) -> str:
    """How many tables were compared, and how."""
    without = [one for one in report.tables if one.verdict_words == Verdict.NO_EVIDENCE.words]
    empty = len(without)
    methods = Counter(table.coverage.method for table in report.tables if table not in without)
    how = [f"{methods[method]} {label}" for method, label in _METHODS.items() if methods[method]]
    compared = sum(methods[method] for method in _METHODS)
    coverage = f"{compared} of {plural(len(report.tables), 'table')} compared" + (
        f" ({', '.join(how)})" if how else ""
    )
    if empty:
        coverage += f", no evidence of {empty} without a row on either side"
    read = [table.coverage.files for table in report.tables if table.coverage.files]
    if files := sum(one.files for one in read):
        of_bytes = f"{size(sum(one.bytes_read for one in read))} of {size(sum(one.bytes for one in read))}"
        coverage += (
            f"; {sum(one.files_read for one in read):,} of {plural(files, 'data file')} read ({of_bytes})"
        )
    return coverage


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
        names = ", ".join(
            f"{style.value(column)} in {plural(n, 'table')}" for column, n in sorted(ignored.items())
        )
        notes.append(f"ignored columns: {names}")
    return notes


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


def groups(
    tables: Sequence[TableComparison], packages: Sequence[PackageDifference] = ()
) -> list[tuple[str, list[TableComparison]]]:
    """Tables under what brought their differences: edited models first, then what follows from each of them, then the others.

    Where nothing is known of origins there is one group without a title.
    """
    if not any(table.edited or table.because_of for table in tables):
        return [("", list(tables))] if tables else []
    other = f"not edited: other {'packages' if packages else 'data'}"
    found: dict[str, list[TableComparison]] = {"edited": []}
    for table in tables:
        if table.because_of:
            title = f"follows from {', '.join(table.because_of)}"
        elif table.edited:
            title = "edited"
        elif table.verdict in (Verdict.IDENTICAL, Verdict.NO_EVIDENCE):
            title = "no difference"
        else:
            title = other
        found.setdefault(title, []).append(table)
    rank = {"edited": 0, other: 1, "no difference": 3}
    return sorted(((title, one) for title, one in found.items() if one), key=lambda one: rank.get(one[0], 2))


def _in_groups(report: ComparisonReport) -> list[TableComparison]:
    return [table for _, group in groups(report.tables, report.packages) for table in group]


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
