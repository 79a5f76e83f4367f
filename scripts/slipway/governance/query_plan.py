"""Which columns the result of a query depends on, read from the plan that DuckDB binds for it.

The plan is that of the engine which runs the query: names, ``*``, ``using``, macros, views and subqueries are resolved by it. Source: ``json_serialize_plan`` of
DuckDB's json extension, without optimization; in it a column is referred to by its position in what the operators below it give. What is not known here ends
in ``UnknownPlanError``: nothing is guessed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slipway.errors import first_line
from slipway.sql_text import literal

if TYPE_CHECKING:
    import duckdb

FORM = 2
"""Grows when plans are read in another way, so that what was found before is found anew."""
Source = tuple[str, str, str]
"""Schema, table and column that a query reads."""
Sources = frozenset[Source]
_NONE: Sources = frozenset()
_GENERATED = ("range", "generate_series", "unnest")
"""Table functions that read nothing but their arguments."""
_COUNTING = ("count", "count_star", "count_if", "approx_count_distinct")
_RANKING = (
    "WINDOW_ROW_NUMBER",
    "WINDOW_RANK",
    "WINDOW_RANK_DENSE",
    "WINDOW_NTILE",
    "WINDOW_PERCENT_RANK",
    "WINDOW_CUME_DIST",
)
_ASKS_FOR_NULL = ("OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL")
_CHOOSING = (
    "filter",
    "filters",
    "order_bys",
    "partitions",
    "orders",
    "arg_orders",
    "start_expr",
    "end_expr",
    "offset_expr",
)
"""Parts of an aggregate or a window that say of which rows, and in which order."""
_OF_FIELD = ("struct_extract", "array_extract")
"""Functions that give a field of a struct by its name."""
_LEFT_ONLY, _RIGHT_ONLY = ("SEMI", "ANTI"), ("RIGHT_SEMI", "RIGHT_ANTI")
_BOTH = ("INNER", "LEFT", "RIGHT", "FULL", "OUTER", "SINGLE")


class UnknownPlanError(Exception):
    """The plan of a query has something whose lineage is not known; the text says what."""


@dataclass(frozen=True)
class QueryColumns:
    """What a query depends on.

    Args:
        columns: names of the result to the columns whose values make theirs.
        rows: columns that decide which rows there are, and what is summed up in one: of filters, joins, groups, orders with a limit.
        only_counted: names of the result to those of ``columns`` whose values are not in theirs: rows are counted, ranked or chosen by them, or they are asked for NULL.
    """

    columns: Mapping[str, Sources]
    rows: Sources
    only_counted: Mapping[str, Sources] = field(default_factory=dict)


def columns_of(connection: duckdb.DuckDBPyConnection, sql: str) -> QueryColumns:
    """What a query depends on.

    Args:
        connection: has the tables that the query reads; rows are not looked at.
        sql: one select statement.

    Raises:
        UnknownPlanError: DuckDB cannot bind the query there, or its plan has something unknown.
    """
    import duckdb

    try:
        described = connection.execute(f"describe {sql}").fetchall()
        # not as a parameter: for one of those DuckDB imports pandas
        ((text,),) = connection.execute(f"select json_serialize_plan({literal(sql)})").fetchall()
    except duckdb.Error as error:
        raise UnknownPlanError(first_line(error)) from None
    plan = json.loads(text)
    if plan.get("error"):
        raise UnknownPlanError(str(plan.get("error_message") or "DuckDB gives no plan"))
    if len(plan["plans"]) != 1:
        raise UnknownPlanError("it is not one statement")
    walk = _Walk()
    try:
        found = walk.columns(plan["plans"][0], {})
        passed = _Walk(passed=True).columns(plan["plans"][0], {})
    except (IndexError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnknownPlanError(f"its plan has another form than expected ({type(error).__name__})") from None
    names = [str(row[0]) for row in described]
    if len(found) != len(names) or len({name.casefold() for name in names}) != len(names):
        raise UnknownPlanError(f"its plan gives {len(found)} columns, and the result has {len(names)}")
    counted = {
        name: only
        for name, every, by_value in zip(names, found, passed, strict=True)
        if (only := every - by_value)
    }
    return QueryColumns(dict(zip(names, found, strict=True)), frozenset(walk.rows), counted)


class _Struct(frozenset[Source]):
    """Sources of a struct that are known for each of its fields; the set itself is that of all.

    Attributes:
        fields: names in small letters to their sources, which may be those of a struct in turn.
    """

    fields: Mapping[str, Sources]

    @classmethod
    def of(cls, fields: Mapping[str, Sources]) -> _Struct:
        """The sources of a struct with these fields."""
        made = cls(_union(fields.values()))
        made.fields = fields
        return made


_Columns = Sequence[Sources]
_Known = Mapping[object, _Columns]
"""Results of common table expressions by their index, and what a correlated subquery is given."""


_Node = Mapping[str, Any]


@dataclass
class _Walk:
    """One pass over a plan, from the result down to the tables.

    Args:
        rows: gets what decides about rows.
        passed: only columns whose values are passed on count for the columns of the result.
    """

    rows: set[Source] = field(default_factory=set)
    passed: bool = False

    def __post_init__(self) -> None:
        self._operators: Mapping[str, Callable[[_Node, _Known], _Columns]] = {
            "GET": self._table,
            "PROJECTION": self._projection,
            "AGGREGATE_AND_GROUP_BY": self._aggregate,
            "WINDOW": self._window,
            "UNNEST": self._unnest,
            **dict.fromkeys(
                ("FILTER", "ORDER_BY", "LIMIT", "TOP_N", "DISTINCT", "SAMPLE"), self._chosen_rows
            ),
            **dict.fromkeys(("COMPARISON_JOIN", "ANY_JOIN", "DELIM_JOIN", "ASOF_JOIN"), self._join),
            **dict.fromkeys(("CROSS_PRODUCT", "POSITIONAL_JOIN"), self._product),
            **dict.fromkeys(("UNION", "EXCEPT", "INTERSECT"), self._set_operation),
            "MATERIALIZED_CTE": self._materialized,
            "RECURSIVE_CTE": self._recursive,
            "CTE_REF": lambda node, known: known["cte", node["cte_index"]],
            "DELIM_GET": lambda _, known: known["delim"],
            "EXPRESSION_GET": self._values,
            "CHUNK_GET": lambda node, _: [_NONE] * len(node["chunk_types"]),
            "DUMMY_SCAN": lambda *_: [_NONE],
        }

    def columns(self, node: _Node, known: _Known) -> _Columns:
        """Sources of the columns that an operator gives; those that decide about its rows are added to ``rows``."""
        kind = str(node["type"]).removeprefix("LOGICAL_")
        if (read := self._operators.get(kind)) is None:
            raise UnknownPlanError(f"its plan has the operator {kind}")
        return read(node, known)

    def _below(self, node: _Node, known: _Known, at: int = 0) -> _Columns:
        return self.columns(node["children"][at], known)

    def _projection(self, node: _Node, known: _Known) -> _Columns:
        below = self._below(node, known) if node.get("children") else ()
        return [self._made_of(one, below) for one in node["expressions"]]

    def _made_of(self, expression: Any, below: _Columns) -> Sources:  # noqa: ANN401 - any part of the plan
        return _value(expression, below, passed=self.passed)

    def _aggregate(self, node: _Node, known: _Known) -> _Columns:
        below = self._below(node, known)
        groups = [self._made_of(one, below) for one in node.get("groups") or ()]
        self.rows.update(*groups)
        grouping = [_union(groups)] * len(node.get("grouping_functions") or ())
        return [*groups, *(self._made_of(one, below) for one in node["expressions"]), *grouping]

    def _window(self, node: _Node, known: _Known) -> _Columns:
        below = self._below(node, known)
        return [*below, *(self._made_of(one, below) for one in node["expressions"])]

    def _unnest(self, node: _Node, known: _Known) -> _Columns:
        below = self._below(node, known)
        lists = [_sources(one, below) for one in node["expressions"]]
        self.rows.update(*lists)
        return [*below, *lists]

    def _chosen_rows(self, node: _Node, known: _Known) -> _Columns:
        """What leaves out or orders rows, and whose own expressions decide which."""
        below = self._below(node, known)
        self.rows |= _sources({name: value for name, value in node.items() if name != "children"}, below)
        if node["type"] == "LOGICAL_DISTINCT" and not node.get("distinct_targets"):
            self.rows |= _union(below)
        return _projected(below, node.get("projection_map") or node.get("projections"))

    def _product(self, node: _Node, known: _Known) -> _Columns:
        return [*self._below(node, known), *self._below(node, known, 1)]

    def _set_operation(self, node: _Node, known: _Known) -> _Columns:
        sides = [self._below(node, known, at) for at in range(len(node["children"]))]
        if len({len(side) for side in sides}) != 1:
            raise UnknownPlanError("the sides of a set operation differ in their columns")
        found = [_either(values) for values in zip(*sides, strict=True)]
        if node["type"] != "LOGICAL_UNION" or not node.get("setop_all", True):
            self.rows |= _union(found)
        return found

    def _materialized(self, node: _Node, known: _Known) -> _Columns:
        given = {**known, ("cte", node["table_index"]): self._below(node, known)}
        return self._below(node, given, 1)

    def _recursive(self, node: _Node, known: _Known) -> _Columns:
        found = list(self._below(node, known))
        while True:
            step = self._below(node, {**known, ("cte", node["table_index"]): found}, 1)
            more = [one | other for one, other in zip(found, step, strict=True)]
            if more == found:
                self.rows |= _union(
                    found
                )  # it goes on as long as there are rows, and may leave out equal ones
                return found
            found = more

    def _values(self, node: _Node, known: _Known) -> _Columns:
        below = self._below(node, known) if node.get("children") else ()
        lines: Sequence[Sequence[Any]] = node["expressions"]
        return [_union(self._made_of(line[at], below) for line in lines) for at in range(len(lines[0]))]

    def _table(self, node: _Node, known: _Known) -> _Columns:
        below = self._below(node, known) if node.get("children") else None
        at: Mapping[str, Any] = node.get("function_data") or {}
        names: Sequence[str] = node.get("names") or ()
        if isinstance(at, dict) and at.get("table"):
            whole = [frozenset({(str(at["schema"]), str(at["table"]), name)}) for name in names]
        elif node.get("name") in _GENERATED:
            # what is unnested or counted, and how often
            given = _union(below or ())
            self.rows |= given
            whole = [given] * len(names)
        else:
            raise UnknownPlanError(f"it reads by the function {node.get('name')}")
        read = [one["index"] for one in node.get("column_indexes") or ()]
        # a position behind all columns is that of the row itself
        found = [whole[at] if 0 <= at < len(whole) else _NONE for at in read]
        self.rows |= _union(
            whole[int(one["first"])]
            for one in (node.get("table_filters") or {}).get("filters") or ()
            if int(one["first"]) < len(whole)
        )
        if chosen := node.get("projection_ids"):
            found = [found[at] for at in chosen]
        if below is not None and (passed := node.get("projected_input")):
            found += [below[at] for at in passed]
        return found

    def _join(self, node: _Node, known: _Known) -> _Columns:
        if node.get("delim_flipped"):
            raise UnknownPlanError("it has a join of a correlated subquery that is turned round")
        left = self._below(node, known)
        given = known
        if eliminated := node.get("duplicate_eliminated_columns"):
            given = {**known, "delim": [_sources(one, left) for one in eliminated]}
        right = self._below(node, given, 1)
        condition: set[Source] = set()
        for one in node.get("conditions") or ():
            condition |= _sources(one.get("left"), left) | _sources(one.get("right"), right)
            others = {name: value for name, value in one.items() if name not in ("left", "right")}
            if _has_references(others):
                raise UnknownPlanError("it has a condition of a join that is not known")
        for name in ("condition", "predicate"):
            condition |= _sources(node.get(name), [*left, *right])
        self.rows |= condition
        kind = node.get("join_type", "INNER")
        first = _projected(left, node.get("left_projection_map"))
        second = _projected(right, node.get("right_projection_map"))
        if kind in _LEFT_ONLY:
            return first
        if kind in _RIGHT_ONLY:
            return second
        if kind == "MARK":
            return [*first, frozenset(condition | _union(right))]
        if kind in _BOTH:
            return [*first, *second]
        raise UnknownPlanError(f"it has a join of the kind {kind}")


def _value(expression: Any, below: _Columns, *, passed: bool = False) -> Sources:  # noqa: ANN401 - any part of the plan
    """Sources of what an expression, or any part of the plan with expressions, makes from the columns below it."""
    if isinstance(expression, list):
        return _union(_value(one, below, passed=passed) for one in expression)
    if not isinstance(expression, dict):
        return _NONE
    kind, name = expression.get("expression_class"), expression.get("name")
    if kind == "BOUND_REF":
        return below[int(expression["index"])]
    if kind in ("BOUND_SUBQUERY", "BOUND_COLUMN_REF"):
        raise UnknownPlanError("it has a reference that DuckDB did not resolve")
    if kind == "BOUND_FUNCTION" and name == "struct_pack":
        names = [
            str(one["first"]).casefold() for one in expression["return_type"]["type_info"]["child_types"]
        ]
        values = [_value(one, below, passed=passed) for one in expression["children"]]
        return _Struct.of(dict(zip(names, values, strict=True)))
    if kind == "BOUND_FUNCTION" and name in _OF_FIELD:
        whole = _value(expression["children"][0], below, passed=passed)
        field_name = str((expression["children"][1].get("value") or {}).get("value")).casefold()
        if isinstance(whole, _Struct) and field_name in whole.fields:
            return whole.fields[field_name]
    left_out = _not_passed(expression) if passed else None
    # positions of a lambda are those of its own arguments; what it captures is given to the function besides
    without = ("lambda_expr", *(left_out or ()))
    return _union(
        _value(value, below, passed=passed) for name, value in expression.items() if name not in without
    )


def _has_references(expression: Any) -> bool:  # noqa: ANN401 - any part of the plan
    if isinstance(expression, dict):
        return expression.get("expression_class") == "BOUND_REF" or any(
            map(_has_references, expression.values())
        )
    return isinstance(expression, list) and any(map(_has_references, expression))


def _not_passed(expression: Mapping[str, Any]) -> Sequence[str] | None:
    """Parts of an expression whose values are not in its result; None where all may be."""
    kind = expression.get("type")
    if kind in _ASKS_FOR_NULL:
        return ("children",)
    if expression.get("expression_class") in ("BOUND_AGGREGATE", "BOUND_WINDOW"):
        counts = str(expression.get("name") or "").casefold() in _COUNTING or kind in _RANKING
        return (*_CHOOSING, "children") if counts else _CHOOSING
    return None


def _sources(expression: Any, below: _Columns) -> Sources:  # noqa: ANN401 - any part of the plan
    return _value(expression, below)


def _union(parts: Iterable[Sources]) -> Sources:
    return frozenset().union(*parts)


def _either(values: Sequence[Sources]) -> Sources:
    """Sources of what has one of several values."""
    structs = [one for one in values if isinstance(one, _Struct)]
    names = {frozenset(one.fields) for one in structs}
    if len(structs) != len(values) or len(names) != 1:
        return _union(values)
    return _Struct.of({name: _either([one.fields[name] for one in structs]) for name in structs[0].fields})


def _projected(columns: _Columns, chosen: Sequence[int] | None) -> _Columns:
    return [columns[at] for at in chosen] if chosen else columns
