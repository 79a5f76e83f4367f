"""From a contract to SQL: rows as they landed, typed, each with the first rule that it breaks; and a query for rules of whole tables.

The SQL is DuckDB's, and set-based. Values are text as raw keeps them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from slipway.contracts.model import (
    EXTRA,
    Column,
    Contract,
    Evolution,
    FileSettings,
    Metric,
    Operator,
    QuarantineLimit,
    Rule,
    Severity,
    Table,
)
from slipway.contracts.nested_values import NESTED, nested_sql, nested_type
from slipway.contracts.products import plain_type
from slipway.contracts.released_rows import ReleasedRows, excused
from slipway.errors import ConfigError
from slipway.sql_text import literal, quote

LINEAGE: Mapping[str, str] = {
    "_source_file": "varchar",
    "_source_line": "bigint",
    "_file_sha256": "varchar",
    "_landed_at": "timestamptz",
    "_run_id": "varchar",
}
"""Columns that raw has besides those of the contract."""
RULE, REASON, KEY, ORIGINAL = "rule_id", "reason", "_row_key", "_original"
"""Columns that typed rows have besides: the first rule that is broken, in words, a key over the values as they landed, and these values."""
DISCARDED, UNKNOWN = "_discarded", "unknown_columns"
"""Column of typed rows for values that are not of their column's type, as JSON by rule; the rule of rows with values of unknown columns."""
RESERVED = frozenset((*LINEAGE, RULE, REASON, KEY, ORIGINAL, EXTRA, DISCARDED))
"""Names that no property of a feed can have."""

_BLANKS = r"[\s\x0b\x1c-\x1f\x{85}\p{Z}]+"
_INTEGERS = {
    "i8": "tinyint", "i16": "smallint", "i32": "integer", "i64": "bigint", "i128": "hugeint",
    "u8": "utinyint", "u16": "usmallint", "u32": "uinteger", "u64": "ubigint", "u128": "uhugeint",
}  # fmt: skip
_FLOATS = {"f32": "real", "f64": "double"}
_TEXTS = ("varchar", "csv", "")
_DATE = "[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}"
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?"
_OFFSET = "(Z|[+-][0-9]{2}(:?[0-9]{2})?)"
_FORMAT = {
    "yyyy": ("%Y", "[0-9]{4}"), "yy": ("%y", "[0-9]{2}"), "MMMM": ("%B", "[A-Za-z]+"), "MMM": ("%b", "[A-Za-z]{3}"),
    "MM": ("%m", "[0-9]{2}"), "M": ("%m", "[0-9]{1,2}"), "dd": ("%d", "[0-9]{2}"), "d": ("%d", "[0-9]{1,2}"),
    "HH": ("%H", "[0-9]{2}"), "H": ("%H", "[0-9]{1,2}"), "hh": ("%I", "[0-9]{2}"), "h": ("%I", "[0-9]{1,2}"),
    "mm": ("%M", "[0-9]{2}"), "ss": ("%S", "[0-9]{2}"), "SSSSSS": ("%f", "[0-9]{6}"), "SSS": ("%g", "[0-9]{3}"),
    "a": ("%p", "[AaPp][Mm]"), "XXX": ("%z", "(Z|[+-][0-9]{2}:[0-9]{2})"), "xx": ("%z", "[+-][0-9]{4}"),
}  # fmt: skip
"""Letters of Java's ``DateTimeFormatter`` to those of DuckDB's ``strptime``, and what they look like."""
_COUNT_OF_ROWS = re.compile(
    r"\s*select\s+count\s*\(\s*\*\s*\)\s+from\s+(?:\{object\}|\$\{object\})\s+where\s+(.+?);?\s*",
    re.IGNORECASE | re.DOTALL,
)


_TEXT, _NUMBER = "__slipway_text", "__slipway_rule"


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


