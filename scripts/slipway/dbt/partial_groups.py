"""Models whose query puts rows together of which it reads a part: not written as they are, unless that is declared.

``rows_added`` and ``partitions_changed`` leave rows out. A query that looks at one row at a time does not miss them. One that
adds rows up, ranks them or joins them with each other does, unless each of its groups lies within what is read. That is known
from DuckDB's bound plan, in which the condition is followed from where it stands to the result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

import duckdb

from slipway.dbt.configuration import allowed_of
from slipway.dbt.nodes import DbtNode
from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.rewrite import NotCarriedError
from slipway.sql_text import quote

if TYPE_CHECKING:
    from slipway.dbt.volatility import Volatility


def checked_for_partial_groups(
    volatility: Volatility, node: DbtNode, request: WriteRequest, own: tuple[str, str, str]
) -> WriteRequest:
    """A request that says whether its query gives the rows themselves that it reads.

    Args:
        volatility: binds queries where nothing can be read.
        node: the model.
        request: what it asks for.
        own: database, schema and name of its table.

    Raises:
        NotCarriedError: rows that it does not read belong to what it computes, or whether they do is not known.
    """
    parts = [one for one in request.increments if one.is_part]
    if not parts or request.strategy == "replace" or request.merge or allowed_of(node):
        return request
    asked = f"the query reads a part of {parts[0].name}"
    predicates = {one.predicate: quote(one.column) if one.column else "_run_id" for one in parts}
    try:
        plan = volatility.plan(request.sql, marked(request.sql, predicates))
    except duckdb.Error as error:
        reason = str(error).strip().partition("\n")[0]
        raise NotCarriedError(f"{asked}, and it is not known whether it misses rows ({reason})") from error
    found = rows_of(plan, own, request.unique_key)
    by_key = request.strategy in ("merge", "delete+insert")
    if found.kind is Kind.GROUPS or (found.kind is Kind.LATEST and not by_key):
        what = found.why or "the latest row of a key"
        raise NotCarriedError(f"{asked}, and has {what}: rows that are not read may belong to it")
    return replace(request, direct=found.kind is Kind.ROWS, distinct=found.distinct)


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
        landed: columns that are ``_landed_at`` of what is read, whatever they are called.
        latest: the column that is 1 in the row of each key that landed last.
        joined_with: what rows of the input were joined with before the condition: ``own`` for the model's table, ``itself`` for the input.
        is_in: the column that says whether a row is one of those that the condition chooses.
    """

    kind: Kind = Kind.WHOLE
    why: str = ""
    width: int | None = None
    marks: Mapping[int, int] = field(default_factory=dict)
    tables: frozenset[tuple[str, ...]] = frozenset()
    distinct: bool = False
    landed: frozenset[int] = frozenset()
    latest: int | None = None
    joined_with: str = ""
    is_in: int | None = None

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
        return Rows(
            width=None if left.width is None else left.width + 1,
            marks=left.marks,
            tables=tables,
            landed=left.landed,
            is_in=left.width if right.is_part else None,
        )
    if left.width is None:
        return Rows(marks=left.marks, tables=tables, landed=left.landed)
    width = None if right.width is None else left.width + right.width
    moved = {left.width + at: mark for at, mark in right.marks.items()}
    landed = left.landed | {left.width + at for at in right.landed}
    return Rows(width=width, marks={**left.marks, **moved}, tables=tables, landed=landed)


_Node = dict[str, Any]
_MARK = "slipway-part-"
_NO_MARKS: Mapping[int, int] = {}
_EQUAL = ("COMPARE_EQUAL", "COMPARE_NOT_DISTINCT_FROM")
_ITSELF = "a join of the input with itself"
_NOT_IN = "rows by whether they are not in the part"
_ONE_ROW_EACH = ("LOGICAL_ORDER_BY", "LOGICAL_UNNEST")
_JOINS = (
    "LOGICAL_COMPARISON_JOIN",
    "LOGICAL_DELIM_JOIN",
    "LOGICAL_ANY_JOIN",
    "LOGICAL_ASOF_JOIN",
    "LOGICAL_CROSS_PRODUCT",
)


def marked(sql: str, predicates: Mapping[str, str]) -> str:
    """A query in which conditions are replaced by ones that can be distinguished in the plan.

    Args:
        sql: the query.
        predicates: the conditions as they stand in it, and the column of each, quoted.
    """
    for number, (predicate, column) in enumerate(predicates.items()):
        found = rf'((?:(?:\w+|"[^"]+")\.)*){re.escape(predicate)}'
        # a condition may be written behind the name of a relation
        sql = re.sub(found, rf"(\g<1>{column} is null or '{_MARK}{number}' = '')", sql)
    return sql


