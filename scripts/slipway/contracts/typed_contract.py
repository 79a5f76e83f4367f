"""Makes a typed contract of a document that keeps to the standard, and says what in it cannot be carried out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from pydantic import BaseModel, ValidationError

from slipway.contracts.model import (
    LANDING,
    SLA_PROPERTIES,
    ColumnSettings,
    Contract,
    ContractSettings,
    Evolution,
    FileSettings,
    Metric,
    Operator,
    SchemaContract,
    Severity,
    TableSettings,
)
from slipway.contracts.problems import Path, Problem, unknown, words
from slipway.names import twins

_OWN_VENDOR = "slipway"
_ARGUMENTS: Mapping[Metric, Sequence[str]] = {
    Metric.ROWS: (),
    Metric.NULLS: (),
    Metric.MISSING: ("missingValues",),
    Metric.INVALID: ("validValues", "pattern"),
    Metric.DUPLICATES: ("properties",),
}
_SEVERITIES = {"error": Severity.ERROR, "warning": Severity.WARNING, "warn": Severity.WARNING}
_UNITS: Mapping[str, timedelta] = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), timedelta(seconds=1)),
    **dict.fromkeys(("m", "min", "minute", "minutes"), timedelta(minutes=1)),
    **dict.fromkeys(("h", "hr", "hour", "hours"), timedelta(hours=1)),
    **dict.fromkeys(("d", "day", "days"), timedelta(days=1)),
    **dict.fromkeys(("w", "wk", "week", "weeks"), timedelta(weeks=1)),
    **dict.fromkeys(("mo", "month", "months"), timedelta(days=30)),
    **dict.fromkeys(("y", "yr", "year", "years"), timedelta(days=365)),
}
_LONGEST = timedelta(days=365_000)
"""More than any table is kept, and short enough to be counted back from any time."""
_NOT_RE2 = re.compile(r"\(\?(?:[=!]|<[=!])|\\[1-9]")
DATES = ("generalAvailability", "endOfSupport", "endOfLife")
"""Service levels that are days."""
_WITH_HEADERS = ("csv", "tsv", "txt", "xlsx", "excel")
_NUMBERS = ("integer", "number")


class TypedContract:
    """A contract in the making.

    Args:
        document: plain values that keep to the standard.
        origin: name of the file.

    ``contract`` is None when there are ``problems``.
    """

    def __init__(self, document: Mapping[str, Any], origin: str) -> None:
        self._document = document
        self.problems: list[Problem] = []
        settings = self._custom(ContractSettings, (), document)
        self._check_other_custom((), document)
        self._check_evolution(settings.get("schemaContract"))
        self._check_limits(settings.get("quarantineLimits") or {})
        settings = self._with_retention(settings)
        tables = [
            self._table(("schema", index), table) for index, table in enumerate(document.get("schema") or [])
        ]
        if not tables:
            self._say((), "`schema` is missing", "Write `schema:` and what the data looks like")
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
        self._check_rule_ids(tables)
        self.contract = None if self.problems else Contract.model_validate(given)

    def _say(self, path: Path, what: str, fix: str = "") -> None:
        self.problems.append(Problem(path, what, fix))

    def _place(self, path: Path) -> str:
        return words(path, self._document)

    def _twice(self, path: Path, names: Sequence[str], noun: str) -> None:
        for first, second in twins(names):
            also = "" if first == second else f", which differs from `{first}` only in its spelling"
            self._say((*path, _last(names, second)), f"is the second {noun} of this name{also}", "Keep one")

    # ------------------------------------------------------------------------------------------ custom properties

    def _custom(self, kind: type[BaseModel], path: Path, part: Mapping[str, Any]) -> dict[str, Any]:
        """Custom properties of a part; those of another vendor are ignored."""
        given: dict[str, Any] = {}
        at: dict[str, Path] = {}
        known = [field.alias or name for name, field in kind.model_fields.items()]
        for index, item in enumerate(part.get("customProperties") or []):
            name, here = item["property"], (*path, "customProperties", index)
            if item.get("vendor", _OWN_VENDOR) != _OWN_VENDOR:
                continue
            if name not in known:
                found = unknown(here, name, self._place(path), known, "custom property")
                fix = found.fix if found.fix.endswith("?") else "Remove it, or say whose it is with `vendor:`"
                self._say(here, found.what, fix)
            elif name in given:
                self._say(here, "is there twice", "Keep one")
            else:
                given[name], at[name] = item["value"], (*here, "value")
        try:
            kind.model_validate(given)
        except ValidationError as error:
            for one in error.errors():
                top = str(one["loc"][0]) if one["loc"] else ""
                inside = ".".join(map(str, one["loc"][1:]))
                self._say(at.get(top, path), _sentence(one, f"`{inside}` " if inside else ""))
            return {}
        return given

    def _check_limits(self, limits: Mapping[str, Mapping[str, Any]]) -> None:
        """Refuse ``quarantineLimits`` of a product, and limits that do not have exactly one operator."""
        if not limits:
            return
        path = self._of_a_feed("quarantineLimits")
        for rule, limit in limits.items():
            given = [key for key in ("mustBeLessThan", "mustBeLessOrEqualTo") if limit.get(key) is not None]
            if len(given) != 1:
                self._say(
                    (*path, rule),
                    "needs exactly one of mustBeLessThan and mustBeLessOrEqualTo",
                    "Write for example `{mustBeLessThan: 5, unit: percent}`",
                )

    def _with_retention(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The settings with the length of time of ``quarantineRetention``; refuses that of a product, and an unknown unit."""
        if not (given := settings.get("quarantineRetention")):
            return settings
        path = self._of_a_feed("quarantineRetention")
        duration = length_of_time(given["value"], given["unit"])
        if duration is None or "duration" in given:
            fix = "Write for example `{value: 90, unit: d}`, with d for days, h for hours, mo for months or y for years"
            self._say(path, f"has the unit {given['unit']}" if duration is None else "has a duration", fix)
            return settings
        return {**settings, "quarantineRetention": {**given, "duration": min(duration, _LONGEST)}}

    def _of_a_feed(self, name: str) -> Path:
        """Where a custom property stands that only the contract of a feed may have."""
        path: Path = next(
            ("customProperties", index, "value")
            for index, item in enumerate(self._document["customProperties"])
            if item["property"] == name
        )
        if not any(one["server"] == LANDING for one in self._document.get("servers") or []):
            self._say(
                path,
                "is about rows of a feed, and the contract has no server named `landing`",
                "Write it in the contract of the feed",
            )
        return path

    def _check_evolution(self, given: Any) -> None:  # noqa: ANN401 - YAML
        """Refuse what ``schemaContract`` says that has no meaning."""
        if given is None:
            return
        wanted = SchemaContract.model_validate(given)
        path = next(
            ("customProperties", index, "value")
            for index, item in enumerate(self._document["customProperties"])
            if item["property"] == "schemaContract"
        )
        server = next((one for one in self._document.get("servers") or [] if one["server"] == LANDING), None)
        if server is None:
            self._say(
                path,
                "is about files, and the contract has no server named `landing`",
                "Remove it: the columns of a product are those of its model",
            )
            return
        if wanted.tables is not Evolution.FREEZE:
            self._say(
                path,
                f"`tables` is {wanted.tables}, and a contract is of one table: files in a folder that no contract describes are "
                "listed as outstanding, never read",
                "Write a contract for that folder, and leave `tables` out",
            )
        if wanted.data_type is Evolution.EVOLVE:
            self._say(
                path,
                "`data_type` is evolve, and a type does not follow the data: raw keeps any value as text, and typed columns "
                "have the type that the contract says",
                "Change the logicalType of the column, or write discard_row, discard_value or freeze",
            )
        if wanted.columns is Evolution.FREEZE:
            return
        custom = {item["property"]: item["value"] for item in server.get("customProperties") or []}
        if custom.get("header") in ("none", False) and str(server.get("format")).lower() in _WITH_HEADERS:
            self._say(
                path,
                f"`columns` is {wanted.columns}, and files without a header do not name their columns",
                "Leave `columns` out, or have the producer write a header",
            )

    def _check_other_custom(self, path: Path, part: Any) -> None:  # noqa: ANN401 - YAML
        """Refuse custom properties in places where none is known."""
        if isinstance(part, list):
            for index, item in enumerate(part):
                self._check_other_custom((*path, index), item)
        elif isinstance(part, dict):
            shape = tuple(key for key in path if isinstance(key, str))
            is_known = shape in ((), ("servers",), ("schema",)) or (
                shape[0] == "schema" and set(shape[1:]) == {"properties"}
            )
            if not is_known and isinstance(part.get("customProperties"), list):
                self._custom(TableSettings, path, part)
            for key, inside in part.items():
                if key not in ("customProperties", "arguments", "implementation", "examples"):
                    self._check_other_custom((*path, key), inside)

    # ------------------------------------------------------------------------------------------ servers, service levels

    def _server(self, path: Path, server: Mapping[str, Any]) -> dict[str, Any]:
        kind = FileSettings if server["server"] == LANDING else TableSettings
        custom = self._custom(kind, path, server)
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
            found = unknown(path, name, "slaProperties", SLA_PROPERTIES, "service level")
            self._say(path, found.what, found.fix)
        elif SLA_PROPERTIES[name]:
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                self._say((*path, "value"), f"is {value!r}, and has to be a number of at least 0")
            elif (length := length_of_time(value, unit)) is None:
                fix = "Write d for days, h for hours, m for minutes, y for years"
                self._say(path, f"has the unit {unit}" if unit else "has no unit", fix)
            else:
                duration = length
        elif name in DATES and day_of(value) is None:
            self._say((*path, "value"), f"is {value!r}, and has to be a date", 'Write it like "2026-12-31"')
        if element := sla.get("element"):
            self._check_element((*path, "element"), element)
        return {**sla, "duration": duration}

    def _check_element(self, path: Path, element: str) -> None:
        tables = {table["name"]: table for table in self._document.get("schema") or []}
        for one in re.split(r"\s*,\s*", element):
            table, _, column = one.partition(".")
            columns = [item["name"] for item in tables.get(table, {}).get("properties") or []]
            if table not in tables or (column and column.partition(".")[0] not in columns):
                known = columns if table in tables else tables
                found = unknown(
                    path, column if table in tables else table, self._place(path), known, "element"
                )
                self._say(path, found.what, found.fix)

    # ------------------------------------------------------------------------------------------ tables

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
            if (rule := self._rule((*path, "quality", index), item, table, None)) is not None
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
            "settings": self._custom(TableSettings, path, table),
        }

    def _key(self, path: Path, columns: Sequence[Mapping[str, Any]]) -> list[str]:
        key = [item for item in columns if item.get("primaryKey")]
        places = [item.get("primaryKeyPosition", -1) for item in key]
        for index, item in enumerate(columns):
            if item.get("primaryKeyPosition", -1) not in (-1, None) and not item.get("primaryKey"):
                self._say(
                    (*path, "properties", index),
                    "has a primaryKeyPosition and is no primaryKey",
                    "Write `primaryKey: true`",
                )
        if len(key) > 1 and sorted(places) != list(range(1, len(key) + 1)) and set(places) != {-1}:
            self._say(
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
            self._say(path, "has no name", "Write its name")
        options = column.get("logicalTypeOptions") or {}
        if options and kind is None:
            self._say((*path, "logicalTypeOptions"), "is given without a logicalType", "Write `logicalType:`")
        else:
            self._check_options((*path, "logicalTypeOptions"), options, kind)
        enum = [item["value"] for item in column.get("enum") or []] or None
        for index, value in enumerate(enum or []):
            self._check_value((*path, "enum", index, "value"), value, kind)
        position = column.get("primaryKeyPosition", -1)
        return {
            **{key: value for key, value in column.items() if value is not None},
            "enum": enum,
            "primaryKeyPosition": None if position == -1 else position,
            "settings": self._custom(ColumnSettings, path, column),
            "rules": [
                rule
                for index, item in enumerate(column.get("quality") or [])
                if (rule := self._rule((*path, "quality", index), item, None, column)) is not None
            ],
            "relationships": [
                {"columns": [name], "to": _several(item["to"])} for item in column.get("relationships") or []
            ],
        }

    def _check_options(self, path: Path, options: Mapping[str, Any], kind: str | None) -> None:
        if "pattern" in options:
            self._check_pattern((*path, "pattern"), options["pattern"])
        bounds = {
            key: value
            for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
            if (value := options.get(key)) is not None
        }
        for key, value in bounds.items():
            self._check_value((*path, key), value, kind)
        for low, high in (("minLength", "maxLength"), ("minimum", "maximum")):
            least, most = options.get(low), options.get(high)
            if least is not None and most is not None and least > most:
                self._say(
                    path, f"has {low} {least} and {high} {most}, which no value can meet", "Correct one"
                )

    def _check_pattern(self, path: Path, pattern: str) -> None:
        try:
            re.compile(pattern)
        except re.error as error:
            self._say(path, f"is no regular expression: {error}", "Correct it")
            return
        if _NOT_RE2.search(pattern):
            self._say(
                path, "looks ahead, looks behind or refers back, which RE2 does not have", "Write it without"
            )

    def _check_value(self, path: Path, value: Any, kind: str | None) -> None:  # noqa: ANN401 - YAML
        """Whether a value that data is compared with can be one of a logical type."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if kind in _NUMBERS and not is_number:
            self._say(path, f"is {value!r} in a property that is a number", "Write a number")
        elif kind in ("string", *_MOMENTS) and not isinstance(value, str):
            self._say(path, f"is {value!r}, and the property is text", f'Write it in quotes: "{value}"')
        elif kind == "boolean" and not isinstance(value, bool):
            self._say(path, f"is {value!r} in a property that is true or false", "Write true or false")
        elif moment := _MOMENTS.get(str(kind)):
            read, example = moment
            try:
                read(value)
            except ValueError:
                self._say(path, f"is {value!r}, which is no {kind}", f'Write it like "{example}"')

    # ------------------------------------------------------------------------------------------ rules

    def _rule(
        self,
        path: Path,
        item: Mapping[str, Any],
        table: Mapping[str, Any] | None,
        column: Mapping[str, Any] | None,
    ) -> dict[str, Any] | None:
        kind = item.get("type") or ("sql" if "query" in item and "metric" not in item else "library")
        if kind == "text":
            if not item.get("description"):
                self._say(path, "is a rule in words without a description", "Write `description:`")
            return None
        if kind == "custom":
            self._say(
                path,
                f"is for the engine {item.get('engine')}, which is not asked here",
                "Write it as `type: sql` or with a metric of the standard's library, or `type: text` for people",
            )
            return None
        operator = next((one for one in Operator if item.get(one) is not None), None)
        severity = _SEVERITIES.get(str(item.get("severity", "error")).lower())
        if severity is None:
            found = unknown(
                (*path, "severity"),
                str(item["severity"]),
                self._place(path),
                ("error", "warning"),
                "severity",
            )
            self._say(found.path, found.what, found.fix)
        if operator is None or not _is_comparable(item[operator]):
            self._say(
                path,
                "is not compared with a number",
                "Write `mustBe: 0` or another of the standard's operators",
            )
            return None
        rule = {
            "id": _rule_id(item, column),
            "column": column["name"] if column else None,
            "operator": operator,
            "value": item[operator],
            "unit": item.get("unit") or "rows",
            "severity": severity or Severity.ERROR,
            "dimension": item.get("dimension"),
            "description": item.get("description"),
        }
        if rule["unit"] not in ("rows", "percent"):
            found = unknown(
                (*path, "unit"), str(rule["unit"]), self._place(path), ("rows", "percent"), "unit"
            )
            self._say(found.path, found.what, found.fix)
            return None
        if kind == "sql":
            if not (item.get("id") or item.get("name")):
                self._say(path, "is a query without a name", "Write `name:`; broken rules are listed by it")
            return {**rule, "query": item["query"]}
        return self._metric_rule(path, item, table, column, rule)

    def _metric_rule(
        self,
        path: Path,
        item: Mapping[str, Any],
        table: Mapping[str, Any] | None,
        column: Mapping[str, Any] | None,
        rule: dict[str, Any],
    ) -> dict[str, Any] | None:
        if "metric" not in item:
            self._say(
                path, "says neither a metric nor a query", f"Write `metric:`, one of {', '.join(Metric)}"
            )
            return None
        metric = Metric(item["metric"])
        where = "a property" if column else "an object"
        if (metric is Metric.ROWS) is bool(column) and metric is not Metric.DUPLICATES:
            other = "an object of schema" if column else "a property"
            self._say(path, f"counts {metric}, which is of {other} and not of {where}", "Move it there")
            return None
        arguments = item.get("arguments") or {}
        for key in arguments:
            if key not in _ARGUMENTS[metric]:
                found = unknown(
                    (*path, "arguments", key),
                    key,
                    f"{self._place(path)}.arguments",
                    _ARGUMENTS[metric],
                    "argument",
                )
                self._say(found.path, found.what, found.fix if _ARGUMENTS[metric] else f"{metric} has none")
                return None
        for key in ("missingValues", "validValues", "properties"):
            if key in arguments and not isinstance(arguments[key], list):
                self._say((*path, "arguments", key), "has to be a list", f"Write `{key}: [ … ]`")
                return None
        return rule | self._arguments(path, metric, arguments, table, column)

    def _arguments(
        self,
        path: Path,
        metric: Metric,
        arguments: Mapping[str, Any],
        table: Mapping[str, Any] | None,
        column: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        found: dict[str, Any] = {"metric": metric}
        inside = (*path, "arguments")
        if metric is Metric.MISSING:
            found["missingValues"] = arguments.get("missingValues", [])
        if metric is Metric.INVALID:
            if not set(arguments) & {"validValues", "pattern"}:
                self._say(
                    path,
                    "does not say which values are valid",
                    "Write `arguments: {validValues: [ … ]}` or `{pattern: … }`",
                )
            for index, value in enumerate(arguments.get("validValues", [])):
                self._check_value((*inside, "validValues", index), value, (column or {}).get("logicalType"))
            if isinstance(pattern := arguments.get("pattern"), str):
                self._check_pattern((*inside, "pattern"), pattern)
            elif "pattern" in arguments:
                self._say((*inside, "pattern"), "has to be text", "Write a regular expression in quotes")
            found |= {key: arguments[key] for key in ("validValues", "pattern") if key in arguments}
        if metric is Metric.DUPLICATES and table is not None:
            found["columns"] = self._columns_of(path, arguments.get("properties", []), table)
        return found

    def _columns_of(self, path: Path, names: Sequence[Any], table: Mapping[str, Any]) -> Sequence[Any]:
        known = [item["name"] for item in table.get("properties") or []]
        inside = (*path, "arguments")
        if not names:
            self._say(path, "does not say of what", "Write `arguments: {properties: [ … ]}`")
        for index, name in enumerate(names):
            if name not in known:
                wrong = unknown(
                    (*inside, "properties", index), str(name), self._place(inside), known, "property"
                )
                self._say(wrong.path, wrong.what, wrong.fix)
        return names

    def _check_rule_ids(self, tables: Sequence[Mapping[str, Any]]) -> None:
        for index, table in enumerate(tables):
            known: set[str] = set()
            for rule in table["rules"]:
                if rule["id"] in known:
                    self._say(
                        ("schema", index), f"has two rules that are called {rule['id']}", "Give one a `name:`"
                    )
                known.add(rule["id"])

    def _relationship(self, path: Path, item: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
        known = [column["name"] for column in table.get("properties") or []]
        columns = [re.split(r"[./]", one)[-1] for one in _several(item["from"])]
        for name in columns:
            if name not in known:
                found = unknown((*path, "from"), name, self._place(path), known, "property")
                self._say(found.path, found.what, found.fix)
        if len(columns) != len(_several(item["to"])):
            self._say(
                path,
                f"has {len(columns)} columns in `from` and {len(_several(item['to']))} in `to`",
                "Write as many",
            )
        return {"columns": columns, "to": _several(item["to"])}


_MOMENTS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "date": (date.fromisoformat, "2024-12-31"),
    "timestamp": (datetime.fromisoformat, "2024-12-31T23:59:59Z"),
    "time": (time.fromisoformat, "23:59:59"),
}


def day_of(value: object) -> date | None:
    """The day of a date or a time in the form of ISO 8601; None for what is neither."""
    try:
        return datetime.fromisoformat(value).date() if isinstance(value, str) else None
    except ValueError:
        return None


def length_of_time(value: object, unit: object) -> timedelta | None:
    """A number of a unit that a service level may have; None where it is no number of at least 0, or the unit is not known."""
    length = _UNITS.get(str(unit))
    if length is None or isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    return min(value, timedelta.max / length / 2) * length


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def _several(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _members(team: Any) -> list[Mapping[str, Any]]:  # noqa: ANN401 - YAML
    """Members of a team, in the form of 3.1 and in that of 3.0."""
    return list(team.get("members") or []) if isinstance(team, dict) else list(team or [])


def _last(names: Sequence[str], name: str) -> int:
    return len(names) - 1 - list(reversed(names)).index(name)


def _is_comparable(value: Any) -> bool:  # noqa: ANN401 - YAML
    values = value if isinstance(value, list) else [value]
    return all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)


def _rule_id(item: Mapping[str, Any], column: Mapping[str, Any] | None) -> str:
    if named := item.get("id") or item.get("name"):
        return re.sub(r"[^A-Za-z0-9_-]+", "_", str(named)).strip("_")
    metric = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(item.get("metric", "query"))).lower()
    return f"{column['name']}_{metric}" if column else metric


def _sentence(error: Mapping[str, Any], inside: str) -> str:
    """What pydantic says of a custom property, as the rest of a sentence."""
    given, kind, context = error["input"], error["type"], error.get("ctx", {})
    shown = (
        "a list"
        if isinstance(given, list)
        else "a mapping"
        if isinstance(given, dict)
        else json.dumps(given, ensure_ascii=False)
    )
    if kind == "extra_forbidden":
        return f"has {inside.strip()}, which nothing reads"
    expected = {
        "string_type": "text",
        "bool_type": "true or false",
        "int_type": "a whole number",
        "tuple_type": "a list",
        "model_type": "a mapping",
        "model_attributes_type": "a mapping",
        "string_too_short": "text that is not empty",
        "greater_than_equal": f"at least {context.get('ge')}",
        "enum": str(context.get("expected", "")).replace("'", ""),
        "literal_error": str(context.get("expected", "")),
    }.get(kind, str(error["msg"]))
    return f"{inside}is {shown}, and has to be {expected}"