def typed_sql(contract: Contract, relation: str, released: Sequence[ReleasedRows] = ()) -> str:
    """A query for the rows of a raw table, typed.

    Args:
        contract: of the feed.
        relation: the raw table in SQL.
        released: rows that are let through for a rule.

    Returns:
        A select statement. Its columns are the properties by their names, typed, the columns of ``LINEAGE``, ``rule_id`` and ``reason`` (NULL for a row
        that keeps all rules), ``_row_key`` (md5 over the values as they landed; rows that are equal in all of them have one) and ``_original``
        (a struct of these values). Where ``schemaContract`` discards columns there is ``_extra`` besides, values of columns that the contract does not
        name, and where it discards values ``_discarded``: those that are not of their column's type, by rule. Both are JSON, or NULL. A column
        that the raw table does not have is NULL.

    Raises:
        ConfigError: the contract does not say enough, or has a type that is not read from text.
    """
    table, files = contract.tables[0], _files(contract)
    settings = contract.settings.schema_contract
    checks: list[Check] = []
    discards: list[Check] = []
    for check in (_unless_released(check, released) for check in checks_of(contract)):
        (discards if _is_discarded(check, settings.data_type) else checks).append(check)
    frozen = settings.data_type is Evolution.FREEZE
    branches = [
        (check.breaks, _refusal(contract, check) if frozen and check.typed else str(number))
        for number, check in enumerate(checks, 1)
    ]
    texts, types, instants = [], [], []
    for column in table.columns:
        name = quote(column.name)
        texts.append(f"{name} := {_trimmed(column, files)}")
        types.append(f"{_typed(column, f'{_TEXT}.{name}', files, contract.origin)} as {name}")
        if _is_local(column):
            instant = f"timezone({literal(str(column.options.default_timezone))}, {name})"
            back = f"timezone({literal(str(column.options.default_timezone))}, {instant})"
            # a local time that the clock skips does not survive the way back
            instants += [
                f"case when {back} = {name} then {instant} end as {name}",
                f"{name} as {_local(column)}",
            ]
        else:
            instants.append(name)
    headers = [quote(column.header) for column in table.columns]
    extra = (EXTRA,) if _keeps_extra(contract) else ()
    carried = ", ".join((*LINEAGE, *extra, KEY, ORIGINAL))
    discarded = f",\n    {_discarded(discards)} as {DISCARDED}" if discards else ""
    key = " || ".join(f"coalesce(length({header}) || ':' || {header}, '~')" for header in headers)
    return f"""select
    {_listed(quote(column.name) for column in table.columns)},
    {_case([(str(number), literal(check.id)) for number, check in enumerate(checks, 1)], _NUMBER)} as {RULE},
    {_case([(str(number), literal(check.reason)) for number, check in enumerate(checks, 1)], _NUMBER)} as {REASON},
    {carried}{discarded}
from (
    select *, {_case(branches, "", "integer")} as {_NUMBER}
    from (
        select {_listed(instants)}, {carried}, {_TEXT}
        from (
            select {_listed(types)}, {carried}, {_TEXT}
            from (
                select
                    struct_pack({_listed(texts)}) as {_TEXT},
                    struct_pack({", ".join(f"{header} := {header}" for header in headers)}) as {ORIGINAL},
                    md5({key}) as {KEY},
                    {", ".join((*LINEAGE, *extra))}
                from {_landed(contract, relation)}
            )
        )
    )
)"""


def quarantined_sql(contract: Contract, relation: str, released: Sequence[ReleasedRows] = ()) -> str:
    """A query for the rows of a raw table that break a rule, with their values as they landed.

    Returns:
        A select statement with the columns of the contract, those of ``LINEAGE``, ``rule_id``, ``reason`` and ``_row_key``, and ``_extra`` where
        ``schemaContract`` discards columns.

    Raises:
        ConfigError: as ``typed_sql``.
    """
    lineage = ", ".join((*LINEAGE, EXTRA) if _keeps_extra(contract) else LINEAGE)
    return (
        f"select unnest({ORIGINAL}), {lineage}, {RULE}, {REASON}, {KEY}\n"
        f"from (\n{typed_sql(contract, relation, released)}\n)\nwhere {RULE} is not null"
    )


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


