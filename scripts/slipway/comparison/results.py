"""The result of comparing one table with another version of itself, and the verdict: what no declared change explains fails."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from slipway.comparison.costs import Cost
from slipway.comparison.policy import ExpectedChange, Tolerance
from slipway.counts import plural

Row = dict[str, str | None]


class Verdict(StrEnum):
    """What a comparison says about a table."""

    IDENTICAL = "identical"
    WITHIN_TOLERANCE = "within_tolerance"
    EXPLAINED = "explained"
    DIFFERENT = "different"
    NOT_COMPARED = "not_compared"
    NO_EVIDENCE = "no_evidence"

    @property
    def words(self) -> str:
        """The verdict in a sentence."""
        return self.value.replace("_", " ")


class Method(StrEnum):
    """How rows were matched, or why they need not be: both sides are one snapshot, or have the same content digest."""

    SNAPSHOT = "same_snapshot"
    DIGEST = "same_digest"
    KEY = "key"
    MULTISET = "multiset"
    NONE = "none"


class DifferenceKind(StrEnum):
    """The kinds of difference that need an explanation."""

    TABLE_ADDED = "table_added"
    TABLE_REMOVED = "table_removed"
    TABLE_RENAMED = "table_renamed"
    COLUMN_ADDED = "column_added"
    COLUMN_REMOVED = "column_removed"
    COLUMN_RENAMED = "column_renamed"
    TYPE_CHANGED = "type_changed"
    ROWS_ADDED = "rows_added"
    ROWS_REMOVED = "rows_removed"
    VALUES_CHANGED = "values_changed"
    ROWS_NOT_COMPARED = "rows_not_compared"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class Side(Cost):
    """One version of the table; what building it cost is filled in by whoever built it."""

    exists: bool = True
    rows: int | None = None


class TypeChange(_Record):
    """A column whose type is not the same on both sides."""

    column: str
    base: str
    head: str


class SchemaChanges(_Record):
    """Columns that only one side has (name to type), that changed their type, or that had another name in base (name to that name)."""

    added: dict[str, str] = Field(default_factory=dict)
    removed: dict[str, str] = Field(default_factory=dict)
    renamed: dict[str, str] = Field(default_factory=dict)
    type_changed: tuple[TypeChange, ...] = ()


class RowCounts(_Record):
    """Rows by what happened to them; in a row ``within_tolerance`` every change is tolerated."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    within_tolerance: int = 0
    identical: int = 0


class Example(_Record):
    """One changed value, as text."""

    key: Row
    base: str | None
    head: str | None


class ColumnComparison(_Record):
    """One column over the rows that both sides have.

    Args:
        compared: number of value pairs.
        matching: pairs that are equal.
        within_tolerance: unequal pairs that the tolerance allows.
        tolerance: the bounds that were applied.
        match_rate: ``matching / compared``; None when nothing was compared.
        base_nulls: NULL values in all rows of base; ``head_nulls`` likewise. None where they were not counted, because rows that
            both sides share were not read.
        largest_absolute_change: of finite pairs, in ``unit``; None for types without a distance.
        largest_relative_change: ``|head - base| / |base|`` where base is not zero.
        unit: days or seconds for dates and timestamps.
        examples: pairs beyond the tolerance first, the largest change on top.
    """

    name: str
    type: str
    compared: int
    matching: int
    within_tolerance: int = 0
    tolerance: Tolerance | None = None
    match_rate: float | None = None
    base_nulls: int | None = 0
    head_nulls: int | None = 0
    largest_absolute_change: float | None = None
    largest_relative_change: float | None = None
    unit: str | None = None
    examples: tuple[Example, ...] = ()

    @property
    def different(self) -> int:
        """Pairs that are neither equal nor tolerated."""
        return self.compared - self.matching - self.within_tolerance


class Segment(_Record):
    """A value, or a range of values, that most differing rows share although few rows of the table have it.

    Args:
        value: the value, or the lowest one.
        until: the highest one of a range; None for a single value.
        rows: differing rows with this value; ``of_rows`` all differing rows.
        table_share: fraction of all rows that have the value.
    """

    column: str
    value: str | None
    until: str | None = None
    rows: int
    of_rows: int
    table_share: float

    @property
    def lift(self) -> float:
        """How many times as frequent it is among the differing rows as among all rows."""
        return self.rows / self.of_rows / self.table_share


class Effect(_Record):
    """The sum of a numeric column before and after, over the rows that were read; rows that both sides share do not change it.

    ``scale`` are the digits behind the point that the column's type has, None where its type is no decimal.
    """

    column: str
    base: float | None
    head: float | None
    scale: int | None = None


class Move(_Record):
    """Rows of landed files that one side has in a curated table and the other side in quarantine, by the rule that they break."""

    curated: str
    rule: str
    to_quarantine: int
    back: int


class Drift(_Record):
    """How far the distribution of a column moved, over the rows that were read: the population stability index.

    By convention less than 0.1 is little, more than 0.25 much.
    """

    column: str
    stability_index: float


class FilesRead(_Record):
    """How much of the data files of two states was read; a file that both have counts twice in ``files`` and ``bytes``."""

    files: int
    bytes: int
    files_read: int
    bytes_read: int


