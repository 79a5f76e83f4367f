"""Why an incremental model is built anew from everything instead of by its strategy, and whether it may be."""

from __future__ import annotations

from datetime import datetime

from pyiceberg.table import Table

from slipway.dbt.configuration import ON_INPUT_CHANGE, kept_inputs_of, merge_keys_of, strategy_of
from slipway.dbt.inputs import withdrawn
from slipway.dbt.nodes import DbtManifest, DbtNode
from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.scan import Views
from slipway.errors import ConfigError
from slipway.releases.table_state import read_state
from slipway.runs.intake import Intake
from slipway.runs.run_inputs import RunInputs


class Rebuilds:
    """Finds the reasons that are there before a query is looked at.

    Args:
        inputs: what the run reads.
        intake: the landed files of the run.
        views: read tables.
    """

    def __init__(self, inputs: RunInputs, intake: Intake, views: Views) -> None:
        self._inputs, self._intake, self._views = inputs, intake, views

    def reason(
        self,
        manifest: DbtManifest,
        node: DbtNode,
        base: Table | None,
        request: WriteRequest,
        cutoff: datetime | None,
        older: str,
    ) -> str:
        """Why a model has to be built anew, as far as its inputs and its table say; empty for no reason.

        Args:
            manifest: dbt's.
            node: the model.
            base: its table.
            request: what it asks for.
            cutoff: rows that landed before have expired; None where none of them expires.
            older: which inputs that it reads whole changed, see ``changed_whole``.

        Raises:
            ConfigError: it has to be, and the model does not allow it.
        """
        reason = self._withdrawn(manifest, node, base, request.strategy) or self._expired(
            node, base, request.strategy, cutoff
        )
        instead = ""
        if not reason and older and not kept_inputs_of(node):
            reason, instead = older, f"declare {ON_INPUT_CHANGE}: {{keep: <the reason>}}"
        if reason:
            check_rebuild(node, reason, instead)
        return reason

    def _withdrawn(self, manifest: DbtManifest, node: DbtNode, base: Table | None, strategy: str) -> str:
        """Why an incremental model has to be built anew: files that it read were replaced, and rows of them stay in its table.

        Raises:
            ConfigError: it is built in batches, of which none would take the rows away.
        """
        feeds = self._intake.landing.replacing()
        if not feeds or base is None or strategy == "replace" or node.config.materialized != "incremental":
            return ""
        table = withdrawn(self._inputs, manifest, node.unique_id, base, feeds)
        if table and strategy_of(node) == "microbatch":
            raise ConfigError(
                f"{node.name} cannot be built in batches now",
                f"files of {table} were replaced, and rows of earlier ones are in the table",
                f"slipway run --select {node.name} --full-refresh, or use another strategy",
            )
        return f"files of {table} were replaced" if table else ""

    def _expired(self, node: DbtNode, base: Table | None, strategy: str, cutoff: datetime | None) -> str:
        """Why an incremental quarantine model has to be built anew: rows of its table are past their retention, or rows that had expired are not.

        Raises:
            ConfigError: it is built in batches, of which none would take the rows away, or the table does not say when rows landed.
        """
        incremental = strategy != "replace" and node.config.materialized == "incremental"
        known = read_state(base).expired_before
        if base is None or not incremental or (cutoff is None and known is None):
            return ""
        what = f"{node.name} cannot let rows go that are past quarantineRetention"
        if strategy_of(node) == "microbatch":
            raise ConfigError(what, "it is built in batches", "Use another strategy")
        if known and (cutoff is None or known > cutoff):
            return "rows that had expired are within their retention again"
        if "_landed_at" not in base.schema().column_names:
            fix = f"Add it, and run slipway run --select {node.name} --full-refresh"
            raise ConfigError(what, "its table has no column _landed_at", fix)
        past = f"select 1 from {self._views.scan(base)} where _landed_at < timestamptz '{cutoff}' limit 1"
        return "rows are past their retention" if self._views.query(past) else ""


def check_rebuild(node: DbtNode, reason: str, instead: str = "") -> None:
    """Refuse to build a table from everything where that loses what it holds.

    Args:
        node: the model.
        reason: why it would have to be.
        instead: what else the author can do.

    Raises:
        ConfigError: ``full_refresh: false``, or what is stored depends on the order in which it came.
    """
    what = f"{node.name} cannot be brought up to date by {strategy_of(node)}"
    if node.config.get("full_refresh") is False:
        raise ConfigError(
            what,
            f"{reason}, and full_refresh: false keeps its table from being built anew",
            f"Read the input without rows_added or partitions_changed, {f'{instead}, ' if instead else ''}or allow full_refresh",
        )
    if keys := merge_keys_of(node):
        raise ConfigError(
            what,
            f"{reason}, and with {', '.join(keys)} a table that is built anew may be another",
            f"Decide, and run: slipway run --select {node.name} --full-refresh{f', or {instead}' if instead else ''}",
        )
