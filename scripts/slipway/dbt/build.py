"""What a materialization asks for: whether a node is unchanged, and to write it as a staged table."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
from dbt.adapters.contracts.connection import AdapterResponse
from pyiceberg.table import Table
from pyiceberg.table.update import TableUpdate

from slipway.counts import plural
from slipway.dbt import describe
from slipway.dbt.after_promotion import why_built_again
from slipway.dbt.configuration import (
    check_incremental,
    contract_of,
    keep_of,
    kept_inputs_of,
    merge_keys_of,
    predicates_of,
    strategy_of,
)
from slipway.dbt.describe import Descriptions
from slipway.dbt.engine_choice import EngineChoices
from slipway.dbt.ingest import feed_of, show_landing, write_landed
from slipway.dbt.inputs import ModelIncrements, changed_whole, inputs_of
from slipway.dbt.keys.node_key import definition_key, node_key
from slipway.dbt.microbatch import check_inputs, filtered_inputs, is_last, notes, window_of
from slipway.dbt.model_writers import ModelWriters
from slipway.dbt.nodes import DbtManifest, DbtNode, is_python, node_of, relation_of, table_of
from slipway.dbt.partial_groups import checked_for_partial_groups
from slipway.dbt.query_checks import QueryChecks
from slipway.dbt.rebuilds import Rebuilds, check_rebuild
from slipway.dbt.renames import former_keys, made_under_new_name
from slipway.dbt.volatility import Volatility, volatile_node, with_inlined
from slipway.engines.duckdb import engine
from slipway.engines.duckdb.digest import DIGEST
from slipway.engines.duckdb.request import WriteRequest, WriteResult
from slipway.engines.duckdb.rewrite import NotCarriedError
from slipway.engines.duckdb.scan import Views
from slipway.engines.duckdb.target import description_updates, stay_optional
from slipway.engines.writers import SPARK
from slipway.errors import SlipwayError
from slipway.iceberg.schema import fingerprint
from slipway.iceberg.snapshots import Staging, confirm_snapshot
from slipway.names import TableName
from slipway.records.node_results import Change, Definition, Node, Status
from slipway.records.run_manifest import Code
from slipway.releases.publication import figures
from slipway.releases.table_state import TableState, read_state
from slipway.runs.intake import Intake
from slipway.runs.pinned_tables import PinnedTables
from slipway.runs.replayable import is_history
from slipway.runs.run_candidate import BatchedModels, RunCandidate
from slipway.runs.run_inputs import RunInputs
from slipway.runs.run_results import RunNodes

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class BuildResponse(AdapterResponse):
    """What ends up in run_results.json for a node."""

    change: str = ""
    snapshot_id: str = ""
    node_key: str = ""
    rows_written: int = 0
    bytes_written: int = 0


class Builder:
    """Decides for each node of a run whether it is unchanged, and writes those that are not.

    It is given the parts of a ``session.Session`` that it works with.
    """

    def __init__(
        self,
        run_id: str,
        variables: Mapping[str, Any],
        *,
        pinned: PinnedTables,
        candidate: RunCandidate,
        batched: BatchedModels,
        intake: Intake,
        inputs: RunInputs,
        views: Views,
        volatility: Volatility,
        checks: QueryChecks,
        nodes: RunNodes,
        increments: ModelIncrements,
        descriptions: Descriptions,
        engines: EngineChoices,
        writers: ModelWriters,
        lock: threading.RLock,
    ) -> None:
        self._run_id, self._vars = run_id, variables
        self._pinned, self._candidate, self._batched = pinned, candidate, batched
        self._intake, self._inputs, self._views = intake, inputs, views
        self._volatility, self._checks = volatility, checks
        self._nodes, self._increments, self._lock = nodes, increments, lock
        self._descriptions, self._engines, self._writers = descriptions, engines, writers
        self._rebuilds = Rebuilds(inputs, intake, views)
        self._cutoffs: dict[str, str] = {}

    def note_cutoff(self, unique_id: str, cutoff: str) -> None:
        """Note what the query of a node says of rows that have expired.

        Args:
            unique_id: the node.
            cutoff: an expression for the time before which rows have expired; empty where none of them expires.
        """
        with self._lock:
            self._cutoffs[unique_id] = cutoff

    def unchanged(
        self, manifest: DbtManifest, config: Mapping[str, Any], code: Code, *, force: bool
    ) -> BuildResponse | None:
        """The response for a node, or one batch of it, that need not be built, None when it has to be.

        Its node key is kept for the write that follows.

        Args:
            manifest: dbt's manifest.
            config: what the materialization resolved: the node's id, its compiled query and the batch.
            code: of the run.
            force: build it in any case.
        """
        unique_id, batch = str(config["unique_id"]), config.get("batch")
        node = manifest.nodes[unique_id]
        check_incremental(node)
        identifier = table_of(node)
        inputs, key = self._key(manifest, unique_id)
        volatile = volatile_node(self._volatility, manifest, unique_id, config.get("query"))
        force = force or bool(volatile)
        with self._lock:
            if identifier not in self._batched:
                self._note(manifest, unique_id, inputs, key, volatile)
        if (whole := self._pinned.whole_input(identifier, history=is_history(unique_id))) is not None:
            return self._kept(unique_id, whole, Change.PINNED, "PINNED to what is published", key)
        base, staged = self._pinned.base(identifier), self._candidate.staged.get(identifier)
        if batch is not None:
            window = window_of(manifest, unique_id, batch)
            if force or not self._batched.is_built(identifier, key, window):
                return None
            if identifier in self._batched or staged is not None or base is None:
                return BuildResponse(_message="UNCHANGED", change=Change.UNCHANGED.value, node_key=key)
            if not is_last(
                manifest, unique_id, window
            ):  # one that is built may come, which describes the table
                return self._kept(unique_id, base, Change.UNCHANGED, "UNCHANGED", key)
            return self._kept_or_described(node, base, key)
        if base is None or force or staged is not None:
            return None
        if read_state(base).node_key != key:
            renamed = identifier in self._pinned.renamed
            return self._renamed(manifest, unique_id, base, code) if renamed else None
        return self._kept_or_described(node, base, key)

    def known_unchanged(self, manifest: DbtManifest, unique_id: str, before: Node) -> BuildResponse | None:
        """The same of a node of which it is known that it depends on nothing but its key, and is made in one piece.

        Args:
            manifest: dbt's manifest.
            unique_id: the node.
            before: what an earlier run says of it, which found it unchanged. It tells all about the table while the catalog names
                the same metadata file, so that file is not read again.
        """
        identifier = table_of(node_of(manifest, unique_id))
        location = self._pinned.own_locations().get(identifier)
        if location is None or location != before.metadata_location:
            return None
        inputs, key = self._key(manifest, unique_id)
        if identifier in self._candidate.staged or key != before.node_key:
            return None
        if before.descriptions != self._descriptions.digest(node_of(manifest, unique_id)):
            return None
        self._note(manifest, unique_id, inputs, key, volatile="")
        self._nodes.update(unique_id, **{name: getattr(before, name) for name in _OF_TABLE})
        return BuildResponse(
            _message="UNCHANGED",
            change=Change.UNCHANGED.value,
            snapshot_id=before.candidate_snapshot or "",
            node_key=key,
        )

    def write(
        self,
        cursor: duckdb.DuckDBPyConnection,
        manifest: DbtManifest,
        unique_id: str,
        config: Mapping[str, Any],
        code: Code,
    ) -> BuildResponse | str:
        """Write a node's query as a staged table.

        Args:
            cursor: the thread's connection.
            manifest: dbt's manifest.
            unique_id: the node.
            config: what the materialization resolved (package/macros/materializations).
            code: of the run.

        Returns:
            What was written, or the reason why nothing was and the table has to be built from everything.

        Raises:
            ConfigError: it has to be, and the model does not allow it.
        """
        engine.count_reads(cursor)
        node = manifest.nodes[unique_id]
        identifier = table_of(node)
        hooked = any(node.config.get(hook) for hook in ("pre_hook", "post_hook"))
        if hooked:
            self._volatility.forget()
        base = self._pinned.base(identifier)
        state = self._state(manifest, node, base, code)
        self._checks.check(cursor, manifest, node, str(config["sql"]), always=hooked)
        state = replace(state, expired_before=self._cutoff(cursor, manifest, node))
        request = self._request(node, identifier, state, config)
        older = ""
        if request.strategy != "replace":
            in_part = {one.relation for one in request.increments}
            older = changed_whole(self._inputs, manifest, unique_id, base, in_part)
        if reason := self._rebuilds.reason(manifest, node, base, request, state.expired_before, older):
            return reason
        if config.get("batch"):
            return self._write_batch(cursor, manifest, request, state, config)
        try:
            request = checked_for_partial_groups(self._volatility, node, request, relation_of(node))
            result = self._written(cursor, manifest, node, base, request)
        except NotCarriedError as error:
            check_rebuild(node, str(error))
            return str(error)
        except SlipwayError as error:
            raise as_allowed(error, node) from None
        if result is None:
            inputs, key = self._key(manifest, unique_id)
            self._nodes.update(unique_id, inputs=inputs, node_key=key)
            return self.write(cursor, manifest, unique_id, config, code)
        self._candidate.stage(result.staged)
        rebuilt, choice = config.get("rebuild"), self._engines.of(manifest, node)
        found = [f"built anew from everything: {rebuilt}"] if rebuilt else []
        found += [*why_built_again(base, state), *_left_optional(node, base, request)]
        found += [f"{older}: rows of earlier runs stay as they are ({kept_inputs_of(node)})"] if older else []
        found += [*([choice.why] if choice.why else []), *result.notes]
        self._nodes.update(unique_id, **_outcome(base, result), notes=found)
        message = f"{config['strategy'].upper()} {plural(result.rows_written, 'row')}{_by(choice.engine)}"
        if rebuilt:
            message = f"REBUILT {plural(result.rows_written, 'row')}: {rebuilt}"
        elif result.same_content:
            message = "SAME CONTENT"
        return BuildResponse(
            _message=message,
            rows_affected=result.rows_written,
            change=_change(result).value,
            snapshot_id=str(result.staged.snapshot_id),
            node_key=state.node_key,
            rows_written=result.rows_written,
            bytes_written=result.bytes_written,
        )

    def _written(
        self,
        cursor: duckdb.DuckDBPyConnection,
        manifest: DbtManifest,
        node: DbtNode,
        base: Table | None,
        request: WriteRequest,
    ) -> WriteResult | None:
        """What was written of a query, None where landed files moved while they were read: the others are to be read again."""
        outputs = self._pinned.places.outputs
        write = self._writers.of(cursor, manifest, node)
        feed = feed_of(self._intake.landing, manifest, node, request.identifier)
        if feed is None:
            return write(cursor, outputs, base, request)
        result = write_landed(cursor, outputs, self._intake, self._views, feed, base, request)
        if result is None:
            self._intake.decide_again(feed)
            environment = self._pinned.places.inputs.environment
            show_landing(self._intake, manifest, environment.name, TableName("landing", feed))
        return result

    def _write_batch(
        self,
        cursor: duckdb.DuckDBPyConnection,
        manifest: DbtManifest,
        request: WriteRequest,
        state: TableState,
        config: Mapping[str, Any],
    ) -> BuildResponse:
        identifier, unique_id = request.identifier, str(config["unique_id"])
        base, window = self._pinned.base(identifier), window_of(manifest, unique_id, config["batch"])
        full = bool(config.get("full_refresh")) or base is None
        if identifier not in self._batched:
            check_inputs(cursor, manifest, unique_id)
        with self._writers.batch(cursor, manifest, manifest.nodes[unique_id], request) as asked:
            model, rows = self._batched.write(
                cursor,
                asked,
                state,
                window,
                full=full,
                last=is_last(manifest, unique_id, window),
                cut=bool(filtered_inputs(manifest, unique_id)),
            )

        def stage() -> None:
            result = model.stage()
            self._candidate.stage(result.staged)
            left_out = notes(self._inputs, manifest, unique_id, base, model.state.batches, full=full)
            more = [*why_built_again(base, state), *_left_optional(manifest.nodes[unique_id], base, request)]
            self._nodes.update(unique_id, **_outcome(base, result), notes=[*model.notes(), *left_out, *more])

        self._batched.later(identifier, stage)
        return BuildResponse(
            _message=f"MICROBATCH {plural(rows, 'row')}{_by(self._engines.of(manifest, manifest.nodes[unique_id]).engine)}",
            rows_affected=rows,
            change=Change.BUILT.value,
            node_key=state.node_key,
            rows_written=rows,
        )

    def _note(
        self, manifest: DbtManifest, unique_id: str, inputs: dict[str, str], key: str, volatile: str
    ) -> None:
        """Note what is known of a node before anything is done about it."""
        self._nodes.note(
            Node(
                unique_id=unique_id,
                table=str(table_of(node_of(manifest, unique_id))),
                status=Status.OPEN,
                change=Change.NONE,
                engine=self._engines.of(manifest, node_of(manifest, unique_id)).engine,
                node_key=key,
                definition_key=definition_key(manifest, unique_id, self._vars),
                inputs=inputs,
                volatile=volatile,
                descriptions=self._descriptions.digest(node_of(manifest, unique_id)),
            )
        )

    def _key(self, manifest: DbtManifest, unique_id: str) -> tuple[dict[str, str], str]:
        """What a node reads, and its node key."""
        inputs = inputs_of(self._inputs, manifest, unique_id)
        by = self._engines.of(manifest, node_of(manifest, unique_id)).engine
        return inputs, node_key(manifest, unique_id, inputs, self._vars, by)

    def _state(self, manifest: DbtManifest, node: DbtNode, base: Table | None, code: Code) -> TableState:
        """The state of a table that is written now, on top of what made the rows of its base."""
        noted = self._nodes.known[node.unique_id]
        now = Definition(
            key=noted.definition_key or "", commit=code.commit, dirty=code.dirty, run_id=self._run_id
        )
        made_by = made_under_new_name(
            manifest, node, self._pinned.renamed, now.key, read_state(base).made_by, self._vars
        )
        return TableState(
            noted.node_key or "", noted.inputs, definition=now, made_by=made_by, kept=keep_of(node)
        )

    def _renamed(
        self, manifest: DbtManifest, unique_id: str, base: Table, code: Code
    ) -> BuildResponse | None:
        """Stage a table under its new name as it is, unless its code or what it reads differs, too: then it is to be built.

        It is not built otherwise: a model that appends would add what the table has already.
        """
        known, state = read_state(base), self._state(manifest, manifest.nodes[unique_id], base, code)
        if known.node_key not in former_keys(
            manifest, unique_id, self._pinned.renamed, state.inputs, self._vars
        ):
            return None
        updates = self._description_updates(manifest.nodes[unique_id], base)
        state = replace(state, batches=known.batches, expired_before=known.expired_before)
        table = self._confirmed(base, updates, state)
        return self._kept(unique_id, table, Change.SAME_CONTENT, "RENAMED", state.node_key)

    def _kept_or_described(self, node: DbtNode, base: Table, key: str) -> BuildResponse:
        """The response for a table whose rows stay, which may get new descriptions."""
        if (described := self._described(node, base)) is not None:
            return self._kept(node.unique_id, described, Change.SAME_CONTENT, "DESCRIBED", key)
        return self._kept(node.unique_id, base, Change.UNCHANGED, "UNCHANGED", key)

    def _described(self, node: DbtNode, base: Table) -> Table | None:
        """A table that is unchanged but for its descriptions, staged with the new ones and the same snapshot; None if it has them."""
        updates = self._description_updates(node, base)
        return self._confirmed(base, updates, read_state(base)) if updates else None

    def _description_updates(self, node: DbtNode, base: Table) -> tuple[TableUpdate, ...]:
        return description_updates(base.metadata, self._descriptions.columns(node), describe.comment(node))

    def _confirmed(self, base: Table, updates: tuple[TableUpdate, ...], state: TableState) -> Table:
        """Stage a table with other metadata and the snapshot that it has."""
        transaction = Staging(base)
        transaction._stage(updates)
        confirm_snapshot(transaction, self._candidate.tag, state.table_property)
        staged = self._pinned.places.outputs.stage(base, transaction, new=False)
        self._candidate.stage(staged)
        return staged.table

    def _kept(self, unique_id: str, table: Table, change: Change, message: str, key: str) -> BuildResponse:
        """The response for a table that stays as it is, whose figures are noted."""
        current = table.current_snapshot()
        summary = current.summary.additional_properties if current and current.summary else {}
        snapshot_id = str(current.snapshot_id) if current else ""
        self._nodes.update(
            unique_id,
            **_figures(table, figures(table)["rows"]),
            change=change,
            base_snapshot=snapshot_id or None,
            candidate_snapshot=snapshot_id or None,
            rows_added=0,
            rows_removed=0,
            files_added=0,
            files_removed=0,
            bytes_read=0,
            bytes_written=0,
            digest=summary.get(DIGEST),
        )
        return BuildResponse(_message=message, change=change.value, snapshot_id=snapshot_id, node_key=key)

    def _cutoff(
        self, cursor: duckdb.DuckDBPyConnection, manifest: DbtManifest, node: DbtNode
    ) -> datetime | None:
        """The time before which rows of a quarantine model have expired, None where none of them expires."""
        with self._lock:
            cutoffs = {self._cutoffs.get(one, "") for one in with_inlined(manifest, node.unique_id)} - {""}
        if not cutoffs:
            return None
        found = cursor.execute(f"select epoch_us(greatest({', '.join(sorted(cutoffs))}))").fetchone()
        return _EPOCH + timedelta(microseconds=found[0]) if found and found[0] is not None else None

    def _request(
        self, node: DbtNode, identifier: TableName, state: TableState, config: Mapping[str, Any]
    ) -> WriteRequest:
        return WriteRequest(
            identifier=identifier,
            sql=str(config["sql"]),
            strategy=str(config["strategy"]),
            run_id=self._run_id,
            release=self._candidate.tag,
            unique_key=_listed(config.get("unique_key")),
            predicates=_listed(config.get("predicates")) or predicates_of(node),
            merge=merge_keys_of(node),
            partitioned_by=_listed(config.get("partitioned_by")),
            sorted_by=_listed(config.get("sorted_by")),
            on_schema_change=str(config.get("on_schema_change") or "ignore"),
            table_properties=describe.table_properties(node, config),
            described=lambda remade: state.after(remade).summary(),
            confirm=lambda content, remade: state.after(remade).table_property(content),
            column_docs=self._descriptions.columns(node),
            contract=contract_of(node),
            increments=self._increments.of(node.unique_id),
            later=strategy_of(node) if node.config.materialized == "incremental" else "",
            once=is_python(node),
        )


def _by(engine: str) -> str:
    """Who computed a table, for a message; DuckDB is not said."""
    return " by Spark" if engine == SPARK else ""


def _left_optional(node: DbtNode, base: Table | None, request: WriteRequest) -> list[str]:
    """A note about columns of which the contract newly says that they are never NULL, and that the Iceberg table leaves optional."""
    if base is None or request.contract is None or request.strategy == "replace":
        return []
    columns = stay_optional(base.metadata, request.contract)
    again = (
        ""
        if node.config.get("full_refresh") is False
        else f": slipway run --full-refresh --select {node.name} makes it required"
    )
    return (
        [
            f"{', '.join(columns)} stays optional in the Iceberg table, which has older snapshots with another schema{again}"
        ]
        if columns
        else []
    )


def as_allowed(error: SlipwayError, node: DbtNode) -> SlipwayError:
    """The error as it is, unless it advises ``--full-refresh`` to a model that ignores it."""
    if "--full-refresh" in error.fix and node.config.get("full_refresh") is False:
        error.fix = f"{error.fix.rstrip('.')}, which full_refresh: false keeps from this model: take it out for that run"
    return error


def _change(result: WriteResult) -> Change:
    return Change.SAME_CONTENT if result.same_content else Change.BUILT


_OF_TABLE = (
    "change",
    "base_snapshot",
    "candidate_snapshot",
    "metadata_location",
    "schema_id",
    "schema_fingerprint",
    "rows_before",
    "rows_after",
    "rows_added",
    "rows_removed",
    "files",
    "files_added",
    "files_removed",
    "bytes_total",
    "bytes_read",
    "bytes_written",
    "digest",
)
"""What a run manifest says of a table that stays as it is, apart from its node."""


def _figures(table: Table, rows_before: int | None) -> dict[str, Any]:
    """What a run manifest says of a table as it is."""
    now = figures(table)
    return {
        "metadata_location": table.metadata_location,
        "schema_id": table.schema().schema_id,
        "schema_fingerprint": fingerprint(table.schema()),
        "rows_before": rows_before,
        "rows_after": now["rows"],
        "files": now["files"],
        "bytes_total": now["bytes"],
    }


def _outcome(base: Table | None, result: WriteResult) -> dict[str, Any]:
    """What a run manifest says of a table that was written."""
    before, current = figures(base), result.staged.table.current_snapshot()
    summary = current.summary.additional_properties if current and current.summary else {}
    if result.same_content:  # the snapshot is an earlier one
        summary = {}
    base_snapshot = base.current_snapshot() if base else None
    replaced = summary.get("slipway.strategy") == "replace"
    return {
        **_figures(result.staged.table, before["rows"]),
        "change": _change(result),
        "base_snapshot": str(base_snapshot.snapshot_id) if base_snapshot else None,
        "candidate_snapshot": str(result.staged.snapshot_id),
        "rows_added": int(summary.get("added-records", "0")),
        "rows_removed": before["rows"] if replaced else int(summary.get("deleted-records", "0")),
        "files_added": result.files_added,
        "files_removed": before["files"] if replaced else result.files_removed,
        "bytes_read": result.used.bytes_read,
        "bytes_written": result.bytes_written,
        "peak_memory_bytes": result.used.peak_memory,
        "spilled_bytes": result.used.spilled,
        "digest": str(result.digest),
        "phases": result.seconds,
    }


def _listed(value: Any) -> Sequence[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else [str(item) for item in value]
