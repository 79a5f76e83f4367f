"""Which tables differ because their own code changed, and which because of tables that they read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from slipway.comparison.origins import Origins, is_differing
from slipway.comparison.results import Difference, TableComparison, Verdict, verdict_of
from slipway.errors import DamagedError
from slipway.governance.column_lineage import TableLineage
from slipway.records.release_records import Release
from slipway.records.store import Records

Definitions = Mapping[str, str | None]
"""Tables to the key of the code that made them, None where it is not known."""


def with_origins(
    comparisons: Sequence[TableComparison],
    parents: Mapping[str, Collection[str]],
    edited: Collection[str],
    same: Collection[str] = (),
    lineage: Mapping[str, TableLineage] | None = None,
) -> list[TableComparison]:
    """Say of each table that differs whether its code changed, or else which tables above it brought the difference.

    What differs only because of tables above it is explained, if their declarations propagate.

    Args:
        comparisons: of all tables.
        parents: ``layer.table`` to the tables that its model reads.
        edited: tables whose code is not the same on both sides; new ones count as edited, too.
        same: tables whose code is known to be the same; only these are explained by declarations of others.
        lineage: column lineage of tables that differ, which decides what a difference follows from; where it is not known, every column follows from every
            column of the tables above.
    """
    changed = {*edited, *(one.name for one in comparisons if not one.base.exists)}
    origins = Origins(comparisons, parents, changed, lineage or {})
    found = [_followed(one, origins, changed) if is_differing(one) else one for one in comparisons]
    reasons = {one.name: reason for one in found if (reason := _propagated(one))}
    return [_explained(one, reasons) if one.name in same else one for one in found]


def _followed(table: TableComparison, origins: Origins, changed: Collection[str]) -> TableComparison:
    """The same with the tables that each of its differences follows from, unless it is edited itself."""
    if table.name in changed:
        return table.model_copy(update={"edited": True, "because_of": ()})
    differences = tuple(
        one.model_copy(update={"because_of": origins.of_difference(table, one)}) for one in table.differences
    )
    return table.model_copy(
        update={
            "edited": False,
            "because_of": origins.of_table(table),
            "differences": differences,
            "origins": origins.how(table.name),
        }
    )


def _propagated(table: TableComparison) -> str:
    """Why a table differs, if all that differs in it is declared by declarations that propagate; empty if not."""
    if table.verdict is not Verdict.EXPLAINED or not all(one.propagates for one in table.differences):
        return ""
    return "; ".join(dict.fromkeys(str(one.explained_by) for one in table.differences))


def _explained(table: TableComparison, reasons: Mapping[str, str]) -> TableComparison:
    """The same, each of its differences explained by those of all tables that brought it."""
    if table.verdict is not Verdict.DIFFERENT:
        return table

    def explained(one: Difference) -> Difference:
        if one.explained_by or not one.because_of or not reasons.keys() >= {*one.because_of}:
            return one
        reason = "; ".join(f"follows from {name}: {reasons[name]}" for name in one.because_of)
        return one.model_copy(update={"explained_by": reason})

    differences = tuple(map(explained, table.differences))
    return table.model_copy(update={"differences": differences, "verdict": verdict_of(table, differences)})


def other_code(base: Definitions, head: Definitions) -> set[str]:
    """Tables whose code differs, by the keys of their definitions; where one is not known, nothing is reported."""
    return {name for name, key in head.items() if key and base.get(name) and base[name] != key}


def same_code(base: Definitions, head: Definitions) -> set[str]:
    """Tables whose code is known to be the same, by the keys of their definitions."""
    return {name for name, key in head.items() if key and base.get(name) == key}


def definitions_of(
    records: Records, release: Release, tables: Collection[str] | None = None
) -> dict[str, str | None]:
    """Tables of a release to the key of the code that made them, None where the record of their run does not say it.

    Raises:
        UnavailableError: the records cannot be read.
    """
    made = {name: table.run_id for name, table in release.tables.items() if tables is None or name in tables}
    found: dict[str, str | None] = dict.fromkeys(made)
    for run_id in {run_id for run_id in made.values() if run_id}:
        with suppress(DamagedError):  # the rows can be compared all the same
            manifest = records.manifest(run_id)
            if manifest is None and (came := records.promoted_manifest(run_id)):
                manifest = came[0]
            found |= {
                node.table: node.definition_key
                for node in (manifest.nodes if manifest else ())
                if node.table and made.get(node.table) == run_id
            }
    return found


def parents_of(dbt_manifest: Mapping[str, Any]) -> dict[str, set[str]]:
    """Tables to the tables that their models read, also through views and ephemeral models."""
    nodes: Mapping[str, Any] = dbt_manifest["nodes"]
    names = {
        unique_id: f"{node['schema']}.{node['alias']}"
        for unique_id, node in nodes.items()
        if node["resource_type"] in ("model", "seed", "snapshot")
    }
    tables = {
        unique_id
        for unique_id in names
        if (nodes[unique_id].get("config") or {}).get("materialized") not in ("view", "ephemeral")
    }
    known: dict[str, set[str]] = {}

    def read(unique_id: str) -> set[str]:
        if unique_id not in known:
            known[unique_id] = set()
            for parent in (nodes[unique_id].get("depends_on") or {}).get("nodes") or ():
                if parent in tables:
                    known[unique_id].add(names[parent])
                elif parent in names:
                    known[unique_id] |= read(parent)
        return known[unique_id]

    return {names[unique_id]: read(unique_id) for unique_id in tables}
