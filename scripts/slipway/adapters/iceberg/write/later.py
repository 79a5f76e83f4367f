"""What later runs need of the configuration, looked at when a table is built for the first time, before a row is read."""

from __future__ import annotations

from dataclasses import replace

import duckdb
from pyiceberg.schema import Schema

from slipway.adapters.iceberg.types import quote
from slipway.adapters.iceberg.write import keys as matching
from slipway.adapters.iceberg.write.delete_insert import match
from slipway.adapters.iceberg.write.merge_clauses import DEST, SOURCE, listed
from slipway.adapters.iceberg.write.request import WriteRequest
from slipway.adapters.iceberg.write.rewrite import explained
from slipway.domain.errors import ConfigError


def check_later(
    cursor: duckdb.DuckDBPyConnection, request: WriteRequest, target: Schema, select: str
) -> None:
    """Refuse keys and predicates of ``merge`` and ``delete+insert`` that a table of this schema does not have.

    Args:
        cursor: the connection that the query runs on.
        request: the model's configuration.
        target: the schema of the table.
        select: the query, in the columns and types of the table; it is bound and not run.

    Raises:
        ConfigError: a key or a predicate cannot be used.
    """
    if request.later not in ("merge", "delete+insert"):
        return
    using = listed(request.merge.get("merge_on_using_columns"))
    what, chosen = ("merge_on_using_columns", using) if using else ("unique_key", request.unique_key)
    if not chosen:
        raise ConfigError(
            f"{request.model}: {request.later} needs unique_key", "none is set", "set it or use append"
        )
    if request.later == "merge":
        keys = [quote(field.name) for field in matching.key_columns(target, chosen, what, request.model)]
    else:
        fields = [(entry, matching.key_column(target, entry)) for entry in chosen]
        for entry, field in fields:
            if field is None and matching.is_list(target, entry):
                matching.key_columns(target, [entry], what, request.model)
        keys = [quote(field.name) if field else f"({entry})" for entry, field in fields]
    added = ", ".join(f"{key} as __slipway_key_{at}" for at, key in enumerate(keys))
    rows = f"(select *, {added} from ({select}))"
    if request.later == "merge":
        parts = [f"{SOURCE}.{key} = {DEST}.{key}" for key in keys]
        joined = f"join {rows} as {SOURCE} on {' and '.join(f'({part})' for part in (*parts, *request.predicates))}"
    else:
        other, condition = match(f"({select})", len(keys), added, request.predicates)
        joined = f"semi join {other} on {condition}"
    with explained(replace(request, strategy=request.later)):
        cursor.execute(f"explain select 1 from {rows} as {DEST} {joined}")
