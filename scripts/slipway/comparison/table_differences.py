"""How one table compares, in cells and in lines: every difference with its explanation and examples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

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
)
from slipway.comparison.style import Style
from slipway.counts import plural, size

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
    """A number with as many digits as mean something; above a million without a fraction."""
    return f"{value:,.0f}" if 10**digits <= abs(value) < _EXPONENT_FROM else f"{value:,.{digits}g}"


_MAX_DIFFERENCES = 12
_MAX_EFFECTS = 6
_MAX_CELL_EFFECTS = 2
_LITTLE = 0.1
_MAX_EXAMPLES = 3
_MAX_ROW_VALUES = 6


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


def in_a_line(table: TableComparison, style: Style) -> str:
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
