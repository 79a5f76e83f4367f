"""``delete+insert``: rows whose key occurs in the query go, and all rows of the query come."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyiceberg import types as ice
from pyiceberg.schema import Schema
from pyiceberg.table import Table

from slipway.engines.duckdb import unique_keys
from slipway.engines.duckdb.carry import Part
from slipway.engines.duckdb.merge_clauses import DEST, SOURCE
from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.rewrite import FILE, Rewrite, Scratch, files_relation, named
from slipway.errors import ConfigError
from slipway.iceberg.schema import find_column
from slipway.iceberg.types import quote


def by_delete_insert(
    scratch: Scratch,
    table: Table,
    schema: Schema,
    select: str,
    request: WriteRequest,
    part: Part | None = None,
) -> Rewrite:
    """Plan the deletion of the rows that the query brings anew.

    The key may have columns and SQL expressions; predicates spare rows of the table. For the arguments see ``merge.Merge``.

    Raises:
        ConfigError: no key.
        ContractError: the source has NULL keys.
        NotCarriedError: rows are gone from the query's result that the table has.
    """
    if not request.unique_key:
        raise ConfigError(
            f"{request.model}: delete+insert needs unique_key", "none is set", "Set it or use append"
        )
    cursor, source = scratch.cursor, scratch.table(f"as {select}")
    fields = [find_column(schema, entry) for entry in request.unique_key]
    ours = [
        quote(field.name) if field else f"({entry})"
        for field, entry in zip(fields, request.unique_key, strict=True)
    ]
    rows = unique_keys.check_keys(cursor, source, ours, distinct=False, model=request.model)
    if part:
        part.check_keys(scratch, source, ours)
    columns: list[ice.NestedField] = [field for field in fields if field]
    candidates = (
        unique_keys.candidates(cursor, table, schema, source, columns, request.predicates) if rows else []
    )
    if not candidates:
        return Rewrite([], f"from {source}")
    added = ", ".join(f"{key} as __slipway_key_{at}" for at, key in enumerate(ours))
    other, condition = match(source, len(ours), added, request.predicates)
    scan = files_relation(candidates, schema, filename=True)
    hits = cursor.execute(
        f"select distinct {DEST}.{FILE} from (select *, {added} from {scan}) as {DEST} semi join {other} on {condition}"
    ).fetchall()
    removed = named(candidates, {row[0] for row in hits})
    if not removed:
        return Rewrite([], f"from {source}")
    columns_of_table = ", ".join(f"{DEST}.{quote(field.name)}" for field in schema.fields)
    rows_of_table = f"(select *, {added} from {files_relation(removed, schema)}) as {DEST}"
    if part:
        matched = f"select {columns_of_table} from {rows_of_table} semi join {other} on {condition}"
        part.check_matched(scratch, matched, ours)
    kept = f"select {columns_of_table} from {rows_of_table} anti join {other} on {condition}"
    return Rewrite(removed, f"({kept}) union all by name (from {source})")


def match(source: str, keys: int, added: str, predicates: Sequence[str]) -> tuple[str, str]:
    """What the table is joined with, and on what; unqualified names of predicates are the table's."""
    predicates = [
        re.sub(r"\bDBT_INCREMENTAL_TARGET\b", DEST, text, flags=re.IGNORECASE) for text in predicates
    ]
    names_source = any(SOURCE.lower() in predicate.lower() for predicate in predicates)
    other = (
        f"(select *, {added} from {source})" if names_source else f"(select distinct {added} from {source})"
    )
    parts = [f"{DEST}.__slipway_key_{at} = {SOURCE}.__slipway_key_{at}" for at in range(keys)]
    return f"{other} as {SOURCE}", " and ".join(f"({part})" for part in (*parts, *predicates))
