"""Models whose query puts rows together of which it reads a part: refused to be written as they are, unless that is declared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import duckdb

from slipway.dbt.partial_plan import Kind, marked, rows_of
from slipway.engines.duckdb.carry import NotCarriedError
from slipway.engines.duckdb.request import WriteRequest
from slipway.errors import ConfigError
from slipway.iceberg.types import quote

if TYPE_CHECKING:
    from slipway.dbt.volatility import Volatility


KEY = "on_partial_groups"


def allowed_of(node: Any) -> str:
    """The declared reason why groups of which a part is read are written; empty for none.

    Raises:
        ConfigError: ``on_partial_groups`` is not ``{allow: <reason>}``, or the model is not incremental.
    """
    given = node.config.get(KEY)
    if given is None:
        return ""
    if node.config.materialized != "incremental":
        raise ConfigError(
            f"{node.name}: {KEY} has no effect with a {node.config.materialized}",
            "it reads its inputs whole",
            "Remove it",
        )
    reason = given.get("allow") if isinstance(given, Mapping) else None
    if not isinstance(reason, str) or not reason.strip() or len(given) != 1:
        raise ConfigError(
            f"{node.name}: {KEY} is {given!r}",
            "groups of which a part is read are written only with a reason",
            f"Write {KEY}: {{allow: <the reason>}}, or remove it",
        )
    return " ".join(reason.split())


def looked_at(
    volatility: Volatility, node: Any, request: WriteRequest, own: tuple[str, str, str]
) -> WriteRequest:
    """A request that says whether its query gives the rows themselves that it reads.

    Args:
        volatility: binds queries where nothing can be read.
        node: the model.
        request: what it asks for.
        own: database, schema and name of its table.

    Raises:
        NotCarriedError: rows that it does not read belong to what it computes, or whether they do is not known.
    """
    parts = [one for one in request.increments if one.is_part]
    if not parts or request.strategy == "replace" or request.merge or allowed_of(node):
        return request
    asked = f"the query reads a part of {parts[0].name}"
    predicates = {one.predicate: quote(one.column) if one.column else "_run_id" for one in parts}
    try:
        plan = volatility.plan(request.sql, marked(request.sql, predicates))
    except duckdb.Error as error:
        reason = str(error).strip().partition("\n")[0]
        raise NotCarriedError(f"{asked}, and it is not known whether it misses rows ({reason})") from error
    found = rows_of(plan, own, request.unique_key)
    by_key = request.strategy in ("merge", "delete+insert")
    if found.kind is Kind.GROUPS or (found.kind is Kind.LATEST and not by_key):
        what = found.why or "the latest row of a key"
        raise NotCarriedError(f"{asked}, and has {what}: rows that are not read may belong to it")
    return replace(request, direct=found.kind is Kind.ROWS)
