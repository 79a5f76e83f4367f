"""Column lineage of tables that runs have made, by the queries that they recorded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from slipway.errors import SlipwayError
from slipway.governance.column_lineage import (
    NOT_COMPILED,
    Columns,
    TableLineage,
    columns_of_schema,
    lineages,
    with_all_above,
)
from slipway.iceberg.metadata_files import summary_of
from slipway.records.store import Records
from slipway.releases.cut import Cut
from slipway.releases.published import Published

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot


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


def lineages_above(
    dbt_manifest: Mapping[str, Any],
    tables: Collection[str],
    schemas: Mapping[str, Columns],
    records: Records,
    made: Callable[[str], str | None],
) -> dict[str, TableLineage]:
    """Column lineage of tables and of all that they are made from: by the queries of a manifest, or else of the runs that made them.

    Args:
        dbt_manifest: dbt's manifest as JSON. Of models that its run did not compile, the query of the run counts that made the table.
        tables: ``layer.table`` of those that are asked for.
        schemas: ``layer.table`` to its columns; asked for only of those that are needed.
        records: of the environment where runs made the tables.
        made: tells the run that made a table; None where that is not known.
    """
    names = with_all_above(dbt_manifest, tables)
    found = lineages(dbt_manifest, schemas, names)
    without = [name for name, one in found.items() if one.unknown == NOT_COMPILED]
    return found | lineages_of_runs(records, {name: made(name) for name in without}, schemas)


class TablesOfCut(Mapping[str, Columns]):
    """Columns of the tables of a cut, read when they are asked for.

    Args:
        published: the environment.
        cut: which state of each table.
    """

    def __init__(self, published: Published, cut: Cut) -> None:
        self._published, self._cut = published, cut

    def __getitem__(self, name: str) -> Columns:
        table, snapshot = self._load(name)
        schema = table.schema()
        if snapshot is not None and snapshot.schema_id is not None:
            schema = table.schemas().get(snapshot.schema_id, schema)
        return columns_of_schema(schema)

    def __iter__(self) -> Iterator[str]:
        return iter(self._cut.tables)

    def __len__(self) -> int:
        return len(self._cut.tables)

    def made(self, name: str) -> str | None:
        """The run that made the rows of a table; None where that is not known."""
        try:
            table, snapshot = self._load(name)
        except KeyError:
            return None
        return run_of(snapshot or table.current_snapshot())

    def _load(self, name: str) -> tuple[Table, Snapshot | None]:
        try:
            return self._published.load(name, self._cut.tables[name])
        except SlipwayError as error:  # what is damaged is reported elsewhere: here its lineage is not known
            raise KeyError(name) from error


def run_of(snapshot: Snapshot | None) -> str | None:
    """The run that made a snapshot; None where another program did."""
    return summary_of(snapshot).get("slipway.run-id")


def _of_run(
    records: Records, run_id: str, names: set[str], schemas: Mapping[str, Columns]
) -> dict[str, TableLineage]:
    described = records.dbt_manifest(run_id)
    return lineages(described, schemas, names) if described else {}
