"""Keys of an incremental write: what they are checked for, and which data files may hold them."""

from __future__ import annotations

import datetime as dt
import re
import struct
from collections.abc import Sequence
from typing import Any

import duckdb
from pyiceberg import expressions as ice_filter
from pyiceberg import types as ice
from pyiceberg.conversions import from_bytes
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table

from slipway.counts import plural
from slipway.engines.duckdb.merge_clauses import DEST
from slipway.engines.duckdb.scan import readable_files
from slipway.errors import ConfigError, ContractError
from slipway.iceberg.schema import find_column
from slipway.sql_text import quote

_FEW = 500  # up to so many distinct key values manifests are pruned by value, above by range
_TIMED = (ice.TimestampType, ice.TimestamptzType)
_RANGED = (ice.IntegerType, ice.LongType, ice.StringType, ice.DateType, *_TIMED)
_COMPARISON = re.compile(
    rf'^\s*(?:{DEST}\.)?("?)(\w+)\1\s*(>=|<=|=|>|<)\s*(?:(-?\d+)|(?:date\s*)?\'(\d{{4}}-\d\d-\d\d)\')\s*$',
    re.IGNORECASE,
)
_OPERATORS: dict[str, Any] = {
    "=": ice_filter.EqualTo,
    ">": ice_filter.GreaterThan,
    ">=": ice_filter.GreaterThanOrEqual,
    "<": ice_filter.LessThan,
    "<=": ice_filter.LessThanOrEqual,
}


def is_list(schema: Schema, text: str) -> bool:
    """Whether a text names several columns, which is a list in configuration."""
    return "," in text and all(find_column(schema, part) for part in text.split(","))


def key_columns(schema: Schema, names: Sequence[str], what: str, model: str) -> list[ice.NestedField]:
    """The fields of a key.

    Raises:
        ConfigError: one of the names is no column.
    """
    found = []
    for name in names:
        field = find_column(schema, name)
        if field is None:
            have = ", ".join(known.name for known in schema.fields)
            fix = (
                f"Write a list, {[part.strip() for part in name.split(',')]}"
                if is_list(schema, name)
                else f"Use columns of {have}"
            )
            raise ConfigError(f"{model}: {what} names {name}", "no such column", fix)
        found.append(field)
    return found


def check_keys(
    cursor: duckdb.DuckDBPyConnection, source: str, keys: Sequence[str], *, distinct: bool, model: str
) -> int:
    """Refuse keys (SQL of columns or expressions) that no row could be found by again, and count the rows.

    Raises:
        ContractError: NULL in a key, or a key twice where that is refused.
    """
    wanted = ", ".join(keys)
    nulls = " or ".join(f"{key} is null" for key in keys)
    twice = f"count(*) - count(distinct ({wanted}))" if distinct else "0"
    (row,) = cursor.execute(
        f"select count(*), count(*) filter (where {nulls}), {twice} from {source}"
    ).fetchall()
    if row[1]:
        raise ContractError(
            f"{model}: {plural(row[1], 'row', 'have', 'has')} NULL in unique_key ({wanted})",
            fix="Filter or fill them",
        )
    if row[2]:
        example = cursor.execute(
            f"select {wanted} from {source} group by all having count(*) > 1 order by all limit 1"
        ).fetchone()
        raise ContractError(
            f"{model}: unique_key ({wanted}) occurs more than once for {plural(row[2], 'row')} of the query",
            f"for example {example}",
            "Deduplicate in the model",
        )
    return int(row[0])


def prune(
    cursor: duckdb.DuckDBPyConnection, source: str, keys: Sequence[ice.NestedField]
) -> BooleanExpression:
    """A filter that keeps every file which may hold a key of the source."""
    filters: list[BooleanExpression] = []
    for field in keys:
        if not isinstance(field.field_type, _RANGED):
            continue
        column = quote(field.name)
        if isinstance(field.field_type, _TIMED):
            filters += _between_times(cursor, source, field)
            continue
        if isinstance(field.field_type, ice.DateType):
            finite = cursor.execute(f"select bool_and(isfinite({column})) from {source}").fetchone()
            if finite != (True,):
                continue  # Python would take infinity for the last day of its calendar
        values = [
            row[0]
            for row in cursor.execute(f"select distinct {column} from {source} limit {_FEW + 1}").fetchall()
        ]
        if not values or not all(isinstance(value, int | str | dt.date) for value in values):
            continue  # a date before Christ comes as text of its own
        if len(values) <= _FEW:
            filters.append(ice_filter.In(field.name, [_literal(value) for value in values]))  # type: ignore[misc,call-arg]
            continue
        ((low, high),) = cursor.execute(f"select min({column}), max({column}) from {source}").fetchall()
        filters.append(ice_filter.GreaterThanOrEqual(field.name, _literal(low)))  # type: ignore[misc,call-arg]
        filters.append(ice_filter.LessThanOrEqual(field.name, _literal(high)))  # type: ignore[misc,call-arg]
    return And(AlwaysTrue(), AlwaysTrue(), *filters)


