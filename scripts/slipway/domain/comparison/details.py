"""One compared table in words: its line in the table of tables, and what differs in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from slipway.domain.comparison import format as fmt
from slipway.domain.comparison.format import Style
from slipway.domain.comparison.records import (
    ColumnComparison,
    Difference,
    DifferenceKind,
    Method,
    Row,
    TableComparison,
    Verdict,
)
from slipway.domain.comparison.verdict import fails

_MAX_DIFFERENCES = 12
_MAX_EXAMPLES = 3
_MAX_ROW_VALUES = 6


def summary(table: TableComparison, style: Style) -> list[str]:
    """Cells: table, verdict, rows base → head, added, removed, changed, identical, worst column."""
    verdict = style.strong(table.verdict.words) if fails(table) else table.verdict.words
    rows = f"{fmt.count(table.base.rows)} → {fmt.count(table.head.rows)}"
    if table.coverage.method is Method.NONE:
        reason = "; ".join(style.words(note) for note in table.coverage.notes)
        return [style.value(table.name), verdict, rows, "-", "-", "-", "-", reason]
    counts = table.rows
    changed = fmt.count(counts.changed) if table.coverage.method is Method.KEY else "-"
    if counts.within_tolerance:
        changed += f" + {fmt.count(counts.within_tolerance)} tolerated"
    worst = table.worst_column
    return [
        style.value(table.name),
        verdict,
        rows,
        fmt.count(counts.added),
        fmt.count(counts.removed),
        changed,
        fmt.count(counts.identical),
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
        lines.append(
            (0, f"{len(table.differences) - _MAX_DIFFERENCES} more differences: see the JSON report")
        )
    for column in table.columns:
        if column.within_tolerance:
            amount = f"{fmt.count(column.within_tolerance)} within tolerance"
            lines.append((0, f"{style.value(column.name)}: {amount}, {fmt.largest_change(column)}"))
    for segment in table.segments:
        share = f"{segment.rows:,} of {segment.of_rows:,} differing rows"
        value = f"{style.value(segment.column)} = {style.value(segment.value)}"
        lines.append((0, f"{share} have {value}, which {fmt.share(segment.table_share)} of all rows have"))
    lines += [(0, style.words(note)) for note in table.notes]
    cost = fmt.cost(table.base.seconds, table.head.seconds, table.base.bytes, table.head.bytes)
    return lines + ([(0, f"built in {cost}")] if lines and cost else [])


def _difference(table: TableComparison, difference: Difference, style: Style) -> Iterator[tuple[int, str]]:
    text = style.words(difference.detail)
    column = next((column for column in table.columns if column.name == difference.column), None)
    if difference.kind is DifferenceKind.VALUES_CHANGED and column is not None:
        text += f" ({_match(column)})"
    if column is not None and column.base_nulls != column.head_nulls:
        text += f", NULLs {fmt.count(column.base_nulls)} → {fmt.count(column.head_nulls)}"
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
    text = f"{fmt.match_rate(column.match_rate)} match"
    change = fmt.largest_change(column)
    return f"{text}, {change}" if change else text
