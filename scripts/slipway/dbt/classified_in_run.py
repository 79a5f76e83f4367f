"""How the columns of tables are classified in a run, also by what its own queries make them from."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from slipway.contracts.classification import Classifications, classifications
from slipway.contracts.contract_files import read_contracts
from slipway.dbt.nodes import DbtManifest, DbtNode, DbtSource, table_of
from slipway.governance.classified_columns import with_lineage
from slipway.governance.column_lineage import Columns, columns_of_schema
from slipway.governance.recorded_lineage import run_of
from slipway.names import TableName
from slipway.records.store import Records
from slipway.runs.pinned_tables import PinnedTables
from slipway.runs.run_inputs import RunInputs


class ClassifiedInRun:
    """Classifications of one run, each table looked at once.

    Args:
        project: folder of dbt_project.yml.
        inputs: what the run reads.
        pinned: what was published when it began.
    """

    def __init__(self, project: Path, inputs: RunInputs, pinned: PinnedTables) -> None:
        self._project, self._inputs, self._pinned = project, inputs, pinned
        self._known: dict[TableName, Classifications] = {}
        self._declared: Classifications | None = None
        self._lock = threading.Lock()

    def of_table(self, manifest: DbtManifest, table: TableName) -> Classifications:
        """How the columns of a table are classified.

        Args:
            manifest: dbt's, in which the models that the run has compiled have their queries.
            table: one that the run has built, or that was published.

        Raises:
            ConfigError: a contract cannot be understood.
        """
        with self._lock:
            if self._declared is None:
                nodes: list[DbtNode | DbtSource] = [*manifest.nodes.values(), *manifest.sources.values()]
                described = (
                    (str(table_of(node)), *item)
                    for node in nodes
                    for item in getattr(node, "columns", {}).items()
                )
                self._declared = classifications(read_contracts(self._project), described)
            if table not in self._known:
                columns = _Columns(self._inputs)
                found = with_lineage(
                    self._declared,
                    _described(manifest),
                    [str(table)],
                    columns,
                    self._records,
                    columns.made,
                )
                self._known[table] = found.of_table(str(table))
            return self._known[table]

    @cached_property
    def _records(self) -> Records:
        return Records(self._pinned.places.inputs.environment)


class _Columns(Mapping[str, Columns]):
    """Columns of tables as a run sees them."""

    def __init__(self, inputs: RunInputs) -> None:
        self._inputs = inputs

    def __getitem__(self, name: str) -> Columns:
        if (table := self._inputs.own(TableName.parse(name))) is None:
            raise KeyError(name)
        return columns_of_schema(table.schema())

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def made(self, name: str) -> str | None:
        """The run that made a table; None where that is not known."""
        table = self._inputs.own(TableName.parse(name))
        return run_of(table.current_snapshot()) if table else None


def _described(manifest: DbtManifest) -> dict[str, Any]:
    """What column lineage needs of dbt's manifest, as its JSON has it."""
    return {
        "nodes": {unique_id: _node(node) for unique_id, node in manifest.nodes.items()},
        "sources": {unique_id: _node(node) for unique_id, node in manifest.sources.items()},
    }


def _node(node: DbtNode | DbtSource) -> dict[str, Any]:
    config = node.config
    return {
        "resource_type": str(node.resource_type),
        "database": node.database,
        "schema": node.schema,
        "name": node.name,
        "alias": getattr(node, "alias", None),
        "identifier": getattr(node, "identifier", None),
        "language": getattr(node, "language", "sql"),
        "compiled_code": getattr(node, "compiled_code", None),
        "config": {name: getattr(config, name, None) for name in ("materialized", "unique_key")},
        "depends_on": {"nodes": list(getattr(node, "depends_on_nodes", ()))},
    }
