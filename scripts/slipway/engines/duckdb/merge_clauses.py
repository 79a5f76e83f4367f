"""dbt-duckdb's merge configuration as the clauses of DuckDB's MERGE INTO."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.errors import ConfigError
from slipway.sql_text import literal, quote, unquoted

DEST, SOURCE = "DBT_INTERNAL_DEST", "DBT_INTERNAL_SOURCE"

MERGE_KEYS = {
    "merge_update_condition": "a text",
    "merge_insert_condition": "a text",
    "merge_update_columns": "a list of columns",
    "merge_exclude_columns": "a list of columns",
    "merge_update_set_expressions": "a mapping of column to expression",
    "merge_on_using_columns": "a list of columns",
    "merge_clauses": "a mapping with when_matched or when_not_matched",
}
"""The keys of ``config`` that only ``merge`` knows, and what each of them holds."""

PREDICATES = ("incremental_predicates", "predicates")
"""The keys of ``config`` with conditions in addition to a key; dbt-duckdb knows the shorter one, too."""

_MATCHED_ACTIONS = ("update", "delete", "do_nothing", "error")
_INSERT_ACTIONS = ("insert", "do_nothing", "error")
_MODES = ("by_name", "by_position", "star", "explicit")


Assignment = tuple[str, str]
"""A column and the expression whose value it gets, both as SQL."""


@dataclass(frozen=True)
class Clause:
    """One ``WHEN … THEN …`` of a MERGE.

    Args:
        when: ``MATCHED``, ``NOT MATCHED BY TARGET`` or ``NOT MATCHED BY SOURCE``.
        action: ``update``, ``insert``, ``delete``, ``do_nothing`` or ``error``.
        condition: SQL, empty for none.
        assigned: what an update or insert sets; None for the columns of the source in their order.
        message: of an error.
    """

    when: str
    action: str
    condition: str
    assigned: Sequence[Assignment] | None = None
    message: str = ""

    @property
    def sql(self) -> str:
        """The clause as DuckDB takes it."""
        condition = f" AND {self.condition}" if self.condition else ""
        return f"WHEN {self.when}{condition} THEN {self._then}"

    @property
    def _then(self) -> str:
        match self.action:
            case "delete":
                return "DELETE"
            case "do_nothing":
                return "DO NOTHING"
            case "error":
                return f"ERROR {literal(self.message)}" if self.message else "ERROR"
        if self.assigned is None:
            return f"{self.action.upper()} BY POSITION"
        if self.action == "update":
            return f"UPDATE SET {', '.join(f'{column} = {value}' for column, value in self.assigned)}"
        columns, values = (", ".join(one[at] for one in self.assigned) for at in (0, 1))
        return f"INSERT ({columns}) VALUES ({values})"


@dataclass(frozen=True)
class MergeClauses:
    """What becomes of rows that match, of new rows, and of rows that the source does not have.

    Args:
        matched: clauses for pairs of rows.
        not_matched: clauses for rows that only the source has.
        by_source: clauses for rows that only the table has.
        upsert: a matching row is replaced as a whole and every other one is inserted.
    """

    matched: Sequence[Clause]
    not_matched: Sequence[Clause]
    by_source: Sequence[Clause]
    upsert: bool

    @property
    def sql(self) -> str:
        """All clauses, in order."""
        return "\n".join(clause.sql for clause in (*self.matched, *self.not_matched, *self.by_source))


def any_of(clauses: Sequence[Clause]) -> str:
    """A condition that holds for every row a clause may change or refuse."""
    conditions = [clause.condition for clause in clauses if clause.action != "do_nothing"]
    if any(not condition for condition in conditions):
        return "true"
    return " or ".join(conditions) if conditions else "false"


def merge_clauses(
    config: Mapping[str, Any], columns: Sequence[str], *, complete: bool, model: str
) -> MergeClauses:
    """Read the merge configuration of a model: keys of ``MERGE_KEYS``, for columns that table and query share; ``complete`` if that is all of them.

    Raises:
        ConfigError: everything that is wrong with it, in one message.
    """
    reader = _Reader(config, columns)
    found = reader.read(complete=complete)
    if reader.wrong:
        raise ConfigError(
            f"{model}: the merge cannot be carried out",
            "; ".join(reader.wrong),
            "See docs/reference/model-config.md",
        )
    return found


def listed(value: Any) -> list[str]:
    """One text or a list of texts, as a list."""
    return [] if value is None else [value] if isinstance(value, str) else [str(item) for item in value]


class _Reader:
    def __init__(self, config: Mapping[str, Any], columns: Sequence[str]) -> None:
        self.config = {key: value for key, value in config.items() if value not in (None, [], {}, "")}
        self.columns = columns
        self.wrong: list[str] = []

    def read(self, *, complete: bool) -> MergeClauses:
        for key, value in self.config.items():
            if not _has_form(value, MERGE_KEYS[key]):
                self.wrong.append(f"{key} is {value!r}, expected {MERGE_KEYS[key]}")
        if self.wrong:
            return MergeClauses([], [], [], upsert=False)
        basic = [key for key in self.config if key not in ("merge_clauses", "merge_on_using_columns")]
        given = self.config.get("merge_clauses") or {}
        if given and basic:
            self.wrong.append(f"{', '.join(basic)} together with merge_clauses, which say it all")
        for key in set(given) - {"when_matched", "when_not_matched"}:
            hint = ", use when_not_matched with by: source" if key.endswith("by_source") else ""
            self.wrong.append(f"merge_clauses.{key} is unknown{hint}")
        matched = list(self._clauses(given, "when_matched", self._default_update()))
        condition = self.config.get("merge_insert_condition")
        insert = {"action": "insert", "condition": condition, "mode": "by_name"}
        others = list(self._clauses(given, "when_not_matched", insert))
        by_source = [clause for clause in others if clause.when.endswith("BY SOURCE")]
        return MergeClauses(
            matched,
            [clause for clause in others if clause not in by_source],
            by_source,
            upsert=complete and not given and not basic,
        )

    def _default_update(self) -> dict[str, Any]:
        explicit = {
            "include": self.config.get("merge_update_columns", []),
            "exclude": self.config.get("merge_exclude_columns", []),
            "set_expressions": self.config.get("merge_update_set_expressions", {}),
        }
        return {
            "action": "update",
            "condition": self.config.get("merge_update_condition"),
            "mode": "explicit" if any(explicit.values()) else "by_name",
            "update": explicit,
        }

    def _clauses(self, given: Mapping[str, Any], kind: str, default: dict[str, Any]) -> Iterator[Clause]:
        items = given.get(kind, [default])
        if not isinstance(items, list | tuple) or not items:
            self.wrong.append(f"merge_clauses.{kind} is {items!r}, expected a list of clauses")
            return
        for item in items:
            if not isinstance(item, Mapping):
                self.wrong.append(f"merge_clauses.{kind} holds {item!r}, expected a mapping")
                continue
            by = str(item.get("by") or "target").lower()
            if by not in ("source", "target") or (kind == "when_matched" and item.get("by")):
                self.wrong.append(f"merge_clauses.{kind} has by {by}, expected source or target, not matched")
                continue
            when = "MATCHED" if kind == "when_matched" else f"NOT MATCHED BY {by.upper()}"
            action = str(item.get("action"))
            known = _INSERT_ACTIONS if when == "NOT MATCHED BY TARGET" else _MATCHED_ACTIONS
            if action not in known:
                self.wrong.append(
                    f"merge_clauses.{kind} has action {action}, expected one of {', '.join(known)}"
                )
                continue
            condition = " and ".join(f"({part})" for part in listed(item.get("condition")))
            message = str(item.get("error_message") or "") if action == "error" else ""
            yield Clause(when, action, condition, self._assigned(action, when, item), message)

    def _assigned(self, action: str, when: str, item: Mapping[str, Any]) -> Sequence[Assignment] | None:
        if action not in ("update", "insert"):
            return []
        if when == "NOT MATCHED BY SOURCE":
            return self._set(item.get("set_expressions") or {}, [])
        mode = str(item.get("mode"))
        if mode not in _MODES:
            self.wrong.append(f"a clause has mode {mode}, expected one of {', '.join(_MODES)}")
        if mode in ("by_position", "star"):
            return None
        return self._update(mode, item) if action == "update" else self._insert(mode, item)

    def _update(self, mode: str, item: Mapping[str, Any]) -> Sequence[Assignment]:
        if mode == "by_name":
            return self._set({}, self.columns)
        update = item.get("update") or {}
        include, exclude = listed(update.get("include")), listed(update.get("exclude"))
        if include and exclude:
            self.wrong.append("both columns to update and columns to exclude, expected one of them")
        chosen = [self._column(name) for name in include] if include else list(self.columns)
        left_out = {self._column(name).lower() for name in exclude}
        return self._set(
            update.get("set_expressions") or {}, [c for c in chosen if c.lower() not in left_out]
        )

    def _set(self, expressions: Mapping[str, Any], columns: Sequence[str]) -> Sequence[Assignment]:
        overridden = {unquoted(name).lower() for name in expressions}
        parts = [(name, str(expression)) for name, expression in expressions.items()]
        parts += [_from_source(name) for name in columns if name.lower() not in overridden]
        if not parts:
            self.wrong.append("an update sets no column")
        return parts

    def _insert(self, mode: str, item: Mapping[str, Any]) -> Sequence[Assignment]:
        if mode == "by_name":
            return [_from_source(name) for name in self.columns]
        insert = item.get("insert") or {}
        named, given = listed(insert.get("columns")), listed(insert.get("values"))
        if not named or len(named) != len(given):
            self.wrong.append("an explicit insert needs as many columns as values")
        return list(zip(named, given, strict=False))

    def _column(self, name: str) -> str:
        bare = unquoted(name).lower()
        for column in self.columns:
            if column.lower() == bare:
                return column
        self.wrong.append(f"column {name} is not in both the table and the query")
        return name


def _from_source(name: str) -> Assignment:
    return quote(name), f"{SOURCE}.{quote(name)}"


def _has_form(value: Any, form: str) -> bool:
    if form == "a text":
        return isinstance(value, str)
    if form == "a list of columns":
        return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    return isinstance(value, Mapping)
