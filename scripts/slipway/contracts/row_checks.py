"""The rules of a contract that each row keeps or breaks: in which order they are tried, and how many rows each may put into quarantine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from slipway.contracts.model import (
    EXTRA,
    Column,
    Contract,
    Evolution,
    Metric,
    Operator,
    QuarantineLimit,
    Rule,
    Severity,
    Table,
)
from slipway.contracts.nested_values import NESTED
from slipway.contracts.products import plain_type
from slipway.contracts.typed_values import is_local, literal_of, type_sql
from slipway.sql_text import literal, quote

UNKNOWN = "unknown_columns"
"""The rule of rows with values of unknown columns."""
_COUNT_OF_ROWS = re.compile(
    r"\s*select\s+count\s*\(\s*\*\s*\)\s+from\s+(?:\{object\}|\$\{object\})\s+where\s+(.+?);?\s*",
    re.IGNORECASE | re.DOTALL,
)
TYPED_FROM = "__slipway_text"
"""Struct of the texts that typed columns were read from."""


@dataclass(frozen=True)
class Check:
    """A rule that each row keeps or breaks.

    Args:
        id: of the rule.
        breaks: a condition over typed columns (``"name"``) and the text that they were read from (``__slipway_text."name"``).
        reason: in words.
        typed: the column of which it says that its value is of the right type; None for any other rule.
    """

    id: str
    breaks: str
    reason: str
    typed: Column | None = None


def checks_of(contract: Contract) -> list[Check]:
    """The rules that each row of a feed keeps or breaks, in the order in which they are tried."""
    checks = list(_ordered(contract.tables[0]))
    if contract.settings.schema_contract.columns is Evolution.DISCARD_ROW:
        named = ", ".join(literal(column.header) for column in contract.tables[0].columns)
        unknown = f"list_filter(json_keys({EXTRA}), lambda name: name not in ({named}))"
        checks.insert(
            0,
            Check(UNKNOWN, f"len({unknown}) > 0", "it has values in columns that the contract does not name"),
        )
    return checks


def limits_of(contract: Contract) -> list[tuple[str, QuarantineLimit]]:
    """How many rows each rule of a feed may put into quarantine: the id of the rule, or ``*`` for all together, and a limit.

    They are ``quarantineLimits``, and rules of ``quality`` that count exactly the rows that a declared rule of their property puts there: ``nullValues``
    and ``missingValues`` of a required property, ``invalidValues`` with the values of ``enum`` or with the ``pattern`` of the property.
    """
    table, found = contract.tables[0], list(contract.settings.quarantine_limits.items())
    for rule in table.rules:
        if rule.column is None or isinstance(rule.value, tuple) or rule.is_of_rows:
            continue
        if (check := _counted_by(rule, table.column(rule.column))) is None:
            continue
        value, bounds = float(rule.value), {"unit": rule.unit, "severity": str(rule.severity)}
        if rule.operator is Operator.LESS:
            found.append((check, QuarantineLimit.model_validate({"mustBeLessThan": value, **bounds})))
        elif rule.operator is Operator.AT_MOST:
            found.append((check, QuarantineLimit.model_validate({"mustBeLessOrEqualTo": value, **bounds})))
    return found


def _counted_by(rule: Rule, column: Column) -> str | None:
    """The id of the declared rule of a property that breaks on exactly the rows that a metric counts."""
    is_needed = column.required or column.primary_key
    if rule.metric in (Metric.NULLS, Metric.MISSING):
        more = {value for value in rule.missing_values if value is not None}
        return _id(column, "missing") if is_needed and not more else None
    if rule.metric is not Metric.INVALID:
        return None
    if rule.pattern is None and rule.valid_values is not None and column.enum is not None:
        return _id(column, "not_allowed") if set(rule.valid_values) == set(column.enum) else None
    same = rule.valid_values is None and rule.pattern == column.options.pattern
    return _id(column, "other_pattern") if same and rule.pattern is not None else None


def _ordered(table: Table) -> Iterator[Check]:
    """First what is missing, then what is of another type, then what is out of bounds, then the rules of ``quality``."""
    for column in table.columns:
        if column.required or column.primary_key:
            yield Check(_id(column, "missing"), f"{_source(column)} is null", f"{column.header} is empty")
    for column in table.columns:
        if column.logical_type in (None, "string"):
            continue
        name, what = quote(column.name), _named_type(column)
        read = local_sql(column) if is_local(column) else name
        yield Check(
            _id(column, f"not_{_kind(column)}"),
            f"{_source(column)} is not null and {read} is null",
            f"{column.header} is not {what}",
            column,
        )
        if is_local(column):
            yield Check(
                f"{column.name}_skipped_by_clock",
                f"{_source(column)} is not null and {name} is null",
                f"{column.header} lies in the hour that the clock of {column.options.default_timezone} skips",
                column,
            )
    for column in table.columns:
        yield from _bounds(column)
    for rule in table.rules:
        if (breaks := _breaks(rule, table)) is not None:
            yield Check(rule.id, breaks, rule.description or f"the rule {rule.id} is broken")


def local_sql(column: Column) -> str:
    """The typed column for the local time of one that ``is_local``."""
    return quote(f"__slipway_local_{column.name}")


def _id(column: Column, check: str) -> str:
    return f"{column.name}_{check}"


def _kind(column: Column) -> str:
    if column.logical_type == "number" and plain_type(column.physical_type or "").startswith("decimal"):
        return "decimal"
    return str(column.logical_type)


def _named_type(column: Column) -> str:
    example = {"date": "2011-08-31", "timestamp": "2011-08-31 17:45:00", "time": "17:45:00"}
    if column.options.format and column.logical_type in example:
        return f"a {column.logical_type} in the form {column.options.format}"
    if column.logical_type in example:
        what = "date and time" if column.logical_type == "timestamp" else column.logical_type
        return f"a {what} like {example[column.logical_type]}"
    if decimal := re.fullmatch(r"decimal\((\d+),(\d+)\)", plain_type(column.physical_type or "")):
        whole, scale = int(decimal[1]) - int(decimal[2]), decimal[2]
        return f"a number with at most {whole} digits before the point and {scale} after it"
    if column.logical_type == "integer":
        return f"a whole number that fits {type_sql(column, '')}"
    if column.logical_type in NESTED:
        return f"JSON for the {column.logical_type} that the contract describes"
    return {"number": "a number", "boolean": "true or false"}.get(
        str(column.logical_type), f"of type {column.logical_type}"
    )


def _bounds(column: Column) -> Iterator[Check]:
    name, options = quote(column.name), column.options
    shown = column.header
    if column.enum is not None:
        allowed = ", ".join(literal_of(value, column) for value in column.enum)
        yield Check(
            f"{column.name}_not_allowed",
            f"{name} not in ({allowed})",
            f"{shown} is none of the allowed values",
        )
    if options.pattern is not None:
        yield Check(
            f"{column.name}_other_pattern",
            f"not regexp_full_match({name}, {literal(options.pattern)})",
            f"{shown} does not match {options.pattern}",
        )
    if options.min_length is not None:
        yield Check(
            f"{column.name}_too_short",
            f"length({name}) < {options.min_length}",
            f"{shown} is shorter than {options.min_length} characters",
        )
    if options.max_length is not None:
        yield Check(
            f"{column.name}_too_long",
            f"length({name}) > {options.max_length}",
            f"{shown} is longer than {options.max_length} characters",
        )
    lower = ((options.minimum, "<", "below"), (options.exclusive_minimum, "<=", "not above"))
    upper = ((options.maximum, ">", "above"), (options.exclusive_maximum, ">=", "not below"))
    for bounds, kind in ((lower, "too_small"), (upper, "too_large")):
        for bound, sign, words in bounds:
            if bound is not None:
                is_sign = (
                    kind == "too_small"
                    and bound == 0
                    and sign == "<"
                    and column.logical_type in ("integer", "number")
                )
                yield Check(
                    f"{column.name}_{'negative' if is_sign else kind}",
                    f"{name} {sign} {literal_of(bound, column)}",
                    f"{shown} is negative" if is_sign else f"{shown} is {words} {bound}",
                )
    if options.multiple_of is not None:
        yield Check(
            f"{column.name}_no_multiple",
            f"{name} % {options.multiple_of} <> 0",
            f"{shown} is no multiple of {options.multiple_of}",
        )


def _breaks(rule: Rule, table: Table) -> str | None:
    """The condition under which a row breaks a rule; None for a rule of the whole table."""
    if rule.query is not None:
        counted = _COUNT_OF_ROWS.fullmatch(rule.query)
        is_of_rows = (rule.operator, rule.value) == (Operator.MUST_BE, 0) and rule.severity is Severity.ERROR
        return f"({filled(counted[1], table, rule, '')})" if counted and is_of_rows else None
    if not rule.is_of_rows or rule.column is None:
        return None
    return bad_value(rule, table.column(rule.column))


def bad_value(rule: Rule, column: Column) -> str:
    """A condition for the values that the metric of a rule counts."""
    name = quote(column.name)
    if rule.metric is Metric.INVALID:
        conditions = []
        if rule.valid_values is not None:
            conditions.append(
                f"{name} not in ({', '.join(literal_of(value, column) for value in rule.valid_values)})"
            )
        if rule.pattern is not None:
            conditions.append(f"not regexp_full_match(cast({name} as varchar), {literal(rule.pattern)})")
        return f"({' or '.join(conditions)})"
    missing = [value for value in rule.missing_values if value is not None]
    also = (
        f" or cast({name} as varchar) in ({', '.join(literal(str(value)) for value in missing)})"
        if missing
        else ""
    )
    return f"({name} is null{also})"


def _source(column: Column) -> str:
    return f"{TYPED_FROM}.{quote(column.name)}"


def filled(sql: str, table: Table, rule: Rule, relation: str) -> str:
    """A query with what stands for table and column in it; source: ODCS, section "Data Quality", SQL rules."""
    column = table.column(rule.column) if rule.column else None
    # typed rows have the names of properties, tables those of their columns
    property_ = (column.header if relation else column.name) if column else ""
    names: Mapping[str, str] = {"object": relation, "property": quote(property_)}
    return re.sub(r"\$?\{(object|property)\}", lambda found: names[found[1]], sql)