def _between_times(
    cursor: duckdb.DuckDBPyConnection, source: str, field: ice.NestedField
) -> list[BooleanExpression]:
    zoned = isinstance(field.field_type, ice.TimestamptzType)
    column, suffix = quote(field.name), "+00:00" if zoned else ""
    moment = f"({column} at time zone 'UTC')" if zoned else column
    ends = ", ".join(f"strftime({end}({moment}), '%Y-%m-%dT%H:%M:%S.%f')" for end in ("min", "max"))
    row = cursor.execute(f"select {ends}, bool_and(isfinite({column})) from {source}").fetchone()
    if row is None or not row[2] or not all(re.match(r"\d{4}-", text) for text in row[:2]):
        return []
    return [
        ice_filter.GreaterThanOrEqual(field.name, row[0] + suffix),  # type: ignore[misc,call-arg]
        ice_filter.LessThanOrEqual(field.name, row[1] + suffix),  # type: ignore[misc,call-arg]
    ]


def prune_by_predicates(predicates: Sequence[str], schema: Schema) -> BooleanExpression:
    """A filter that keeps every file with a row of the table that the predicates hold for.

    Only comparisons of one column of the table with a whole number or a date are understood.
    """
    filters: list[BooleanExpression] = []
    for predicate in predicates:
        match = _COMPARISON.match(predicate)
        field = find_column(schema, match[2]) if match else None
        if match is None or field is None or DEST.lower() not in predicate.lower():
            continue
        number, date = match[4], match[5]
        if number is not None and isinstance(field.field_type, ice.IntegerType | ice.LongType):
            filters.append(_OPERATORS[match[3]](field.name, int(number)))
        elif date is not None and isinstance(field.field_type, ice.DateType):
            filters.append(_OPERATORS[match[3]](field.name, date))
    return And(AlwaysTrue(), AlwaysTrue(), *filters)


def candidates(
    cursor: duckdb.DuckDBPyConnection,
    table: Table,
    schema: Schema,
    source: str,
    keys: Sequence[ice.NestedField],
    predicates: Sequence[str],
) -> list[DataFile]:
    """Files of a table that may hold a row with a key of the source."""
    filters = And(prune(cursor, source, keys), prune_by_predicates(predicates, schema))
    return may_hold(cursor, readable_files(cursor, table, filters), source, keys)


def may_hold(
    cursor: duckdb.DuckDBPyConnection, files: Sequence[DataFile], source: str, keys: Sequence[ice.NestedField]
) -> list[DataFile]:
    """The files between whose bounds there is a key of the source, for each column of the key."""
    kept = list(files)
    for field in keys:
        if not isinstance(field.field_type, _RANGED) or len(kept) < 2:
            continue
        bounds = [(at, *bounds_of(file, field)) for at, file in enumerate(kept)]
        bounded = [row for row in bounds if row[1] is not None and row[2] is not None]
        if not bounded:
            continue
        kind = "varchar" if isinstance(field.field_type, ice.StringType) else "bigint"
        low, high = f"unnest($low)::{kind}", f"unnest($high)::{kind}"
        if isinstance(field.field_type, ice.DateType):
            low, high = (f"date '1970-01-01' + ({days})::integer" for days in (low, high))
        elif isinstance(field.field_type, _TIMED):
            zone = " at time zone 'UTC'" if isinstance(field.field_type, ice.TimestamptzType) else ""
            low, high = (f"make_timestamp({micros}){zone}" for micros in (low, high))
        found = cursor.execute(
            f"select b.at from (select unnest($at) as at, {low} as low, {high} as high) as b asof join "
            f"(select {quote(field.name)} as k from {source}) as s on b.low <= s.k where s.k <= b.high",
            {
                "at": [row[0] for row in bounded],
                "low": [row[1] for row in bounded],
                "high": [row[2] for row in bounded],
            },
        ).fetchall()
        wanted = {row[0] for row in found} | ({row[0] for row in bounds} - {row[0] for row in bounded})
        kept = [file for at, file in enumerate(kept) if at in wanted]
    return kept


def bounds_of(file: DataFile, field: ice.NestedField) -> tuple[Any, Any]:
    """The least and the greatest value of a column of a file, as Iceberg keeps them; None where they are not known."""
    kind = field.field_type
    low = (file.lower_bounds or {}).get(field.field_id)
    high = (file.upper_bounds or {}).get(field.field_id)
    if low is None or high is None or not isinstance(kind, ice.PrimitiveType):
        return None, None
    if isinstance(kind, ice.LongType) and len(low) == len(high) == 4:
        kind = ice.IntegerType()  # written before the column was widened
    try:
        return from_bytes(kind, low), from_bytes(kind, high)
    except (ValueError, struct.error):
        return None, None


def _literal(value: int | str | dt.date) -> int | str:
    return value.isoformat() if isinstance(value, dt.date) else value
