"""Rows that left a curated table for quarantine, or came back, by the rule that they break."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from slipway.comparison.results import Move, TableComparison, Verdict
from slipway.comparison.shared_files import TableState, differing
from slipway.errors import DamagedError

_RULE = "rule_id"
_PLACES = (("_file_sha256", "_source_line"), ("_source_file", "_source_line"))
"""What identifies a row of a landed file; the first that all tables have."""
_SETTLED = (Verdict.IDENTICAL, Verdict.NO_EVIDENCE, Verdict.NOT_COMPARED)
States = Mapping[str, tuple[TableState | None, TableState | None]]


def quarantines_of(dbt_manifest: Mapping[str, Any]) -> dict[str, str]:
    """Quarantine tables to the curated tables that their models name in ``conserves``."""
    return {
        f"{node['schema']}.{node['alias']}": str(conserves["curated"])
        for node in dbt_manifest["nodes"].values()
        if isinstance(conserves := (node.get("config") or {}).get("conserves"), Mapping)
        and conserves.get("curated")
    }


def with_moves(
    con: duckdb.DuckDBPyConnection,
    comparisons: Sequence[TableComparison],
    quarantines: Mapping[str, str],
    states: States,
) -> list[TableComparison]:
    """Say of quarantine tables which rows moved between them and their curated tables; where both sides tell file and line of each row.

    Args:
        con: a connection that can read the tables.
        comparisons: of all tables.
        quarantines: quarantine tables to curated tables.
        states: base and head of the tables that were compared.
    """
    changed = {one.name for one in comparisons if one.verdict not in _SETTLED}
    return [
        one.model_copy(update={"moves": _moves(con, states[one.name], states[curated], curated)})
        if (curated := quarantines.get(one.name, "")) in changed and one.name in changed
        else one
        for one in comparisons
    ]


def _moves(
    con: duckdb.DuckDBPyConnection,
    quarantine: tuple[TableState | None, TableState | None],
    curated: tuple[TableState | None, TableState | None],
    name: str,
) -> tuple[Move, ...]:
    (before, after), (old, new) = quarantine, curated
    if before is None or after is None or old is None or new is None:
        return ()
    columns = [{field.name for field in state.schema.fields} for state in (before, after, old, new)]
    place = next((place for place in _PLACES if all(set(place) <= own for own in columns)), None)
    if place is None or not all(_RULE in own for own in columns[:2]):
        return ()
    try:
        refused, accepted = _relations(con, before, after), _relations(con, old, new)
        there = _counted(con, place, refused, accepted)
        back = _counted(con, place, refused[::-1], accepted[::-1])
    except (DamagedError, duckdb.Error):  # both tables could be compared; that is what counts
        return ()
    return tuple(
        Move(curated=name, rule=rule, to_quarantine=there.get(rule, 0), back=back.get(rule, 0))
        for rule in sorted(there.keys() | back.keys())
    )


def _relations(con: duckdb.DuckDBPyConnection, base: TableState, head: TableState) -> tuple[str, str]:
    """Where both differ: a row that only one of them has is in none of the files that both have."""
    found = differing(con, base, head)
    return (found.base, found.head) if found else (base.relation, head.relation)


def _counted(
    con: duckdb.DuckDBPyConnection, place: Sequence[str], refused: Sequence[str], accepted: Sequence[str]
) -> dict[str, int]:
    """Rows by rule that are refused after and not before, and accepted before and not after."""
    at = ", ".join(place)
    rows = con.execute(f"""
        with refused as (
            select {at}, {_RULE} from {refused[1]} except select {at}, {_RULE} from {refused[0]}
        ),
        accepted as (select {at} from {accepted[0]} except select {at} from {accepted[1]})
        select coalesce(cast({_RULE} as varchar), 'no rule'), count(*)
        from refused semi join accepted using ({at})
        group by 1
    """).fetchall()
    return dict(rows)
