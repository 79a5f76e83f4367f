"""What a materialization asks a session to do: decide whether a node is unchanged, write it, explain it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
from dbt.adapters.contracts.connection import AdapterResponse
from pyiceberg.table import Table

from slipway.dbt import describe
from slipway.dbt.configuration import check_incremental, merge_keys_of, predicates_of, strategy_of
from slipway.dbt.contracts import contract_of
from slipway.dbt.definitions import state_of
from slipway.dbt.ingested import write_landed
from slipway.dbt.inputs import check_inputs, filtered_inputs, identifier_of, inputs_of, notes
from slipway.dbt.keys.node_key import definition_key, manifest_node, node_key
from slipway.dbt.microbatch import is_last, window_of
from slipway.dbt.outdated import as_allowed, check_rebuild
from slipway.dbt.partial_groups import looked_at
from slipway.dbt.renames import former_keys
from slipway.dbt.rendered import volatile_node
from slipway.dbt.session import Session
from slipway.dbt.undeclared import check_reads
from slipway.dbt.volatility import check_listings
from slipway.engines.duckdb import engine
from slipway.engines.duckdb.carry import NotCarriedError
from slipway.engines.duckdb.digest import DIGEST
from slipway.engines.duckdb.request import WriteRequest, WriteResult
from slipway.errors import SlipwayError
from slipway.iceberg.schema import fingerprint
from slipway.iceberg.snapshots import confirm_snapshot
from slipway.iceberg.staging import Staging
from slipway.names import TableName
from slipway.records.run_manifest import Change, Node, Status
from slipway.releases.publication import figures
from slipway.releases.table_state import TableState, read_state
from slipway.runs.replayable import is_history


@dataclass
class BuildResponse(AdapterResponse):
    """What ends up in run_results.json for a node."""

    change: str = ""
    snapshot_id: str = ""
    node_key: str = ""
    rows_written: int = 0
    bytes_written: int = 0


def unchanged(
    session: Session, manifest: Any, config: Mapping[str, Any], *, force: bool
) -> BuildResponse | None:
    """The response for a node, or one batch of it, that need not be built, None when it has to be.

    Its node key is kept for the write that follows.

    Args:
        session: the run.
        manifest: dbt's manifest.
        config: what the materialization resolved: the node's id, its compiled query and the batch.
        force: build it in any case.
    """
    unique_id, batch = str(config["unique_id"]), config.get("batch")
    check_incremental(manifest_node(manifest, unique_id))
    identifier, inputs = identifier_of(manifest, unique_id), inputs_of(session.inputs, manifest, unique_id)
    key = node_key(manifest, unique_id, inputs, session.vars)
    state = TableState(key, inputs)
    volatile = volatile_node(session.volatility, manifest, unique_id, config.get("query"))
    force = force or bool(volatile)
    with session.lock:
        if identifier not in session.batched:
            session.nodes[unique_id] = Node(
                unique_id=unique_id,
                table=str(identifier),
                status=Status.OPEN,
                change=Change.NONE,
                node_key=key,
                definition_key=definition_key(manifest, unique_id, session.vars),
                inputs=inputs,
                volatile=volatile,
            )
    if (whole := session.pinned.whole_input(identifier, history=is_history(unique_id))) is not None:
        return _kept(session, unique_id, whole, state, Change.PINNED, "PINNED to what is published")
    base = session.pinned.base(identifier)
    if batch is not None:
        if force or not session.batched.is_built(identifier, key, window_of(manifest, unique_id, batch)):
            return None
        staged = session.candidate.staged.get(identifier)
        if identifier in session.batched or staged is not None or base is None:
            return BuildResponse(_message="UNCHANGED", change=Change.UNCHANGED.value, node_key=key)
        return _kept(session, unique_id, base, state, Change.UNCHANGED, "UNCHANGED")
    if base is None or force or identifier in session.candidate.staged:
        return None
    if read_state(base).node_key != key:
        return _renamed(session, unique_id, base) if identifier in session.pinned.renamed else None
    return _kept(session, unique_id, base, state, Change.UNCHANGED, "UNCHANGED")


def _renamed(session: Session, unique_id: str, base: Table) -> BuildResponse | None:
    """Stage a table under its new name as it is, unless its code or what it reads differs, too: then it is to be built.

    It is not built otherwise: a model that appends would add what the table has already.
    """
    manifest, renamed, known = session.manifest, session.pinned.renamed, read_state(base)
    state = state_of(session, manifest_node(manifest, unique_id), session.nodes[unique_id], base)
    if known.node_key not in former_keys(manifest, unique_id, renamed, state.inputs, session.vars):
        return None
    transaction = Staging(base)
    kept = replace(state, batches=known.batches)
    confirm_snapshot(transaction, session.candidate.tag, kept.table_property)
    staged = session.places.outputs.stage(base, transaction, new=False)
    session.stage(staged)
    return _kept(session, unique_id, staged.table, state, Change.SAME_CONTENT, "RENAMED")


def write_node(
    session: Session,
    cursor: duckdb.DuckDBPyConnection,
    manifest: Any,
    unique_id: str,
    config: Mapping[str, Any],
) -> BuildResponse | str:
    """Write a node's query as a staged table.

    Args:
        session: the run.
        cursor: the thread's connection.
        manifest: dbt's manifest.
        unique_id: the node.
        config: what the materialization resolved (package/macros/materializations).

    Returns:
        What was written, or the reason why nothing was and the table has to be built from everything.

    Raises:
        ConfigError: it has to be, and the model does not allow it.
    """
    engine.count_reads(cursor)
    identifier, node = identifier_of(manifest, unique_id), manifest_node(manifest, unique_id)
    hooked = any(node.config.get(hook) for hook in ("pre_hook", "post_hook"))
    if hooked:
        session.volatility.forget()
    noted = session.nodes[unique_id]
    base = session.pinned.base(identifier)
    state = state_of(session, node, noted, base)
    check_listings(cursor, node.name, str(config["sql"]), session.volatility.made(), always=hooked)
    check_reads(session, manifest, unique_id, str(config["sql"]))
    request = _request(session, node, identifier, state, config)
    if batch := config.get("batch"):
        window = window_of(manifest, unique_id, batch)
        if identifier not in session.batched:
            check_inputs(cursor, manifest, unique_id)
        full = bool(config.get("full_refresh")) or base is None
        last = is_last(manifest, unique_id, window)
        model, rows = session.batched.write(
            cursor,
            request,
            state,
            window,
            full=full,
            last=last,
            cut=bool(filtered_inputs(manifest, unique_id)),
        )

        def stage() -> None:
            staged = model.stage()
            session.stage(staged.staged)
            remarks = [*model.notes(), *notes(session.inputs, manifest, unique_id, base, model.state.batches)]
            written = _written(session.nodes[unique_id], base, staged)
            session.nodes[unique_id] = written.model_copy(update={"notes": remarks})

        session.batched.later(identifier, stage)
        return BuildResponse(
            _message=f"MICROBATCH {rows} rows",
            rows_affected=rows,
            change=Change.BUILT.value,
            node_key=state.node_key,
            rows_written=rows,
        )
    try:
        request = looked_at(session.volatility, node, request, (node.database, *identifier))
        result = write_landed(session, cursor, manifest, node, base, request)
    except NotCarriedError as error:
        check_rebuild(node, str(error))
        return str(error)
    except SlipwayError as error:
        raise as_allowed(error, node) from None
    if result is None:
        return write_node(session, cursor, manifest, unique_id, config)
    session.stage(result.staged)
    session.nodes[unique_id] = _written(session.nodes[unique_id], base, result)
    if reason := config.get("rebuild"):
        session.nodes[unique_id].notes.append(f"built anew from everything: {reason}")
    snapshot_id = str(result.staged.snapshot_id)
    message = (
        "SAME CONTENT" if result.same_content else f"{config['strategy'].upper()} {result.rows_written} rows"
    )
    if reason := config.get("rebuild"):
        message = f"REBUILT {result.rows_written} rows: {reason}"
    return BuildResponse(
        _message=message,
        rows_affected=result.rows_written,
        change=_change(result).value,
        snapshot_id=snapshot_id,
        node_key=state.node_key,
        rows_written=result.rows_written,
        bytes_written=result.bytes_written,
    )


def _request(
    session: Session, node: Any, identifier: TableName, state: TableState, config: Mapping[str, Any]
) -> WriteRequest:
    return WriteRequest(
        identifier=identifier,
        sql=str(config["sql"]),
        strategy=str(config["strategy"]),
        run_id=session.request.run_id,
        release=session.candidate.tag,
        unique_key=_listed(config.get("unique_key")),
        predicates=_listed(config.get("predicates")) or predicates_of(node),
        merge=merge_keys_of(node),
        partitioned_by=_listed(config.get("partitioned_by")),
        sorted_by=_listed(config.get("sorted_by")),
        on_schema_change=str(config.get("on_schema_change") or "ignore"),
        table_properties=describe.table_properties(node, config),
        described=lambda remade: state.after(remade).summary(),
        confirm=lambda content, remade: state.after(remade).table_property(content),
        column_docs=describe.column_docs(node),
        contract=contract_of(node),
        increments=tuple(session.increments[node.unique_id].values()),
        later=strategy_of(node) if node.config.materialized == "incremental" else "",
        once=getattr(node, "language", "") == "python",
    )


def _kept(
    session: Session, unique_id: str, table: Table, state: TableState, change: Change, message: str
) -> BuildResponse:
    current = table.current_snapshot()
    snapshot_id = str(current.snapshot_id) if current else ""
    counts = figures(table)
    summary = current.summary.additional_properties if current and current.summary else {}
    session.nodes[unique_id] = session.nodes[unique_id].model_copy(
        update={
            "change": change,
            "base_snapshot": snapshot_id or None,
            "candidate_snapshot": snapshot_id or None,
            "metadata_location": table.metadata_location,
            "schema_id": table.schema().schema_id,
            "schema_fingerprint": fingerprint(table.schema()),
            "rows_before": counts["rows"],
            "rows_after": counts["rows"],
            "rows_added": 0,
            "rows_removed": 0,
            "files": counts["files"],
            "files_added": 0,
            "files_removed": 0,
            "bytes_total": counts["bytes"],
            "bytes_read": 0,
            "bytes_written": 0,
            "digest": summary.get(DIGEST),
        }
    )
    return BuildResponse(
        _message=message, change=change.value, snapshot_id=snapshot_id, node_key=state.node_key
    )


def _change(result: WriteResult) -> Change:
    return Change.SAME_CONTENT if result.same_content else Change.BUILT


def _written(node: Node, base: Table | None, result: WriteResult) -> Node:
    table = result.staged.table
    before, after = figures(base), figures(table)
    current = table.current_snapshot()
    summary = (
        current.summary.additional_properties
        if current and current.summary and not result.same_content
        else {}
    )
    base_snapshot = base.current_snapshot() if base else None
    replaced = summary.get("slipway.strategy") == "replace"
    removed = before["rows"] if replaced else int(summary.get("deleted-records", "0"))
    return node.model_copy(
        update={
            "change": _change(result),
            "base_snapshot": str(base_snapshot.snapshot_id) if base_snapshot else None,
            "candidate_snapshot": str(result.staged.snapshot_id),
            "metadata_location": table.metadata_location,
            "schema_id": table.schema().schema_id,
            "schema_fingerprint": fingerprint(table.schema()),
            "rows_before": before["rows"],
            "rows_after": after["rows"],
            "rows_added": int(summary.get("added-records", "0")),
            "rows_removed": removed,
            "files": after["files"],
            "files_added": result.files_added,
            "files_removed": before["files"] if replaced else result.files_removed,
            "bytes_total": after["bytes"],
            "bytes_read": result.bytes_read,
            "bytes_written": result.bytes_written,
            "digest": str(result.digest),
            "phases": result.seconds,
        }
    )


def _listed(value: Any) -> Sequence[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else [str(item) for item in value]
