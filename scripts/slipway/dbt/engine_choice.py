"""The engine that computes each model and data test of a run: the configured one, the one that a comparison of engines gives, or for ``engine: auto`` the one that its inputs ask for.

A choice is made once for each model of a run, when the tables that it reads are there. It does not make a table another one: where the published table is
what one of the engines makes of the present code and inputs, that engine stays, whatever the inputs measure now.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slipway.counts import size
from slipway.dbt.inputs import inputs_of, read_as
from slipway.dbt.keys.node_key import node_key, tables_read
from slipway.dbt.model_engines import bound_of_test, engine_of_test, is_by, is_chosen, spark_above
from slipway.dbt.nodes import DbtManifest, DbtNode, engine_of, find, table_of
from slipway.engines.writers import AUTO, DUCKDB, ENGINES, SPARK
from slipway.iceberg.metadata_files import data_files
from slipway.releases.publication import figures
from slipway.releases.table_state import read_state
from slipway.runs.pinned_tables import PinnedTables
from slipway.runs.run_inputs import RunInputs


@dataclass(frozen=True)
class Choice:
    """An engine, and why it was chosen; the reason is empty where the configuration names the engine, or the table stays."""

    engine: str
    why: str = ""


class EngineChoices:
    """Says for each model of a run which engine computes it.

    Args:
        given: unique id to engine, in place of what is configured; a comparison of engines gives it.
        variables: dbt's vars as the run has them.
        inputs: what the run reads.
        pinned: what is published.
        force: models are built whether or not they have changed.
        lock: of the run.
    """

    def __init__(
        self,
        given: Mapping[str, str],
        variables: Mapping[str, Any],
        *,
        inputs: RunInputs,
        pinned: PinnedTables,
        force: bool,
        lock: threading.RLock,
    ) -> None:
        self._given, self._vars = given, variables
        self._inputs, self._pinned, self._force, self._lock = inputs, pinned, force, lock
        self._chosen: dict[str, Choice] = {}

    def of(self, manifest: DbtManifest, node: DbtNode) -> Choice:
        """The engine of a node.

        Args:
            manifest: dbt's.
            node: a model, or what has a table of another kind.
        """
        if node.unique_id in self._given:
            return Choice(self._given[node.unique_id])
        if not is_chosen(node):
            return Choice(engine_of(node))
        with self._lock:
            if node.unique_id not in self._chosen:
                self._chosen[node.unique_id] = self._kept(manifest, node) or self._by_size(manifest, node)
            return self._chosen[node.unique_id]

    def of_test(self, manifest: DbtManifest, test: DbtNode) -> Choice:
        """The engine that is to run a data test; the reason is given only where it is Spark.

        Args:
            manifest: dbt's.
            test: the data test.
        """
        reads = [find(manifest, name) for name in tables_read(manifest, test.unique_id)]
        engine = engine_of_test(manifest, test, reads)
        if engine != AUTO:
            return Choice(engine, f"engine is {engine}" if engine == SPARK else "")
        above, read = bound_of_test(test, reads), self._bytes_read(manifest, test)
        if read <= above:
            return Choice(DUCKDB)
        return Choice(SPARK, f"the tables that it reads have {size(read)}, and spark_above is {size(above)}")

    def is_by_spark(self, manifest: DbtManifest, node: DbtNode) -> bool:
        """Whether Spark computes the table of a node."""
        return is_by(self.of(manifest, node).engine, node)

    def needs_spark(self, manifest: DbtManifest, node: DbtNode) -> bool:
        """Whether Spark computes the table of a node if it is built with what is there before the run; nothing is chosen by asking."""
        if node.unique_id in self._given or not is_chosen(node):
            return self.is_by_spark(manifest, node)
        return is_by(self._by_size(manifest, node).engine, node)

    def _kept(self, manifest: DbtManifest, node: DbtNode) -> Choice | None:
        """The engine that made the published table of the present code and inputs; None if it is to be built."""
        base = self._pinned.base(table_of(node))
        if base is None or self._force:
            return None
        known = read_state(base).node_key
        inputs = inputs_of(self._inputs, manifest, node.unique_id)
        for engine in ENGINES:
            if node_key(manifest, node.unique_id, inputs, self._vars, engine) == known:
                return Choice(engine)
        return None

    def _by_size(self, manifest: DbtManifest, node: DbtNode) -> Choice:
        above = spark_above(node)
        read = self._bytes_read(manifest, node)
        found = f"the tables that it reads have {size(read)}"
        if read > above:
            return Choice(SPARK, f"computed by Spark, because {found}, and spark_above is {size(above)}")
        return Choice(
            DUCKDB, f"computed by DuckDB, because {found}, which is not more than spark_above, {size(above)}"
        )

    def _bytes_read(self, manifest: DbtManifest, node: DbtNode) -> int:
        """Bytes of the data files of the tables that a node reads, as this run sees them; what it reads of its own table is not counted."""
        total = 0
        for unique_id in tables_read(manifest, node.unique_id):
            table = self._inputs.known(*read_as(self._inputs, manifest, unique_id))
            known = figures(table)["bytes"]
            if known is None:  # another tool wrote it, and gave no sum
                assert table is not None
                known = sum(file.file_size_in_bytes for file in data_files(table))
            total += known
        return total
