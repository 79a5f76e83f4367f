"""A query for the rules of a contract that a table as a whole does not keep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slipway.contracts.model import (
    Column,
    Metric,
    Operator,
    Rule,
    Severity,
    Table,
)
from slipway.contracts.row_checks import bad_value, filled
from slipway.contracts.typed_values import literal_of
from slipway.sql_text import literal, quote

MEASURED = "__slipway_measured"
"""The CTE with the only row of what is counted."""
_BEGIN = f"with {MEASURED} as materialized (\n"
_END = "\n)\n-- measured above, judged below\n"


@dataclass(frozen=True)
class _Rule:
    """A rule, the SQL of the number that is counted for it, and how it is judged.

    Args:
        rule_id: of the rule.
        value: SQL for the number.
        holds: a condition over ``measured``.
        expected: operator and number in words.
        unit: ``rows``, ``percent`` or nothing.
        counts: what the number is, for the sentence: ``rows`` that break the rule, ``table`` for all rows, or ``query``.
    """

    rule_id: str
    value: str
    holds: str
    expected: str
    unit: str
    counts: str = "rows"


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
        all of it in a sentence. What it reads of the table is in one part of it, see ``measuring``.
    """
    found = [_measured(rule, table, relation) for rule in table.rules if rule.severity is severity]
    if severity is Severity.ERROR:
        found += list(_declared(table, relation))
    # without rules it is a query without rows that has the same columns
    rules = found or [_Rule("", "0", "true", "", "rows")]
    counted = [f"{rule.value} as {_column(at)}" for at, rule in enumerate(rules)]
    measured = ",\n".join([*counted, f"(select count(*) from {relation}) as table_rows"])
    parts = "\nunion all\n".join(_row(rule, _column(at)) for at, rule in enumerate(rules))
    problem = f"'Rule ' || rule_id || ' of ' || {literal(origin)} || ' is broken: ' || found || ', and the contract says ' || expected"
    judged = f"select rule_id, measured, unit, expected, table_rows, {problem} as problem from (\n{parts}\n)"
    return f"{_BEGIN}select {measured}{_END}{judged}"


def measuring(sql: str) -> str:
    """The part of a query of ``broken_rules_sql`` that reads the table: a select statement with one row; empty for another query."""
    begins, _, rest = sql.strip().partition(_BEGIN)
    measured, end, _ = rest.partition(_END)
    return measured if end and not begins else ""


def judging(sql: str, measured: str) -> str:
    """A query of ``broken_rules_sql`` with another select statement for what is counted.

    Args:
        sql: the query.
        measured: has the same columns as ``measuring`` of it.
    """
    return f"{_BEGIN}{measured}{_END}{sql.partition(_END)[2]}"


def _column(at: int) -> str:
    return f"measured_{at}"


def _measured(rule: Rule, table: Table, relation: str) -> _Rule:
    total = f"(select count(*) from {relation})"
    unit: str = rule.unit
    if rule.query is not None:
        value = f"({filled(rule.query.rstrip().rstrip(';'), table, rule, relation)})"
        unit = unit if unit == "percent" else ""
    elif rule.metric is Metric.ROWS:
        value, unit = total, "rows"
    elif rule.metric is Metric.DUPLICATES:
        names = [rule.column] if rule.column else list(rule.columns)
        value = _duplicates([table.column(str(name)) for name in names], relation)
    else:
        value = f"(select count(*) from {relation} where {bad_value(rule, table.column(str(rule.column)))})"
    bounds = rule.value if isinstance(rule.value, tuple) else (rule.value,)
    expected = f"{rule.operator} {' and '.join(f'{bound:,}' for bound in bounds)}{' percent' if unit == 'percent' else ''}"
    counts = "query" if rule.query is not None else "table" if rule.metric is Metric.ROWS else "rows"
    return _Rule(rule.id, value, _holds(rule), expected, unit, counts)


def _declared(table: Table, relation: str) -> Iterator[_Rule]:
    def row(rule_id: str, bad: str, declared: str) -> _Rule:
        return _Rule(rule_id, bad, "measured = 0", declared, "rows")

    for column in table.columns:
        if column.required:
            bad = f"(select count(*) from {relation} where {quote(column.header)} is null)"
            yield row(f"{column.name}_missing", bad, "required: true")
        if column.unique:
            yield row(f"{column.name}_not_unique", _duplicates([column], relation), "unique: true")
        if column.enum is not None:
            allowed = ", ".join(literal_of(value, column) for value in column.enum)
            bad = f"(select count(*) from {relation} where {quote(column.header)} not in ({allowed}))"
            yield row(f"{column.name}_not_allowed", bad, "enum")
    if table.key:
        repeated = _duplicates([table.column(name) for name in table.key], relation)
        yield row("primary_key_not_unique", repeated, f"primaryKey {', '.join(table.key)}")


def _duplicates(columns: Sequence[Column], relation: str) -> str:
    """Rows that repeat another one in some columns; rows without a value in one of them repeat none."""
    names = [quote(column.header) for column in columns]
    given = " and ".join(f"{name} is not null" for name in names)
    return f"(select coalesce(sum(n - 1), 0) as repeated from (select count(*) as n from {relation} where {given} group by {', '.join(names)}))"


def _row(rule: _Rule, column: str) -> str:
    """One row for a rule that does not hold, by the column with its number."""
    number, total = _shown("counted"), _shown("table_rows")
    rows = f"{number} || ' of ' || {total} || ' rows'"
    found = {
        "rows": rows,
        "table": f"'the table has ' || {number} || ' rows'",
        "query": f"'its query returns ' || {number}",
    }[rule.counts]
    if rule.unit == "percent":
        share = f"{_shown('measured')} || ' percent (' || {rows} || ')'"
        found = f"case when table_rows = 0 then 'the table has no rows' else {share} end"
    measured = "100.0 * counted / nullif(table_rows, 0)" if rule.unit == "percent" else "counted"
    return (
        f"select {literal(rule.rule_id)} as rule_id, measured, {literal(rule.unit)} as unit, {literal(rule.expected)} as expected, table_rows, "
        f"{found} as found from (select *, {measured} as measured from (select cast({column} as double) as counted, table_rows "
        f"from {MEASURED})) where ({rule.holds}) is not true"
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