def _unless_released(check: Check, released: Sequence[ReleasedRows]) -> Check:
    """The check without the rows that are let through for its rule."""
    condition = excused(check.id, released)
    return replace(check, breaks=f"({check.breaks}) and not {condition}") if condition else check


def _keeps_extra(contract: Contract) -> bool:
    return contract.settings.schema_contract.columns in (Evolution.DISCARD_ROW, Evolution.DISCARD_VALUE)


def _is_discarded(check: Check, mode: Evolution) -> bool:
    """Whether a value of a wrong type is NULL and its row goes on; where a value has to be there it cannot be NULL."""
    column = check.typed
    if mode is not Evolution.DISCARD_VALUE or column is None:
        return False
    return not (column.required or column.primary_key)


def _discarded(checks: Sequence[Check]) -> str:
    """The values as they landed that break rules, as JSON by rule."""
    values = ", ".join(
        f"{literal(check.id)}, case when {check.breaks} then {ORIGINAL}[{literal(check.typed.header)}] end"
        for check in checks
        if check.typed
    )
    return without_nulls(values)


def without_nulls(pairs: str) -> str:
    """An expression for a JSON object as text, of names and values as ``json_object`` takes them, without those that are NULL; NULL if all are."""
    # a patch has no keys that are null (RFC 7396)
    return f"nullif(json_merge_patch('{{}}', json_object({pairs}))::varchar, '{{}}')"


def kept(column: str) -> str:
    """An expression for a value of a raw table's column, or what ``_extra`` has under its name (a JSON pointer, RFC 6901)."""
    pointer = "/" + column.replace("~", "~0").replace("/", "~1")
    return f"coalesce({quote(column)}, json_extract_string({EXTRA}, {literal(pointer)}))"


def _refusal(contract: Contract, check: Check) -> str:
    """An expression that ends the query, with file and line."""
    what = f"{contract.origin}: {check.reason} ({check.id}), and schemaContract has data_type: freeze: in "
    how = ". Have the producer send the file again, or set data_type: discard_row"
    return f"error({literal(what)} || _source_file || ', line ' || _source_line || {literal(how)})::integer"


def _landed(contract: Contract, relation: str) -> str:
    """A raw table in FROM with all columns of the contract: those that it does not have yet are NULL.

    What a column held before the contract named it is in ``_extra``, where it was kept.
    """
    columns, keeps = contract.tables[0].columns, _keeps_extra(contract)
    items = []
    for column in columns:
        name = quote(column.header)
        may_lack = keeps or column.settings.optional or column.settings.since
        items.append(f"{kept(column.header)} as {name}" if may_lack else name)
    nothing = ", ".join(f"null::varchar as {quote(column.header)}" for column in columns)
    return (
        f"(select {', '.join((*items, *LINEAGE, EXTRA))} from (select * from {relation} "
        f"union all by name select {nothing}, null::varchar as {EXTRA} where false))"
    )


def value_sql(column: Column, text: str, files: FileSettings) -> str:
    """An expression for a text as a value of a column; NULL where it is none.

    Args:
        column: of a contract.
        text: an expression, without blanks around it; NULL for no value.
        files: marks of numbers.
    """
    return _typed(column, text, files, column.name)


def type_sql(column: Column) -> str:
    """The engine's type of the values of a column, once they are typed."""
    return _type_of(column, column.name)


def text_sql(column: Column, files: FileSettings) -> str:
    """An expression for what a raw column holds as text: without blanks around it, NULL for what stands for no value."""
    return _trimmed(column, files)