def rows_of(plan: _Node, own: tuple[str, ...], keys: Sequence[str]) -> Rows:
    """What the result of a plan has to do with the conditions in it.

    Args:
        plan: of a query from ``marked``, as ``json_serialize_plan`` gives it.
        own: the model's table: database, schema and name.
        keys: its ``unique_key``.
    """
    found = _Plan(own, keys).rows(plan)
    if found.kind is Kind.WHOLE and _MARK in json.dumps(plan):
        return Rows(Kind.GROUPS, "a condition that is part of another")
    return found


class _Plan:
    def __init__(self, own: tuple[str, ...], keys: Sequence[str]) -> None:
        self._own = tuple(part.lower() for part in own)
        self._keys = {key.lower().strip('"') for key in keys}
        self._named: dict[int, Rows] = {}

    def rows(self, node: _Node) -> Rows:
        kind = node["type"]
        if kind == "LOGICAL_MATERIALIZED_CTE":
            self._named[node["table_index"]] = self.rows(node["children"][0])
            return self.rows(node["children"][1])
        if kind == "LOGICAL_CTE_REF":
            return self._named.get(node["cte_index"], Rows())
        given = [self.rows(child) for child in node["children"]]
        if kind in _JOINS:
            return self._joined(node, *given)
        known: dict[str, Callable[..., Rows]] = {
            "LOGICAL_GET": self._read,
            "LOGICAL_PROJECTION": self._projected,
            "LOGICAL_FILTER": self._filtered,
            "LOGICAL_AGGREGATE_AND_GROUP_BY": self._grouped,
            "LOGICAL_WINDOW": self._windowed,
            "LOGICAL_DISTINCT": self._distinct,
            "LOGICAL_UNION": self._united,
        }
        if kind in known and not (kind == "LOGICAL_GET" and given):
            return known[kind](node, *given)
        tables = frozenset().union(*(one.tables for one in given))
        if kind in _ONE_ROW_EACH:
            return _without_stray(node, replace(given[0], width=None, distinct=False))
        why = next((one.why for one in given if one.why), kind.removeprefix("LOGICAL_").lower())
        chosen = all(one.kind in (Kind.WHOLE, Kind.CHOSEN) for one in given)
        if any(one.is_part for one in given) or _has_stray(node):
            return Rows(Kind.CHOSEN if chosen and len(given) == 1 else Kind.GROUPS, why, tables=tables)
        return Rows(tables=tables)

    def _read(self, node: _Node) -> Rows:
        data = node.get("function_data") or {}
        name = tuple(str(data.get(part, "")).lower() for part in ("catalog", "schema", "table"))
        names, read = node.get("names") or [], [one["index"] for one in node["column_indexes"]]
        landed = {to for to, at in enumerate(read) if at < len(names) and names[at].lower() == "_landed_at"}
        if node.get("projection_ids"):
            landed = set()
        return Rows(width=max(1, len(read)), tables=frozenset({name}), landed=frozenset(landed))

    def _projected(self, node: _Node, child: Rows) -> Rows:
        at = [_index(one) for one in node["expressions"]]
        marks = {to: child.marks[old] for to, old in enumerate(at) if old is not None and old in child.marks}
        latest = at.index(child.latest) if child.latest is not None and child.latest in at else None
        landed = frozenset(to for to, old in enumerate(at) if old in child.landed)
        # two that differ only in a column that is left out are alike
        distinct = child.distinct and child.width is not None and set(range(child.width)) <= set(at)
        found = replace(child, width=len(at), marks=marks, landed=landed, latest=latest, is_in=None)
        found = replace(found, distinct=distinct)
        if child.is_in is not None and child.is_in in _indexes(node["expressions"]):
            return replace(found, kind=Kind.GROUPS, why=_NOT_IN)
        return _without_stray(node, found)

    def _filtered(self, node: _Node, child: Rows) -> Rows:
        marks, strays = dict(child.marks), []
        for one in node["expressions"]:
            if not _is_stray(one):
                if child.latest is not None and _is_first(one, child.latest):
                    child = replace(child, kind=Kind.LATEST, why="", latest=None)
            elif (mark := _mark(one)) is not None:
                marks[mark[0]] = mark[1]
            else:
                strays.append(one)
        if strays:
            return replace(child, kind=Kind.GROUPS, why="a condition that is part of another")
        kind, why = child.kind, child.why
        if len(marks) > len(child.marks) and kind is Kind.WHOLE:
            kind = {"own": Kind.CHOSEN, "itself": Kind.GROUPS}.get(child.joined_with, Kind.ROWS)
            why = _ITSELF if kind is Kind.GROUPS else ""
        if len(marks) > len(child.marks) + 1 or (marks.keys() - child.marks and child.kind is Kind.ROWS):
            kind, why = Kind.GROUPS, "two conditions at once"
        if child.is_in is not None and not all(
            _only_chooses(one, child.is_in) for one in node["expressions"]
        ):
            kind, why = Kind.GROUPS, _NOT_IN
        child = replace(child, kind=kind, why=why, marks=marks, is_in=None)
        return replace(child, marks=_NO_MARKS, landed=frozenset()) if node.get("projection_map") else child

    def _grouped(self, node: _Node, child: Rows) -> Rows:
        at = [_index(one) for one in node["groups"]]
        marks = {to: child.marks[old] for to, old in enumerate(at) if old is not None and old in child.marks}
        sets = node["grouping_sets"] or [list(range(len(at)))]
        complete = any(all(to in part for part in sets) for to in marks)
        width = len(at) + len(node["expressions"]) + len(node["grouping_functions"])
        found = replace(child, width=width, marks=marks, distinct=not node["expressions"], latest=None)
        found = replace(found, landed=frozenset())
        if child.kind not in (Kind.ROWS, Kind.LATEST) or (complete and child.kind is Kind.ROWS):
            return _without_stray(node, found)
        if not node["expressions"] and child.kind is Kind.ROWS and len(sets) == 1:
            return found
        return replace(found, kind=Kind.GROUPS, why="totals")

    def _windowed(self, node: _Node, child: Rows) -> Rows:
        width = None if child.width is None else child.width + len(node["expressions"])
        found = _without_stray(node, replace(child, width=width, latest=None))
        if found.kind not in (Kind.ROWS, Kind.LATEST):
            return found
        if child.kind is Kind.ROWS and all(
            any(_index(part) in child.marks for part in one["partitions"]) for one in node["expressions"]
        ):
            return found
        found = replace(found, kind=Kind.GROUPS, why="a window over rows")
        one, *more = node["expressions"]
        if not more and one["type"] == "WINDOW_ROW_NUMBER" and child.kind is Kind.ROWS:
            first = one["orders"][:1]
            if self._is_key(one["partitions"]) and first and _is_landing(first[0], child):
                return replace(found, latest=child.width)
        return found

    def _distinct(self, node: _Node, child: Rows) -> Rows:
        found = _without_stray(node, replace(child, distinct=True, latest=None))
        if node["distinct_type"] != "DISTINCT_ON" or found.kind not in (Kind.ROWS, Kind.LATEST):
            return found
        targets = node["distinct_targets"]
        if child.kind is Kind.ROWS and any(_index(one) in child.marks for one in targets):
            return found
        orders = (node.get("order_by") or {}).get("orders") or []
        if child.kind is Kind.ROWS and self._is_key(targets):
            orders = [one for one in orders if _name(one["expression"]) not in self._keys]
            if orders and _is_landing(orders[0], child):
                return replace(found, kind=Kind.LATEST)
        return replace(found, kind=Kind.GROUPS, why="distinct on")

    def _united(self, node: _Node, *given: Rows) -> Rows:
        tables = frozenset().union(*(one.tables for one in given))
        marks = {
            at: mark for at, mark in given[0].marks.items() if all(one.marks.get(at) == mark for one in given)
        }
        landed = frozenset.intersection(*(one.landed for one in given))
        found = Rows(width=node.get("column_count"), marks=marks, tables=tables, landed=landed)
        kinds = {one.kind for one in given}
        if kinds <= {Kind.WHOLE}:
            return found
        if Kind.GROUPS in kinds or Kind.LATEST in kinds:
            why = next((one.why for one in given if one.why), "rows of a key from several parts")
            return replace(found, kind=Kind.GROUPS, why=why)
        return replace(found, kind=Kind.ROWS if Kind.ROWS in kinds else Kind.CHOSEN)

    def _joined(self, node: _Node, left: Rows, right: Rows) -> Rows:
        how = node.get("join_type", "INNER")
        found = side_by_side(how, left, right)
        if _has_stray(node):
            return replace(found, kind=Kind.GROUPS, why="a condition that is part of a join")
        parts = [one for one in (left, right) if one.is_part]
        wholes = [one for one in (left, right) if not one.is_part]
        # by other columns than its key, rows of one group may lie on both sides of the condition
        with_own = any(self._own in one.tables for one in wholes) and self._joins_keys(node)
        if not parts:
            joined_with = "own" if with_own else "itself" if left.tables & right.tables else ""
            return replace(found, joined_with=joined_with or left.joined_with or right.joined_with)
        if with_own:
            return replace(found, kind=Kind.CHOSEN)
        if groups := [one for one in parts if one.kind is Kind.GROUPS]:
            return replace(found, kind=Kind.GROUPS, why=groups[0].why)
        if how == "INNER" and len(node.get("conditions") or []) < (parts[0].width or 0):
            parts = [replace(one, distinct=False) for one in parts]  # several rows of it may match
            left, right = (parts[0] if one.is_part else one for one in (left, right))
        kind, why = join_of(how, left, right), "a join"
        if wholes and kind in (Kind.ROWS, Kind.LATEST) and left.tables & right.tables:
            kind, why = Kind.GROUPS, _ITSELF
        return replace(found, kind=kind, why=why if kind is Kind.GROUPS else "")

    def _joins_keys(self, node: _Node) -> bool:
        equal = [one for one in node.get("conditions") or [] if one.get("comparison") in _EQUAL]
        names = {_name(one[side]) for one in equal for side in ("left", "right")}
        return bool(self._keys) and self._keys <= names

    def _is_key(self, expressions: Sequence[_Node]) -> bool:
        return bool(self._keys) and {_name(one) for one in expressions} == self._keys


