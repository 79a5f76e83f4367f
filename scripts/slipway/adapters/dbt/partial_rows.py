"""Rows of a query's plan, and what they have to do with a condition that leaves rows of an input out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto


class Kind(Enum):
    """What rows of a plan have to do with the condition.

    ``WHOLE``: nothing. ``CHOSEN``: the condition only chooses what is read, or they are joined with the model's own table. ``ROWS``:
    each comes of one row that was read, or of a group that was read whole. ``LATEST``: of the rows of a key, the one that landed last.
    ``GROUPS``: other rows of their group may be missing.
    """

    WHOLE = auto()
    CHOSEN = auto()
    ROWS = auto()
    LATEST = auto()
    GROUPS = auto()


@dataclass(frozen=True)
class Rows:
    """The rows that an operator of a plan gives.

    Args:
        kind: what they have to do with the condition.
        why: of ``GROUPS``, what puts rows together.
        width: number of columns, None where that is not known.
        marks: columns by which the input is read, and the condition that does so.
        tables: what is read: database, schema and table.
        distinct: there are no two alike.
        latest: the column that is 1 in the row of each key that landed last.
        beside: what rows of the input were joined with before the condition: ``own`` for the model's table, ``itself`` for the input.
    """

    kind: Kind = Kind.WHOLE
    why: str = ""
    width: int | None = None
    marks: Mapping[int, int] = field(default_factory=dict)
    tables: frozenset[tuple[str, ...]] = frozenset()
    distinct: bool = False
    latest: int | None = None
    beside: str = ""

    @property
    def is_part(self) -> bool:
        """Whether the condition has to do with them."""
        return self.kind is not Kind.WHOLE


def join_of(how: str, left: Rows, right: Rows) -> Kind:
    """What rows of a join are, of which no side has incomplete groups and one is a part."""
    if how in ("MARK", "SEMI") and right.is_part:
        return Kind.CHOSEN if left.kind in (Kind.WHOLE, Kind.CHOSEN) else Kind.GROUPS
    if left.is_part and right.is_part:
        if how in ("INNER", "LEFT", "MARK", "SEMI", "SINGLE") and all(
            one.kind is Kind.CHOSEN or (one.distinct and one.kind is Kind.ROWS) for one in (left, right)
        ):
            return Kind.CHOSEN if Kind.CHOSEN in (left.kind, right.kind) else Kind.GROUPS
        return Kind.GROUPS
    part, whole = (left, right) if left.is_part else (right, left)
    keeps_left = how in ("LEFT", "SINGLE", "MARK", "SEMI", "ANTI")
    if how != "INNER" and not (keeps_left and part is left) and not (how == "RIGHT" and part is right):
        return Kind.GROUPS
    if how == "INNER" and part.distinct and part.kind is Kind.ROWS and part.tables & whole.tables:
        return Kind.CHOSEN  # the input is read again, by what changed in it
    return part.kind


def side_by_side(how: str, left: Rows, right: Rows) -> Rows:
    """The columns of a join, and what they are read by."""
    tables = left.tables | right.tables
    if how in ("SEMI", "ANTI"):
        return replace(left, tables=tables, latest=None)
    if how == "MARK":
        return Rows(width=None if left.width is None else left.width + 1, marks=left.marks, tables=tables)
    if left.width is None:
        return Rows(marks=left.marks, tables=tables)
    width = None if right.width is None else left.width + right.width
    moved = {left.width + at: mark for at, mark in right.marks.items()}
    return Rows(width=width, marks={**left.marks, **moved}, tables=tables)
