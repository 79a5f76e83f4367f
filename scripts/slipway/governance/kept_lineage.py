"""Column lineage of tables that runs have made, kept by node key below ``_slipway/lineage``, so that a query is looked at once."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from slipway.errors import SlipwayError
from slipway.governance.column_lineage import Columns, TableLineage, lineages
from slipway.records.record_files import find_record
from slipway.records.store import Records

LINEAGE = "lineage"
"""Folder of what is kept."""


def lineages_of_runs(
    records: Records, made: Mapping[str, str | None], schemas: Mapping[str, Columns]
) -> dict[str, TableLineage]:
    """Column lineage of tables by the queries that made them.

    What is found out is kept, if the environment can be written; what is not known is looked at again the next time.

    Args:
        records: of the environment.
        made: ``layer.table`` to the run that built it; None where that is not known.
        schemas: ``layer.table`` to its columns, of all tables that models read; asked for only of those that are needed.

    Returns:
        The tables of which something is recorded.
    """
    found: dict[str, TableLineage] = {}
    for run_id in sorted({run_id for run_id in made.values() if run_id}):
        names = {name for name, by in made.items() if by == run_id}
        with suppress(
            SlipwayError
        ):  # records that are damaged are reported elsewhere; the rows can be compared all the same
            found |= _of_run(records, run_id, names, schemas)
    return found


def _of_run(
    records: Records, run_id: str, names: set[str], schemas: Mapping[str, Columns]
) -> dict[str, TableLineage]:
    manifest = records.manifest(run_id)
    if manifest is None and (came := records.promoted_manifest(run_id)):
        manifest = came[0]
    keys = {
        node.table: f"{LINEAGE}/{node.table}/{node.node_key}.json"
        for node in (manifest.nodes if manifest else ())
        if node.table in names and node.node_key
    }
    kept = {
        name: find_record(records.store, TableLineage, key, table=name) for name, key in keys.items() if name
    }
    found = {name: one for name, one in kept.items() if one}
    missing = names - found.keys()
    described = records.dbt_manifest(run_id) if missing else None
    if described is None:
        return found
    new = lineages(described, schemas, missing)
    for name, one in new.items():
        if name in keys and not one.unknown:
            with suppress(FileExistsError, SlipwayError):
                records.store.create(keys[name], one.model_dump_json().encode())
    return found | new
