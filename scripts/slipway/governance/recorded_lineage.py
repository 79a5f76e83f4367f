"""Column lineage of tables that runs have made, by the queries that they recorded."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from slipway.errors import SlipwayError
from slipway.governance.column_lineage import Columns, TableLineage, lineages
from slipway.records.store import Records


def lineages_of_runs(
    records: Records, made: Mapping[str, str | None], schemas: Mapping[str, Columns]
) -> dict[str, TableLineage]:
    """Column lineage of tables by the queries that made them.

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
    described = records.dbt_manifest(run_id)
    return lineages(described, schemas, names) if described else {}
