"""The verdict on a comparison: what no declared change explains fails."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from slipway.comparison.policy import ExpectedChange
from slipway.comparison.results import Difference, DifferenceKind, Method, TableComparison, Verdict


def judge(
    comparison: TableComparison,
    expected: Sequence[ExpectedChange] = (),
    *,
    today: date | None = None,
) -> TableComparison:
    """Reach the verdict: every difference beyond tolerance needs an expected change that covers it.

    Args:
        comparison: the facts; an earlier verdict is replaced.
        expected: the changes that the model declares.
        today: decides which declarations ran out; None leaves out all that have an ``until``.
    """
    holding = [change for change in expected if change.holds(today)]
    differences, used = [], set()
    for difference in _differences(comparison):
        by = next((change for change in holding if _covers(change, difference)), None)
        if by is not None:
            used.add(by)
        differences.append(difference.model_copy(update={"explained_by": by.reason if by else None}))
    notes = [
        f"the expected change did not happen: {change.reason}" for change in holding if change not in used
    ]
    notes += [
        f"the expected change counted until {change.until} only: {change.reason}"
        for change in expected
        if change not in holding
    ]
    return comparison.model_copy(
        update={
            "verdict": _verdict(comparison, differences),
            "differences": tuple(differences),
            "notes": tuple(notes),
        }
    )


def passed(comparisons: Sequence[TableComparison]) -> bool:
    """Whether nothing unexplained was found in rows that were looked at; a comparison of nothing is not a pass."""
    return is_evidence(comparisons) and not any(fails(comparison) for comparison in comparisons)


def fails(comparison: TableComparison) -> bool:
    """Whether what was found, or not looked at, in one table fails the run."""
    return comparison.verdict in (Verdict.DIFFERENT, Verdict.NOT_COMPARED)


def is_evidence(comparisons: Sequence[TableComparison]) -> bool:
    """Whether anything was compared: rows of a table, or a declared difference of one that has rows on one side."""
    return any(
        table.has_rows or (table.verdict is Verdict.EXPLAINED and (table.base.rows or table.head.rows))
        for table in comparisons
    )


def _verdict(comparison: TableComparison, differences: Sequence[Difference]) -> Verdict:
    if any(difference.explained_by is None for difference in differences):
        return Verdict.DIFFERENT
    if differences:
        return Verdict.EXPLAINED
    if comparison.coverage.method is Method.NONE:
        return Verdict.NOT_COMPARED
    if not comparison.has_rows:
        return Verdict.NO_EVIDENCE
    return Verdict.WITHIN_TOLERANCE if comparison.rows.within_tolerance else Verdict.IDENTICAL


def _differences(comparison: TableComparison) -> list[Difference]:
    kind, base, head = DifferenceKind, comparison.base, comparison.head
    if base.exists != head.exists:
        here = head if head.exists else base
        what = kind.TABLE_ADDED if head.exists else kind.TABLE_REMOVED
        side = "head" if head.exists else "base"
        return [Difference(kind=what, detail=f"only {side} has the table ({_rows(here.rows or 0)})")]
    schema, rows = comparison.schema_changes, comparison.rows
    found = [
        Difference(kind=kind.COLUMN_ADDED, column=name, detail=f"column {name} {type_} is new")
        for name, type_ in schema.added.items()
    ]
    found += [
        Difference(kind=kind.COLUMN_REMOVED, column=name, detail=f"column {name} {type_} is gone")
        for name, type_ in schema.removed.items()
    ]
    found += [
        Difference(
            kind=kind.TYPE_CHANGED,
            column=change.column,
            detail=f"column {change.column} was {change.base} and is {change.head}",
        )
        for change in schema.type_changed
    ]
    if comparison.coverage.method is Method.NONE and found:
        detail = "; ".join(comparison.coverage.notes) or "rows were not compared"
        return [*found, Difference(kind=kind.ROWS_NOT_COMPARED, detail=detail)]
    if rows.added:
        found.append(Difference(kind=kind.ROWS_ADDED, detail=f"{_rows(rows.added)} added"))
    if rows.removed:
        found.append(Difference(kind=kind.ROWS_REMOVED, detail=f"{_rows(rows.removed)} removed"))
    if comparison.coverage.method is Method.KEY:
        found += [
            Difference(
                kind=kind.VALUES_CHANGED,
                column=column.name,
                detail=f"{column.different:,} of {column.compared:,} values of {column.name} differ",
            )
            for column in comparison.columns
            if column.different
        ]
    return found


def _covers(change: ExpectedChange, difference: Difference) -> bool:
    if change.whole_table:
        return True
    if difference.column is not None:
        return difference.column.casefold() in {name.casefold() for name in change.columns or ()}
    row_kinds = {DifferenceKind.ROWS_ADDED: "added", DifferenceKind.ROWS_REMOVED: "removed"}
    return row_kinds.get(difference.kind) in (change.rows or ())


def _rows(number: int) -> str:
    return f"{number:,} {'row' if number == 1 else 'rows'}"
