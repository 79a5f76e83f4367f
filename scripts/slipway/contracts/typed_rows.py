"""From a contract to SQL: the rows of a raw table, typed, each with the first rule that it breaks.

The SQL is DuckDB's, and set-based. Values are text as raw keeps them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from slipway.contracts.model import (
    EXTRA,
    Contract,
    Evolution,
    FileSettings,
)
from slipway.contracts.released_rows import ReleasedRows, excused
from slipway.contracts.row_checks import TYPED_FROM, Check, checks_of, local_sql
from slipway.contracts.typed_values import is_local, text_sql, value_sql
from slipway.sql_text import literal, quote

LINEAGE: Mapping[str, str] = {
    "_source_file": "varchar",
    "_source_line": "bigint",
    "_file_sha256": "varchar",
    "_landed_at": "timestamptz",
    "_run_id": "varchar",
}
"""Columns that Slipway adds to those of the contract in raw."""
RULE, REASON, KEY, ORIGINAL = "rule_id", "reason", "_row_key", "_original"
"""Columns that are added to typed rows: the first rule that is broken, in words, a key over the values as they landed, and these values."""
DISCARDED = "_discarded"
"""Column of typed rows for values that are not of their column's type, as JSON by rule."""
RESERVED = frozenset((*LINEAGE, RULE, REASON, KEY, ORIGINAL, EXTRA, DISCARDED))
"""Names that no property of a feed can have."""


def typed_sql(contract: Contract, relation: str, released: Sequence[ReleasedRows] = ()) -> str:
    """A query for the rows of a raw table, typed.

    Args:
        contract: of the feed.
        relation: the raw table in SQL.
        released: rows that are let through for a rule.

    Returns:
        A select statement. Its columns are the properties by their names, typed, the columns of ``LINEAGE``, ``rule_id`` and ``reason`` (NULL for a row
        that keeps all rules), ``_row_key`` (md5 over the values as they landed; rows that are equal in all of them have one) and ``_original``
        (a struct of these values). Where ``schemaContract`` discards columns there is also ``_extra``, values of columns that the contract does not
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
    # The rule stands once, as text: DuckDB moves a condition on it into the scan, and would compute a number with all typed values that it
    # rests on once for each branch of a CASE that turns numbers into texts.
    branches = [
        (check.breaks, _refusal(contract, check) if frozen and check.typed else literal(check.id))
        for check in checks
    ]
    texts, types, instants = [], [], []
    for column in table.columns:
        name = quote(column.name)
        texts.append(f"{name} := {text_sql(column, files)}")
        types.append(f"{value_sql(column, f'{TYPED_FROM}.{name}', files, contract.origin)} as {name}")
        if is_local(column):
            instant = f"timezone({literal(str(column.options.default_timezone))}, {name})"
            back = f"timezone({literal(str(column.options.default_timezone))}, {instant})"
            # a local time that the clock skips does not survive the way back
            instants += [
                f"case when {back} = {name} then {instant} end as {name}",
                f"{name} as {local_sql(column)}",
            ]
        else:
            instants.append(name)
    headers = [quote(column.header) for column in table.columns]
    extra = (EXTRA,) if _keeps_extra(contract) else ()
    carried = ", ".join((*LINEAGE, *extra, ORIGINAL))
    discarded = f",\n    {_discarded(discards)} as {DISCARDED}" if discards else ""
    landed = [f"{ORIGINAL}.{header}" for header in headers]
    parts = " || ".join(f"coalesce(length({value}) || ':' || {value}, '~')" for value in landed)
    key = f"md5({parts}) as {KEY}"  # where rules do not need it, only of rows that are asked for
    return f"""select
    {_listed(quote(column.name) for column in table.columns)},
    {RULE},
    {_case([(literal(check.id), literal(check.reason)) for check in checks], RULE)} as {REASON},
    {", ".join((*LINEAGE, *extra))}, {KEY if released else key}, {ORIGINAL}{discarded}
from (
    select *, {_case(branches)} as {RULE}
    from (
        select {_listed(instants)}, {carried}, {TYPED_FROM}{f", {key}" if released else ""}
        from (
            select {_listed(types)}, {carried}, {TYPED_FROM}
            from (
                select
                    struct_pack({_listed(texts)}) as {TYPED_FROM},
                    struct_pack({", ".join(f"{header} := {header}" for header in headers)}) as {ORIGINAL},
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
    headers = map(quote, (column.header for column in contract.tables[0].columns))
    original = ", ".join(f"{ORIGINAL}.{header} as {header}" for header in headers)
    return (
        f"select {original}, {lineage}, {RULE}, {REASON}, {KEY}\n"
        f"from (\n{typed_sql(contract, relation, released)}\n)\nwhere {RULE} is not null"
    )


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
    return f"error({literal(what)} || _source_file || ', line ' || _source_line || {literal(how)})::varchar"


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


def _case(branches: Sequence[tuple[str, str]], value: str = "") -> str:
    if not branches:
        return "cast(null as varchar)"
    return "\n        ".join(
        [f"case {value}", *(f"when {when} then {then}" for when, then in branches), "end"]
    )


def _listed(parts: Iterable[str]) -> str:
    return ",\n        ".join(parts)


def _files(contract: Contract) -> FileSettings:
    return contract.landing.files if contract.landing else FileSettings()