def broken_rules_sql(table: Table, relation: str, severity: Severity, origin: str) -> str:
    """A query for the rules of a table that do not hold: those of ``quality``, ``unique``, ``required``, keys and ``enum``.

    Args:
        table: of a contract.
        relation: the table in SQL.
        severity: of the rules that are looked at.
        origin: name of the contract's file, for ``problem``.

    Returns:
        A select statement with one row for each broken rule: ``rule_id``, ``measured`` (the number that is compared; NULL if there is none),
        ``unit`` (``rows``, ``percent``, or empty for the result of a query), ``expected`` (operator and number), ``table_rows`` and ``problem``,
        all of it in a sentence.
    """
    found = [_measured(rule, table, relation) for rule in table.rules if rule.severity is severity]
    if severity is Severity.ERROR:
        found += list(_declared(table, relation))
    # without rules it is a query without rows that has the same columns
    parts = "\nunion all\n".join(found) or _row("", "0", "true", "", "rows", relation)
    problem = f"'Rule ' || rule_id || ' of ' || {literal(origin)} || ' is broken: ' || found || ', and the contract says ' || expected"
    return f"select rule_id, measured, unit, expected, table_rows, {problem} as problem from (\n{parts}\n)"


# ------------------------------------------------------------------------------------------------ rows


def _ordered(table: Table) -> Iterator[Check]:
    """First what is missing, then what is of another type, then what is out of bounds, then the rules of ``quality``."""
    for column in table.columns:
        if column.required or column.primary_key:
            yield Check(_id(column, "missing"), f"{_source(column)} is null", f"{column.header} is empty")
    for column in table.columns:
        if column.logical_type in (None, "string"):
            continue
        name, what = quote(column.name), _named_type(column)
        read = _local(column) if _is_local(column) else name
        yield Check(
            _id(column, f"not_{_kind(column)}"),
            f"{_source(column)} is not null and {read} is null",
            f"{column.header} is not {what}",
            column,
        )
        if _is_local(column):
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


def _is_local(column: Column) -> bool:
    """Whether a column is written by a clock whose zone the contract names, without an offset."""
    return bool(
        column.logical_type == "timestamp" and column.options.default_timezone and not column.options.timezone
    )


def _local(column: Column) -> str:
    return quote(f"__slipway_local_{column.name}")


def _case(branches: Sequence[tuple[str, str]], value: str, kind: str = "varchar") -> str:
    if not branches:
        return f"cast(null as {kind})"
    return "\n        ".join(
        [f"case {value}", *(f"when {when} then {then}" for when, then in branches), "end"]
    )


def _listed(parts: Iterable[str]) -> str:
    return ",\n        ".join(parts)


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
        return f"a whole number that fits {_type_of(column, '')}"
    if column.logical_type in NESTED:
        return f"JSON for the {column.logical_type} that the contract describes"
    return {"number": "a number", "boolean": "true or false"}.get(
        str(column.logical_type), f"of type {column.logical_type}"
    )


def _bounds(column: Column) -> Iterator[Check]:
    name, options = quote(column.name), column.options
    shown = column.header
    if column.enum is not None:
        allowed = ", ".join(_literal(value, column) for value in column.enum)
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
                    f"{name} {sign} {_literal(bound, column)}",
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
        return f"({_filled(counted[1], table, rule, '')})" if counted and is_of_rows else None
    if not rule.is_of_rows or rule.column is None:
        return None
    return _bad_value(rule, table.column(rule.column))


