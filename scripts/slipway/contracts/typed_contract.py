"""Makes a typed contract of a document that keeps to the standard, and says what in it cannot be carried out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slipway.contracts.classification import strictest
from slipway.contracts.custom_properties import contract_settings, custom_properties
from slipway.contracts.durations import DATES, day_of, length_of_time
from slipway.contracts.given_values import check_pattern, check_value
from slipway.contracts.model import (
    LANDING,
    SLA_PROPERTIES,
    ColumnSettings,
    Contract,
    FileSettings,
    TableSettings,
)
from slipway.contracts.problems import Path, Problems
from slipway.contracts.quality_rules import check_rule_ids, rule_of
from slipway.names import twins


class TypedContract:
    """A contract in the making.

    Args:
        document: plain values that keep to the standard.
        origin: name of the file.

    ``contract`` is None when there are ``problems``.
    """

    def __init__(self, document: Mapping[str, Any], origin: str) -> None:
        self._problems = Problems(document)
        settings = contract_settings(self._problems)
        tables = [
            self._table(("schema", index), table) for index, table in enumerate(document.get("schema") or [])
        ]
        if not tables:
            self._problems.say((), "`schema` is missing", "Write `schema:` and what the data looks like")
        self._twice(("schema",), [table["name"] for table in tables], "object")
        given = {
            **{key: document.get(key) for key in ("id", "version", "name", "status", "domain")},
            "apiVersion": document["apiVersion"],
            "origin": origin,
            "digest": _digest(document),
            "tables": tables,
            "servers": [
                self._server(("servers", index), server)
                for index, server in enumerate(document.get("servers") or [])
            ],
            "sla": [
                self._sla(("slaProperties", index), one)
                for index, one in enumerate(document.get("slaProperties") or [])
            ],
            "roles": document.get("roles") or [],
            "team": _members(document.get("team")),
            "settings": settings,
        }
        check_rule_ids(self._problems, tables)
        self.problems = self._problems.found
        self.contract = None if self.problems else Contract.model_validate(given)

    def _twice(self, path: Path, names: Sequence[str], noun: str) -> None:
        for first, second in twins(names):
            also = "" if first == second else f", which differs from `{first}` only in its spelling"
            self._problems.say(
                (*path, _last(names, second)), f"is the second {noun} of this name{also}", "Keep one"
            )

    def _server(self, path: Path, server: Mapping[str, Any]) -> dict[str, Any]:
        kind = FileSettings if server["server"] == LANDING else TableSettings
        custom = custom_properties(self._problems, kind, path, server)
        if server["server"] != LANDING:
            return {**server, "files": {}}
        for key in ("encoding", "delimiter"):
            if server.get(key) is not None:
                custom.setdefault(key, server[key])
        return {**server, "files": custom}

    def _sla(self, path: Path, sla: Mapping[str, Any]) -> dict[str, Any]:
        name, value, unit = sla["property"], sla["value"], sla.get("unit")
        duration = None
        if name not in SLA_PROPERTIES:
            self._problems.say_unknown(path, name, "slaProperties", SLA_PROPERTIES, "service level")
        elif SLA_PROPERTIES[name]:
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                self._problems.say((*path, "value"), f"is {value!r}, and has to be a number of at least 0")
            elif (length := length_of_time(value, unit)) is None:
                fix = "Write d for days, h for hours, m for minutes, y for years"
                self._problems.say(path, f"has the unit {unit}" if unit else "has no unit", fix)
            else:
                duration = length
        elif name in DATES and day_of(value) is None:
            self._problems.say(
                (*path, "value"), f"is {value!r}, and has to be a date", 'Write it like "2026-12-31"'
            )
        if element := sla.get("element"):
            self._check_element((*path, "element"), element)
        return {**sla, "duration": duration}

    def _check_element(self, path: Path, element: str) -> None:
        tables = {table["name"]: table for table in self._problems.document.get("schema") or []}
        for one in re.split(r"\s*,\s*", element):
            table, _, column = one.partition(".")
            columns = [item["name"] for item in tables.get(table, {}).get("properties") or []]
            if table not in tables or (column and column.partition(".")[0] not in columns):
                known = columns if table in tables else tables
                self._problems.say_unknown(
                    path, column if table in tables else table, self._problems.place(path), known, "element"
                )

    def _table(self, path: Path, table: Mapping[str, Any]) -> dict[str, Any]:
        given = table.get("properties") or []
        columns = [self._column((*path, "properties", index), item) for index, item in enumerate(given)]
        self._twice((*path, "properties"), [item["name"] for item in given], "property")
        self._twice(
            (*path, "properties"),
            [item.get("physicalName") or item["name"] for item in given],
            "physical name",
        )
        rules = [
            rule
            for index, item in enumerate(table.get("quality") or [])
            if (rule := rule_of(self._problems, (*path, "quality", index), item, table, None)) is not None
        ]
        rules += [rule for column in columns for rule in column.pop("rules")]
        relationships = [
            self._relationship((*path, "relationships", index), item, table)
            for index, item in enumerate(table.get("relationships") or [])
        ]
        relationships += [one for column in columns for one in column.pop("relationships")]
        return {
            **table,
            "columns": columns,
            "rules": rules,
            "relationships": relationships,
            "key": self._key(path, given),
            "settings": custom_properties(self._problems, TableSettings, path, table),
        }

    def _key(self, path: Path, columns: Sequence[Mapping[str, Any]]) -> list[str]:
        key = [item for item in columns if item.get("primaryKey")]
        places = [item.get("primaryKeyPosition", -1) for item in key]
        for index, item in enumerate(columns):
            if item.get("primaryKeyPosition", -1) not in (-1, None) and not item.get("primaryKey"):
                self._problems.say(
                    (*path, "properties", index),
                    "has a primaryKeyPosition and is no primaryKey",
                    "Write `primaryKey: true`",
                )
        if len(key) > 1 and sorted(places) != list(range(1, len(key) + 1)) and set(places) != {-1}:
            self._problems.say(
                path,
                f"has the primary key positions {', '.join(map(str, places))}",
                f"Number them 1 to {len(key)}",
            )
        return [
            item["name"] for item in sorted(key, key=lambda item: int(item.get("primaryKeyPosition", -1)))
        ]

    def _column(self, path: Path, column: Mapping[str, Any]) -> dict[str, Any]:
        name, kind = column["name"], column.get("logicalType")
        if not name.strip():
            self._problems.say(path, "has no name", "Write its name")
        options = column.get("logicalTypeOptions") or {}
        if options and kind is None:
            self._problems.say(
                (*path, "logicalTypeOptions"), "is given without a logicalType", "Write `logicalType:`"
            )
        else:
            self._check_options((*path, "logicalTypeOptions"), options, kind)
        enum = [item["value"] for item in column.get("enum") or []] or None
        for index, value in enumerate(enum or []):
            check_value(self._problems, (*path, "enum", index, "value"), value, kind)
        position = column.get("primaryKeyPosition", -1)
        return {
            **{key: value for key, value in column.items() if value is not None},
            "enum": enum,
            "primaryKeyPosition": None if position == -1 else position,
            # a value that holds a confidential one is confidential itself
            "classification": strictest(_classifications(column)) or None,
            "settings": custom_properties(self._problems, ColumnSettings, path, column),
            "rules": [
                rule
                for index, item in enumerate(column.get("quality") or [])
                if (rule := rule_of(self._problems, (*path, "quality", index), item, None, column))
                is not None
            ],
            "relationships": [
                {"columns": [name], "to": _several(item["to"])} for item in column.get("relationships") or []
            ],
        }

    def _check_options(self, path: Path, options: Mapping[str, Any], kind: str | None) -> None:
        if "pattern" in options:
            check_pattern(self._problems, (*path, "pattern"), options["pattern"])
        bounds = {
            key: value
            for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
            if (value := options.get(key)) is not None
        }
        for key, value in bounds.items():
            check_value(self._problems, (*path, key), value, kind)
        for low, high in (("minLength", "maxLength"), ("minimum", "maximum")):
            least, most = options.get(low), options.get(high)
            if least is not None and most is not None and least > most:
                self._problems.say(
                    path, f"has {low} {least} and {high} {most}, which no value can meet", "Correct one"
                )

    def _relationship(self, path: Path, item: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
        known = [column["name"] for column in table.get("properties") or []]
        columns = [re.split(r"[./]", one)[-1] for one in _several(item["from"])]
        for name in columns:
            if name not in known:
                self._problems.say_unknown(
                    (*path, "from"), name, self._problems.place(path), known, "property"
                )
        if len(columns) != len(_several(item["to"])):
            self._problems.say(
                path,
                f"has {len(columns)} columns in `from` and {len(_several(item['to']))} in `to`",
                "Write as many",
            )
        return {"columns": columns, "to": _several(item["to"])}


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def _several(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _classifications(part: Mapping[str, Any]) -> Iterator[str]:
    """What a property and everything inside of it is classified as, in the order of the contract."""
    if given := part.get("classification"):
        yield given
    between = part.get("map") or {}
    for inner in (
        *(part.get("properties") or []),
        part.get("items"),
        between.get("key"),
        between.get("value"),
    ):
        if inner:
            yield from _classifications(inner)


def _members(team: Any) -> list[Mapping[str, Any]]:  # noqa: ANN401 - YAML
    """Members of a team, in the form of 3.1 and in that of 3.0."""
    return list(team.get("members") or []) if isinstance(team, dict) else list(team or [])


def _last(names: Sequence[str], name: str) -> int:
    return len(names) - 1 - list(reversed(names)).index(name)