def _without_stray(node: _Node, found: Rows) -> Rows:
    """The rows, unless the condition is part of what the operator computes."""
    if _has_stray(node):
        return replace(found, kind=Kind.GROUPS, why="a condition that is part of an expression")
    return found


def _only_chooses(condition: _Node, column: int) -> bool:
    """Whether a condition is that a column is true, or has nothing to do with it."""
    if _index(condition) == column:
        return True
    if condition["type"] in ("CONJUNCTION_AND", "CONJUNCTION_OR"):
        return all(_only_chooses(one, column) for one in condition["children"])
    return not any(one == column for one in _indexes(condition))


def _indexes(expression: object) -> Iterator[int]:
    """The columns that an expression reads."""
    if isinstance(expression, dict):
        if expression.get("expression_class") == "BOUND_REF":
            yield int(expression["index"])
        expression = list(expression.values())
    if isinstance(expression, list):
        for one in expression:
            yield from _indexes(one)


def _has_stray(node: _Node) -> bool:
    """Whether an operator has the condition in what it does itself, under whatever name."""
    return _is_stray({name: value for name, value in node.items() if name != "children"})


def _is_stray(expression: object) -> bool:
    return _MARK in json.dumps(expression)


def _mark(expression: _Node) -> tuple[int, int] | None:
    """Column and number of a condition of ``marked``; None for what only contains one."""
    parts = expression.get("children") or []
    if expression["type"] != "CONJUNCTION_OR" or len(parts) != 2 or parts[0]["type"] != "OPERATOR_IS_NULL":
        return None
    at, text = _index(parts[0]["children"][0]), json.dumps(parts[1])
    if at is None or parts[1]["type"] != "COMPARE_EQUAL" or text.count(_MARK) != 1:
        return None
    return at, int(text.partition(_MARK)[2].partition('"')[0])


def _index(expression: _Node) -> int | None:
    return int(expression["index"]) if expression["expression_class"] == "BOUND_REF" else None


def _name(expression: _Node) -> str:
    return str(expression.get("alias", "")).lower().rpartition(".")[2].strip('"')


def _is_landing(order: _Node, child: Rows) -> bool:
    return order["type"] == "DESCENDING" and _index(order["expression"]) in child.landed


def _is_first(expression: _Node, column: int) -> bool:
    """Whether a condition is that a column is 1."""
    text = json.dumps(expression)
    sides = [expression.get("left"), expression.get("right")]
    if expression["type"] != "COMPARE_EQUAL" or not all(isinstance(one, dict) for one in sides):
        return False
    return any(one and _index(one) == column for one in sides) and '"value": 1}' in text