def _bad_value(rule: Rule, column: Column) -> str:
    name = quote(column.name)
    if rule.metric is Metric.INVALID:
        conditions = []
        if rule.valid_values is not None:
            conditions.append(
                f"{name} not in ({', '.join(_literal(value, column) for value in rule.valid_values)})"
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


# ------------------------------------------------------------------------------------------------ values


def _files(contract: Contract) -> FileSettings:
    return contract.landing.files if contract.landing else FileSettings()


def _trimmed(column: Column, files: FileSettings) -> str:
    text = quote(column.header)
    if column.settings.trim:
        text = f"regexp_replace({text}, {literal(f'^{_BLANKS}|{_BLANKS}$')}, '', 'g')"
    text = f"nullif({text}, '')"
    for spelling in dict.fromkeys((*files.null_values, *column.settings.null_values)):
        text = f"nullif({text}, {literal(spelling)})"
    return text


def _source(column: Column) -> str:
    return f"{_TEXT}.{quote(column.name)}"


def _type_of(column: Column, origin: str) -> str:
    """The engine's type of a column."""
    plain = plain_type(column.physical_type or "")
    if column.logical_type in NESTED:
        return nested_type(column, lambda one: _type_of(one, origin), origin)
    if column.logical_type in (None, "string"):
        return "varchar"
    if plain and plain not in _TEXTS:
        return plain
    if column.logical_type == "integer":
        return _INTEGERS[column.options.format or "i32"]
    if column.logical_type == "number":
        if column.options.format in _FLOATS:
            return _FLOATS[str(column.options.format)]
        raise ConfigError(
            f"{origin}: the number {column.name} cannot be typed",
            "the contract does not say how exact it is",
            "Write `physicalType: decimal(18, 4)`, or `logicalTypeOptions: {format: f64}`",
        )
    zoned = column.options.timezone or column.options.default_timezone
    return (
        "timestamp with time zone"
        if column.logical_type == "timestamp" and zoned
        else str(column.logical_type)
    )


def _typed(column: Column, text: str, files: FileSettings, origin: str) -> str:
    kind = column.logical_type
    if kind in NESTED:
        return nested_sql(column, text, lambda one, value: _typed(one, value, FileSettings(), origin), origin)
    target = _type_of(column, origin)
    if kind in (None, "string"):
        return text
    if kind in ("integer", "number"):
        return _number(column, text, files, target)
    if kind == "boolean":
        return (
            f"case when lower({text}) in ('true', 't', 'yes', 'y', '1') then true "
            f"when lower({text}) in ('false', 'f', 'no', 'n', '0') then false end"
        )
    if kind in ("date", "timestamp", "time"):
        return _moment(column, text, target, origin)
    raise ConfigError(
        f"{origin}: {column.name} of the logical type {kind} cannot be typed",
        "it is not read from text",
        "Leave its logicalType out, and read it in the model",
    )


def _number(column: Column, text: str, files: FileSettings, target: str) -> str:
    plain = text
    mark, groups = files.decimal_mark, files.thousands_mark
    if groups:
        grouped = f"[+-]?[0-9]{{1,3}}({_class(groups)}[0-9]{{3}})+({_class(mark)}[0-9]*)?"
        whole = f"[+-]?[0-9]*({_class(mark)}[0-9]*)?"
        plain = f"case when regexp_full_match({text}, {literal(f'{grouped}|{whole}')}) then replace({text}, {literal(groups)}, '') end"
    if mark != ".":
        plain = f"case when not contains({plain}, '.') then replace({plain}, {literal(mark)}, '.') end"
    if column.logical_type == "integer":
        return (
            f"case when regexp_full_match({plain}, '[+-]?[0-9]+([.]0*)?') "
            f"then try_cast(regexp_extract({plain}, '^[+-]?[0-9]+') as {target}) end"
        )
    if decimal := re.fullmatch(r"decimal\((\d+),(\d+)\)", target):
        scale = decimal[2]
        digits = (
            f"[+-]?([0-9]+([.][0-9]{{0,{scale}}}0*)?|[.][0-9]{{1,{scale}}}0*)"
            if scale != "0"
            else "[+-]?[0-9]+([.]0*)?"
        )
        return (
            f"case when regexp_full_match({plain}, {literal(digits)}) then try_cast({plain} as {target}) end"
        )
    floating = "[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?"
    value = f"try_cast({plain} as {target})"
    return f"case when regexp_full_match({plain}, {literal(floating)}) and isfinite({value}) then {value} end"


def _moment(column: Column, text: str, target: str, origin: str) -> str:
    kind, zoned = column.logical_type, column.options.timezone
    if column.options.format:
        pattern, looks = _strptime(column, origin)
        read = f"try_strptime({text}, {literal(pattern)})"
        cast = read if kind == "timestamp" else f"cast({read} as {target})"
        return f"case when regexp_full_match({text}, {literal(looks)}) then {cast} end"
    if kind == "date":
        return f"case when regexp_full_match({text}, {literal(_DATE)}) then try_cast({text} as date) end"
    if kind == "time":
        return f"case when regexp_full_match({text}, {literal(_CLOCK)}) then try_cast({text} as time) end"
    looks = f"{_DATE}[ T]{_CLOCK}{_OFFSET if zoned else ''}"
    read = "timestamp with time zone" if zoned else "timestamp"
    return f"case when regexp_full_match({text}, {literal(looks)}) then try_cast(replace({text}, 'T', ' ') as {read}) end"


def _strptime(column: Column, origin: str) -> tuple[str, str]:
    """The form of a date or time for ``strptime``, and as a regular expression.

    Source: documentation of Java's DateTimeFormatter, section "Patterns for Formatting and Parsing".
    """
    pattern, looks = "", ""
    for found in re.finditer(
        r"(?P<letters>([A-Za-z])\2*)|'(?P<quoted>[^']*)'|(?P<other>.)", str(column.options.format)
    ):
        if letters := found["letters"]:
            if letters not in _FORMAT:
                raise ConfigError(
                    f"{origin}: {column.name} has the format {column.options.format}",
                    f"`{letters}` in it is not known",
                    f"Known are {', '.join(_FORMAT)}",
                )
            pattern, looks = pattern + _FORMAT[letters][0], looks + _FORMAT[letters][1]
        else:
            sign = found["quoted"] or found["other"] or "'"
            pattern, looks = pattern + sign.replace("%", "%%"), looks + re.escape(sign)
    return pattern, looks


# ------------------------------------------------------------------------------------------------ tables


def _measured(rule: Rule, table: Table, relation: str) -> str:
    total = f"(select count(*) from {relation})"
    unit: str = rule.unit
    if rule.query is not None:
        value = f"({_filled(rule.query.rstrip().rstrip(';'), table, rule, relation)})"
        unit = unit if unit == "percent" else ""
    elif rule.metric is Metric.ROWS:
        value, unit = total, "rows"
    elif rule.metric is Metric.DUPLICATES:
        names = [rule.column] if rule.column else list(rule.columns)
        value = _duplicates([table.column(str(name)) for name in names], relation)
    else:
        value = f"(select count(*) from {relation} where {_bad_value(rule, table.column(str(rule.column)))})"
    bounds = rule.value if isinstance(rule.value, tuple) else (rule.value,)
    expected = f"{rule.operator} {' and '.join(f'{bound:,}' for bound in bounds)}{' percent' if unit == 'percent' else ''}"
    counts = "query" if rule.query is not None else "table" if rule.metric is Metric.ROWS else "rows"
    return _row(rule.id, value, _holds(rule), expected, unit, relation, counts=counts)


def _declared(table: Table, relation: str) -> Iterator[str]:
    def row(rule_id: str, bad: str, declared: str) -> str:
        return _row(rule_id, bad, "measured = 0", declared, "rows", relation)

    for column in table.columns:
        if column.required:
            bad = f"(select count(*) from {relation} where {quote(column.header)} is null)"
            yield row(f"{column.name}_missing", bad, "required: true")
        if column.unique:
            yield row(f"{column.name}_not_unique", _duplicates([column], relation), "unique: true")
        if column.enum is not None:
            allowed = ", ".join(_literal(value, column) for value in column.enum)
            bad = f"(select count(*) from {relation} where {quote(column.header)} not in ({allowed}))"
            yield row(f"{column.name}_not_allowed", bad, "enum")
    if table.key:
        repeated = _duplicates([table.column(name) for name in table.key], relation)
        yield row("primary_key_not_unique", repeated, f"primaryKey {', '.join(table.key)}")


def _duplicates(columns: Sequence[Column], relation: str) -> str:
    """Rows that repeat another one in some columns; rows without a value in one of them repeat none."""
    names = [quote(column.header) for column in columns]
    given = " and ".join(f"{name} is not null" for name in names)
    return f"(select coalesce(sum(n - 1), 0) from (select count(*) as n from {relation} where {given} group by {', '.join(names)}))"


def _row(
    rule_id: str, value: str, holds: str, expected: str, unit: str, relation: str, *, counts: str = "rows"
) -> str:
    """One row for a rule that does not hold.

    Args:
        rule_id: of the rule.
        value: SQL for the number that is counted.
        holds: a condition over ``measured``.
        expected: operator and number in words.
        unit: ``rows``, ``percent`` or nothing.
        relation: the table.
        counts: what the number is, for the sentence: ``rows`` that break the rule, ``table`` for all rows, or ``query``.
    """
    number, total = _shown("counted"), _shown("table_rows")
    rows = f"{number} || ' of ' || {total} || ' rows'"
    found = {
        "rows": rows,
        "table": f"'the table has ' || {number} || ' rows'",
        "query": f"'its query returns ' || {number}",
    }[counts]
    if unit == "percent":
        share = f"{_shown('measured')} || ' percent (' || {rows} || ')'"
        found = f"case when table_rows = 0 then 'the table has no rows' else {share} end"
    measured = "100.0 * counted / nullif(table_rows, 0)" if unit == "percent" else "counted"
    return (
        f"select {literal(rule_id)} as rule_id, measured, {literal(unit)} as unit, {literal(expected)} as expected, table_rows, {found} as found "
        f"from (select *, {measured} as measured from (select cast({value} as double) as counted, "
        f"(select count(*) from {relation}) as table_rows)) where ({holds}) is not true"
    )


def _shown(number: str) -> str:
    """An expression for a number as text: whole numbers with separators, others with six digits."""
    whole = f"format('{{:,}}', {number}::bigint)"
    return f"case when {number} is null then 'no number' when {number} = trunc({number}) and abs({number}) < 1e15 then {whole} else format('{{:.6g}}', {number}::double) end"


def _holds(rule: Rule) -> str:
    low, high = rule.value if isinstance(rule.value, tuple) else (rule.value, rule.value)
    return {
        Operator.MUST_BE: f"measured = {low}",
        Operator.MUST_NOT_BE: f"measured <> {low}",
        Operator.GREATER: f"measured > {low}",
        Operator.AT_LEAST: f"measured >= {low}",
        Operator.LESS: f"measured < {low}",
        Operator.AT_MOST: f"measured <= {low}",
        Operator.BETWEEN: f"measured between {low} and {high}",
        Operator.NOT_BETWEEN: f"measured not between {low} and {high}",
    }[rule.operator]


def _filled(sql: str, table: Table, rule: Rule, relation: str) -> str:
    """A query with what stands for table and column in it; source: ODCS, section "Data Quality", SQL rules."""
    column = table.column(rule.column) if rule.column else None
    # typed rows have the names of properties, tables those of their columns
    property_ = (column.header if relation else column.name) if column else ""
    names: Mapping[str, str] = {"object": relation, "property": quote(property_)}
    return re.sub(r"\$?\{(object|property)\}", lambda found: names[found[1]], sql)


def _class(sign: str) -> str:
    return f"[{re.escape(sign)}]"


def _literal(value: Any, column: Column) -> str:  # noqa: ANN401 - of the column's type
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    kind = {
        "date": "date ",
        "time": "time ",
        "timestamp": "timestamptz "
        if column.options.timezone or column.options.default_timezone
        else "timestamp ",
    }
    return f"{kind.get(str(column.logical_type), '')}{literal(str(value))}"