class Coverage(_Record):
    """What the comparison looked at, and what it did not, by column name with the reason.

    ``files`` is known of tables in the warehouse. ``sample`` is the share of the rows that were compared, None for all of them. ``whole_rows`` are those
    that the table has where it is published, if both sides were built from a part of the input.
    """

    method: Method
    files: FilesRead | None = None
    sample: float | None = None
    whole_rows: int | None = None
    key: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    not_compared: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Difference(_Record):
    """One thing that is not the same, and the declared reason that covers it, if any.

    ``propagates`` says that the declaration covers what follows from it downstream, too. ``because_of`` are the tables above that may have brought it.
    """

    kind: DifferenceKind
    detail: str
    column: str | None = None
    explained_by: str | None = None
    propagates: bool = False
    because_of: tuple[str, ...] = ()


class TableComparison(_Record):
    """The comparison of one table: facts, then the verdict that ``judge`` reached on them.

    ``edited`` says that its code is not the same on both sides. ``because_of`` are the tables above it that brought the difference,
    as far as that is known, and ``origins`` says how it was decided. ``was`` is the name of the
    table in base, if it had another one there, and ``was_declared`` whether its model says so. ``hidden`` are classified columns of which values or sums are not shown.
    """

    name: str
    coverage: Coverage
    base: Side = Side()
    head: Side = Side()
    schema_changes: SchemaChanges = SchemaChanges()
    rows: RowCounts = RowCounts()
    columns: tuple[ColumnComparison, ...] = ()
    added_examples: tuple[Row, ...] = ()
    removed_examples: tuple[Row, ...] = ()
    segments: tuple[Segment, ...] = ()
    effects: tuple[Effect, ...] = ()
    drifts: tuple[Drift, ...] = ()
    moves: tuple[Move, ...] = ()
    verdict: Verdict = Verdict.NOT_COMPARED
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    edited: bool = False
    because_of: tuple[str, ...] = ()
    origins: str = ""
    was: str = ""
    was_declared: bool = False
    hidden: tuple[str, ...] = ()

    @property
    def has_rows(self) -> bool:
        """Whether rows were looked at on either side; without any, a comparison says nothing about the code."""
        sides = (side for side in (self.base, self.head) if side.exists)
        return self.coverage.method is not Method.NONE and any(side.rows for side in sides)

    @property
    def verdict_words(self) -> str:
        """The verdict in a sentence: of one snapshot without a row that both sides have, it is known that nothing differs."""
        is_empty = self.verdict is Verdict.NO_EVIDENCE and self.coverage.method is Method.SNAPSHOT
        return "both empty" if is_empty and self.coverage.sample is None else self.verdict.words

    @property
    def worst_column(self) -> ColumnComparison | None:
        """The column with most values beyond tolerance, else most tolerated ones; None when all match."""
        changed = [column for column in self.columns if column.matching < column.compared]
        return max(changed, key=lambda column: (column.different, column.within_tolerance), default=None)


def not_compared(name: str, reason: str) -> TableComparison:
    """A table that could not be compared; it fails the run, because nothing is known about it."""
    return TableComparison(name=name, coverage=Coverage(method=Method.NONE, notes=(reason,)))


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
        reason = by.reason if by else _said(comparison, difference)
        differences.append(
            difference.model_copy(update={"explained_by": reason, "propagates": bool(by and by.propagates)})
        )
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
            "verdict": verdict_of(comparison, differences),
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


def verdict_of(comparison: TableComparison, differences: Sequence[Difference]) -> Verdict:
    """What follows from the facts of a table and its differences."""
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
        what, side, here = (
            (kind.TABLE_ADDED, "head", head) if head.exists else (kind.TABLE_REMOVED, "base", base)
        )
        rows_there = plural(here.rows or 0, "row")
        return [Difference(kind=what, detail=f"only {side} has the table ({rows_there})")]
    schema, rows = comparison.schema_changes, comparison.rows
    found = [
        Difference(kind=kind.COLUMN_RENAMED, column=name, detail=f"column {name} was {old}")
        for name, old in schema.renamed.items()
    ]
    if comparison.was:
        found.append(Difference(kind=kind.TABLE_RENAMED, detail=f"the table was {comparison.was}"))
    found += [
        Difference(kind=what, column=name, detail=f"column {name} {type_} is {now}")
        for what, columns, now in (
            (kind.COLUMN_ADDED, schema.added, "new"),
            (kind.COLUMN_REMOVED, schema.removed, "gone"),
        )
        for name, type_ in columns.items()
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
    found += [
        Difference(kind=what, detail=f"{plural(number, 'row')} {happened}")
        for what, number, happened in (
            (kind.ROWS_ADDED, rows.added, "added"),
            (kind.ROWS_REMOVED, rows.removed, "removed"),
        )
        if number
    ]
    if comparison.coverage.method is Method.KEY:
        found += [
            Difference(
                kind=kind.VALUES_CHANGED,
                column=column.name,
                detail=f"{column.different:,} of {plural(column.compared, 'value')} of {column.name} "
                f"{'differs' if column.different == 1 else 'differ'}",
            )
            for column in comparison.columns
            if column.different
        ]
    return found


def _said(comparison: TableComparison, difference: Difference) -> str | None:
    """Why a new name is no surprise: the model says which one it was."""
    if difference.kind is DifferenceKind.COLUMN_RENAMED:
        return "was in the YAML of the column says so"
    if difference.kind is DifferenceKind.TABLE_RENAMED and comparison.was_declared:
        return "was of the model says so"
    return None


def _covers(change: ExpectedChange, difference: Difference) -> bool:
    if change.whole_table:
        return True
    if difference.column is not None:
        return difference.column.casefold() in {name.casefold() for name in change.columns or ()}
    row_kinds = {DifferenceKind.ROWS_ADDED: "added", DifferenceKind.ROWS_REMOVED: "removed"}
    return row_kinds.get(difference.kind) in (change.rows or ())
