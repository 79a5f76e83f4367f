"""What is asked of a raw model that takes landed files: all of them, whole, each as it was when it was counted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import duckdb

from slipway.dbt.ingest import feed_of, is_replaced, show_landing
from slipway.dbt.inputs import inputs_of
from slipway.dbt.keys.node_key import node_key
from slipway.engines.duckdb.writer import write
from slipway.errors import ContractError, NotFoundError, SlipwayError
from slipway.iceberg.types import literal, quote
from slipway.names import TableName

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from slipway.dbt.session import Session
    from slipway.engines.duckdb.request import WriteRequest, WriteResult
    from slipway.runs.intake import Intake


_LINEAGE = ("_source_file", "_source_line", "_file_sha256", "_landed_at", "_run_id")
_LINEAGE_TYPES = ("varchar", "bigint", "varchar", "timestamptz", "varchar")


def write_landed(
    session: Session,
    cursor: duckdb.DuckDBPyConnection,
    manifest: Any,
    node: Any,
    base: Table | None,
    request: WriteRequest,
) -> WriteResult | None:
    """Write a model; what a raw model takes of landed files is checked.

    Returns:
        What was written, or None where files moved while they were read: what is left has to be written again.

    Raises:
        NotFoundError: the table would be written anew without files that it holds.
        ContractError: it does not hold all of the others.
    """
    if (feed := feed_of(session.intake.landing, manifest, node, request.identifier)) is None:
        return write(cursor, session.places.outputs, base, request)
    _check_offer(session.intake, feed)
    try:
        result = write(cursor, session.places.outputs, base, request)
    except (duckdb.Error, SlipwayError):
        if not session.intake.landing.moved(feed):
            raise
    else:
        if not session.intake.landing.changed(feed):  # one that is only gone was read whole
            _check_ingested(session, feed, request, result.staged.table)
            return result
    session.intake.decide_again(feed)
    show_landing(session.intake, manifest, session.environment.name, TableName("landing", feed))
    inputs = inputs_of(session.inputs, manifest, node.unique_id)
    key = node_key(manifest, node.unique_id, inputs, session.vars)
    noted = session.nodes[node.unique_id]
    session.nodes[node.unique_id] = noted.model_copy(update={"inputs": inputs, "node_key": key})
    return None


def _check_offer(intake: Intake, feed: str) -> None:
    if lost := intake.offer(feed).lost:
        names = ", ".join(entry.path for entry in lost[:3]) + (" …" if len(lost) > 3 else "")
        raise NotFoundError(
            f"raw.{feed} cannot be written anew",
            f"it holds rows of {names}, which the landing area does not have any more",
            "Put the files back, or make the model incremental with full_refresh=false",
        )


def _check_ingested(session: Session, feed: str, request: WriteRequest, table: Table) -> None:
    """Refuse a raw table that lacks a column of the contract or a record of a file."""
    from dbt.flags import get_flags

    has = {one.name.lower() for one in table.schema().fields}
    lacking = [name for name in _LINEAGE if name not in has]
    columns = session.intake.landing.feeds[feed].columns
    if renamed := [name for name in columns if name.lower() not in has]:
        lacking += _lost(session.environment.name, feed, columns, request.sql, renamed, has)
    if lacking:
        raise ContractError(
            f"raw.{feed} would lose {', '.join(lacking)}",
            "the landed files hold it, and raw, which takes each file once, has no column for it",
            f"Have the model select every column, and set on_schema_change='append_new_columns' "
            f"(it is '{request.on_schema_change}')",
        )
    flags = get_flags()
    if not (getattr(flags, "EMPTY", False) or getattr(flags, "SAMPLE", None)):
        _check_rows(session, feed, table)
    session.intake.landing.settle(feed)


def _lost(
    environment: str,
    feed: str,
    columns: Iterable[str],
    sql: str,
    wanted: Sequence[str],
    has: Collection[str],
) -> list[str]:
    """Columns of a feed that come to no column of the raw table, also under another name.

    The model's query is run on one row that has a word of its own in each column.
    """
    marks = {name: f"slipway-{number}-" for number, name in enumerate(columns)}
    values = [f"{literal(mark)} as {quote(name)}" for name, mark in marks.items()]
    values += [f"null::{kind} as {name}" for name, kind in zip(_LINEAGE, _LINEAGE_TYPES, strict=True)]
    database = quote(environment)
    with duckdb.connect() as probe:
        try:
            probe.execute(f"attach ':memory:' as {database}")
            probe.execute(f"create schema {database}.landing")
            probe.execute(f"create view {database}.landing.{quote(feed)} as select {', '.join(values)}")
            found = probe.execute(f"from ({sql})")
            names = [column[0].lower() for column in found.description or ()]
            rows = found.fetchall()
        except (
            duckdb.Error
        ):  # it reads something else, too, or has functions of the project: names have to tell
            return list(wanted)
    kept = " ".join(str(value) for row in rows for name, value in zip(names, row, strict=True) if name in has)
    return [name for name in wanted if marks[name] not in kept]


def _check_rows(session: Session, feed: str, table: Table) -> None:
    files = session.intake.landing.given(feed)
    scan = session.views.scan(table)
    # written anew with the content that it has, a table keeps the rows of earlier runs
    anew = is_replaced(session.manifest, TableName("raw", feed))
    mine = "" if anew else f"where _run_id = {literal(session.request.run_id)}"
    query = f"select _file_sha256, count(*) from {scan} {mine} group by all"
    held = dict(session.views.query(query)) if files else {}
    for entry in files:
        if (found := held.get(entry.sha256, 0)) != entry.rows:
            raise ContractError(
                f"raw.{feed} would hold {found:,} rows of {entry.path}",
                f"{entry.rows:,} were counted when it landed",
                "Raw takes every row of a file: remove filters and joins from the model, then run again",
            )
