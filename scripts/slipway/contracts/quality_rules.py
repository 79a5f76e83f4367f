"""Rules of ``quality``: what a metric or a query counts, and what it is compared with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from slipway.contracts.given_values import check_pattern, check_value
from slipway.contracts.model import (
    Metric,
    Operator,
    Severity,
)
from slipway.contracts.problems import Path, Problems, unknown

_ARGUMENTS: Mapping[Metric, Sequence[str]] = {
    Metric.ROWS: (),
    Metric.NULLS: (),
    Metric.MISSING: ("missingValues",),
    Metric.INVALID: ("validValues", "pattern"),
    Metric.DUPLICATES: ("properties",),
}
_SEVERITIES = {"error": Severity.ERROR, "warning": Severity.WARNING, "warn": Severity.WARNING}


def rule_of(
    problems: Problems,
    path: Path,
    item: Mapping[str, Any],
    table: Mapping[str, Any] | None,
    column: Mapping[str, Any] | None,
) -> dict[str, Any] | None:
    """An item of ``quality`` of a table or of a column; None for a rule in words, and for one that cannot be carried out."""
    kind = item.get("type") or ("sql" if "query" in item and "metric" not in item else "library")
    if kind == "text":
        if not item.get("description"):
            problems.say(path, "is a rule in words without a description", "Write `description:`")
        return None
    if kind == "custom":
        problems.say(
            path,
            f"is for the engine {item.get('engine')}, which is not asked here",
            "Write it as `type: sql` or with a metric of the standard's library, or `type: text` for people",
        )
        return None
    operator = next((one for one in Operator if item.get(one) is not None), None)
    severity = _SEVERITIES.get(str(item.get("severity", "error")).lower())
    if severity is None:
        problems.say_unknown(
            (*path, "severity"),
            str(item["severity"]),
            problems.place(path),
            ("error", "warning"),
            "severity",
        )
    if operator is None or not _is_comparable(item[operator]):
        problems.say(
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
        problems.say_unknown(
            (*path, "unit"), str(rule["unit"]), problems.place(path), ("rows", "percent"), "unit"
        )
        return None
    if kind == "sql":
        if not (item.get("id") or item.get("name")):
            problems.say(path, "is a query without a name", "Write `name:`; broken rules are listed by it")
        return {**rule, "query": item["query"]}
    return _metric_rule(problems, path, item, table, column, rule)


def _metric_rule(
    problems: Problems,
    path: Path,
    item: Mapping[str, Any],
    table: Mapping[str, Any] | None,
    column: Mapping[str, Any] | None,
    rule: dict[str, Any],
) -> dict[str, Any] | None:
    if "metric" not in item:
        problems.say(
            path, "says neither a metric nor a query", f"Write `metric:`, one of {', '.join(Metric)}"
        )
        return None
    metric = Metric(item["metric"])
    where = "a property" if column else "an object"
    if (metric is Metric.ROWS) is bool(column) and metric is not Metric.DUPLICATES:
        other = "an object of schema" if column else "a property"
        problems.say(path, f"counts {metric}, which is of {other} and not of {where}", "Move it there")
        return None
    arguments = item.get("arguments") or {}
    for key in arguments:
        if key not in _ARGUMENTS[metric]:
            found = unknown(
                (*path, "arguments", key),
                key,
                f"{problems.place(path)}.arguments",
                _ARGUMENTS[metric],
                "argument",
            )
            problems.say(found.path, found.what, found.fix if _ARGUMENTS[metric] else f"{metric} has none")
            return None
    for key in ("missingValues", "validValues", "properties"):
        if key in arguments and not isinstance(arguments[key], list):
            problems.say((*path, "arguments", key), "has to be a list", f"Write `{key}: [ … ]`")
            return None
    return rule | _arguments(problems, path, metric, arguments, table, column)


def _arguments(
    problems: Problems,
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
            problems.say(
                path,
                "does not say which values are valid",
                "Write `arguments: {validValues: [ … ]}` or `{pattern: … }`",
            )
        for index, value in enumerate(arguments.get("validValues", [])):
            check_value(problems, (*inside, "validValues", index), value, (column or {}).get("logicalType"))
        if isinstance(pattern := arguments.get("pattern"), str):
            check_pattern(problems, (*inside, "pattern"), pattern)
        elif "pattern" in arguments:
            problems.say((*inside, "pattern"), "has to be text", "Write a regular expression in quotes")
        found |= {key: arguments[key] for key in ("validValues", "pattern") if key in arguments}
    if metric is Metric.DUPLICATES and table is not None:
        found["columns"] = _columns_of(problems, path, arguments.get("properties", []), table)
    return found


def _columns_of(
    problems: Problems, path: Path, names: Sequence[Any], table: Mapping[str, Any]
) -> Sequence[Any]:
    known = [item["name"] for item in table.get("properties") or []]
    inside = (*path, "arguments")
    if not names:
        problems.say(path, "does not say of what", "Write `arguments: {properties: [ … ]}`")
    for index, name in enumerate(names):
        if name not in known:
            problems.say_unknown(
                (*inside, "properties", index), str(name), problems.place(inside), known, "property"
            )
    return names


def check_rule_ids(problems: Problems, tables: Sequence[Mapping[str, Any]]) -> None:
    """Refuse two rules of a table with one id."""
    for index, table in enumerate(tables):
        known: set[str] = set()
        for rule in table["rules"]:
            if rule["id"] in known:
                problems.say(
                    ("schema", index), f"has two rules that are called {rule['id']}", "Give one a `name:`"
                )
            known.add(rule["id"])


def _is_comparable(value: Any) -> bool:  # noqa: ANN401 - YAML
    values = value if isinstance(value, list) else [value]
    return all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)


def _rule_id(item: Mapping[str, Any], column: Mapping[str, Any] | None) -> str:
    if named := item.get("id") or item.get("name"):
        return re.sub(r"[^A-Za-z0-9_-]+", "_", str(named)).strip("_")
    metric = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(item.get("metric", "query"))).lower()
    return f"{column['name']}_{metric}" if column else metric
