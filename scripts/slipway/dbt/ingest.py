"""Raw models that take landed files: which they are, what they show of them, and that they take all of them, whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb
from dbt.events.types import JinjaLogInfo
from dbt_common.events.functions import fire_event

from slipway.contracts.typed_rows import LINEAGE
from slipway.counts import plural
from slipway.dbt.command import flag, is_partial
from slipway.dbt.inputs import has_withdrawn
from slipway.dbt.keys.node_key import tables_read
from slipway.dbt.nodes import DbtManifest, DbtNode
from slipway.engines.duckdb.database import open_database
from slipway.engines.duckdb.writer import columns_of, write
from slipway.errors import ConfigError, ContractError, NotFoundError, SlipwayError
from slipway.iceberg.snapshots import WITHDRAWS
from slipway.names import TableName
from slipway.runs.pinned_tables import LANDING
from slipway.secrets import one_line
from slipway.sql_text import literal, quote

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from slipway.engines.duckdb.request import WriteRequest, WriteResult
    from slipway.engines.duckdb.scan import Views
    from slipway.iceberg.tables import Tables
    from slipway.landing.land import Landing
    from slipway.runs.intake import Intake


def show_landing(intake: Intake, manifest: DbtManifest | None, database: str, identifier: TableName) -> None:
    """Make a feed readable under its dbt name.

    Raises:
        NotFoundError: no contract describes the feed.
        ConfigError: a model appends it to a table of another name, whose files nobody would remember.
    """
    feed, feeds = identifier[1], intake.landing.feeds
    if feed not in feeds:
        known = ", ".join(feeds) or "none"
        raise NotFoundError(f"No feed {feed}", f"contracts/ describes {known}", "Add its contract")
    if manifest:
        _check_readers(manifest, identifier)
    intake.show(database, feed)


def feed_of(landing: Landing, manifest: DbtManifest, node: DbtNode, identifier: TableName) -> str | None:
    """The feed that a model takes into its raw table, None for any other model."""
    if identifier[0] != "raw" or identifier[1] not in landing.feeds:
        return None
    return identifier[1] if ("landing", identifier[1]) in _sources(manifest, node) else None


def feeds_written(landing: Landing, manifest: DbtManifest, selected: Collection[str]) -> set[str]:
    """Feeds of which this run writes the raw table, whole and by ``write_landed``, before anything else reads the landed files.

    Args:
        landing: of the environment.
        manifest: dbt's.
        selected: unique ids of the nodes that dbt selected.
    """
    if is_partial():
        return set()
    written: set[str] = set()
    read: set[str] = set()
    for node in (manifest.nodes.get(unique_id) for unique_id in selected):
        if node is None:
            continue
        feed = feed_of(landing, manifest, node, TableName(node.schema, node.alias))
        if feed and _is_built(node) and node.config.get("incremental_strategy") != "microbatch":
            written.add(feed)
        else:
            read |= {name for schema, name in _sources(manifest, node) if schema == LANDING}
    return written - read


def is_replaced(manifest: DbtManifest | None, raw: TableName) -> bool:
    """Whether this run writes the raw table anew, so that it has to read again what it holds already."""
    for node in manifest.nodes.values() if manifest else ():
        if node.resource_type == "model" and (node.schema, node.alias) == raw:
            own = node.config.get("full_refresh")
            asked = flag("FULL_REFRESH") if own is None else own
            return bool(asked) or node.config.materialized != "incremental"
    return False


def write_landed(
    cursor: duckdb.DuckDBPyConnection,
    outputs: Tables,
    intake: Intake,
    views: Views,
    feed: str,
    base: Table | None,
    request: WriteRequest,
) -> WriteResult | None:
    """Write the raw table of a feed, and check what it takes of landed files.

    Args:
        cursor: the thread's connection.
        outputs: where the run builds.
        intake: what the run takes from the landing area.
        views: for queries over the raw table.
        feed: the feed.
        base: the raw table as it is.
        request: the model's query.

    Returns:
        What was written, or None where files moved while they were read or are set aside, because DuckDB does not read them as they were counted: what is
        left has to be written again.

    Raises:
        NotFoundError: the table would be written anew without files that it holds.
        ContractError: it does not hold all of the others.
    """
    if lost := intake.offer(feed).lost:
        names = ", ".join(entry.path for entry in lost[:3]) + (" …" if len(lost) > 3 else "")
        raise NotFoundError(
            f"raw.{feed} cannot be written anew",
            f"it holds rows of {names}, which the landing area does not have any more",
            "Put the files back, or make the model incremental with full_refresh=false",
        )
    if request.on_schema_change in ("ignore", "sync_all_columns"):
        # raw takes every column that lands, and keeps each that has landed
        request = replace(request, on_schema_change="append_new_columns")
    now = intake.landing.withdraws(feed)
    if now:
        properties = {**request.snapshot_properties, WITHDRAWS: "true"}
        request = replace(request, snapshot_properties=properties)
    if now or (base is not None and has_withdrawn(base)):
        request = replace(request, table_properties={**request.table_properties, WITHDRAWS: "true"})
    try:
        result = write(cursor, outputs, base, request)
        if intake.landing.changed(feed):  # one that is only gone was read whole
            return None
        _check_result(cursor, outputs.environment.name, intake, views, feed, request, result)
    except duckdb.InterruptException:
        raise
    except (duckdb.Error, SlipwayError):
        if intake.landing.moved(feed) or _set_aside(cursor, intake, feed):
            return None
        raise
    intake.landing.settle(feed)
    return result


def _set_aside(cursor: duckdb.DuckDBPyConnection, intake: Intake, feed: str) -> bool:
    """Set files aside that cannot be read as they were counted, and say so; False where all can."""
    refused = intake.set_aside(cursor, feed)
    for entry in refused:
        fire_event(JinjaLogInfo(msg=one_line(f"set aside {entry.path}: {entry.reason}")))
    return bool(refused)


def _check_result(
    cursor: duckdb.DuckDBPyConnection,
    environment: str,
    intake: Intake,
    views: Views,
    feed: str,
    request: WriteRequest,
    result: WriteResult,
) -> None:
    """Refuse a raw table that lacks columns or records of the files."""
    table = result.staged.table
    given = [name for name, _ in columns_of(cursor, f"(\n{request.sql}\n)")]
    _check_columns(environment, feed, intake.landing.columns(feed), given, request, table)
    if not is_partial():
        _check_rows(intake, views, feed, request.run_id, table)


def _check_readers(manifest: DbtManifest, source: TableName) -> None:
    """Refuse models that would take what no later run shows them again."""
    schema, feed = source
    raw = TableName("raw", feed)
    nodes = manifest.nodes.values()
    once = any((node.schema, node.alias) == raw and _is_appended(node) for node in nodes if _is_built(node))
    for node in nodes:
        if not _is_built(node) or (node.schema, node.alias) == raw:
            continue
        if (once or _is_appended(node)) and source in _sources(manifest, node):
            raise ConfigError(
                f"{node.schema}.{node.alias} reads {schema}.{feed}",
                f"it shows a file only until raw.{feed} has taken it, so that later runs would not find it",
                f"Read raw.{feed} instead; the model that reads {schema}.{feed} is called {feed}, in schema raw",
            )


def _is_built(node: DbtNode) -> bool:
    return node.resource_type in ("model", "snapshot") and node.config.materialized not in (
        "ephemeral",
        "view",
    )


def _is_appended(node: DbtNode) -> bool:
    return str(node.config.materialized) in ("incremental", "snapshot")


def _sources(manifest: DbtManifest, node: DbtNode) -> list[TableName]:
    read = [manifest.sources.get(name) for name in tables_read(manifest, node.unique_id)]
    return [TableName(source.schema, source.identifier) for source in read if source is not None]


def _check_columns(
    environment: str,
    feed: str,
    columns: Iterable[str],
    given: Iterable[str],
    request: WriteRequest,
    table: Table,
) -> None:
    """Refuse a raw model that loses a column of the landed files, or one that says where a row comes from.

    Args:
        environment: its name.
        feed: the feed.
        columns: of its files.
        given: the columns of the model's query; the table may have more, of earlier files.
        request: the model.
        table: as it was written.
    """
    has = {one.name.lower() for one in table.schema().fields}
    has &= {name.lower() for name in given}
    lacking = [name for name in LINEAGE if name not in has]
    if renamed := [name for name in columns if name.lower() not in has]:
        lacking += _lost(environment, feed, columns, request.sql, renamed, has)
    if lacking:
        raise ContractError(
            f"raw.{feed} would lose {', '.join(lacking)}",
            "the landed files hold it, and the model of raw, which takes each file once, leaves it out",
            "Have the model select every column, best as select *",
        )


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
    values += [f"null::{kind} as {name}" for name, kind in LINEAGE.items()]
    database = quote(environment)
    with open_database() as probe:
        try:
            probe.execute(f"attach ':memory:' as {database}")
            probe.execute(f"create schema {database}.landing")
            probe.execute(f"create view {database}.landing.{quote(feed)} as select {', '.join(values)}")
            found = probe.execute(f"from ({sql})")
            names = [column[0].lower() for column in found.description or ()]
            rows = found.fetchall()
        except (
            duckdb.Error
        ):  # it reads something else, too, or has functions of the project: names have to decide
            return list(wanted)
    kept = " ".join(str(value) for row in rows for name, value in zip(names, row, strict=True) if name in has)
    return [name for name in wanted if marks[name] not in kept]


def _check_rows(intake: Intake, views: Views, feed: str, run_id: str, table: Table) -> None:
    """Refuse a raw table that lacks a record of a file."""
    files = intake.landing.given(feed)
    scan = views.scan(table)
    # written anew with the content that it has, a table keeps the rows of earlier runs
    mine = "where _source_line > 0"
    if not intake.is_replaced(TableName("raw", feed)):
        mine += f" and _run_id = {literal(run_id)}"
    query = f"select _file_sha256, count(*) from {scan} {mine} group by all"
    held = dict(views.query(query)) if files else {}
    for entry in files:
        if (found := held.get(entry.sha256, 0)) != entry.rows:
            raise ContractError(
                f"raw.{feed} would hold {plural(found, 'row')} of {entry.path}",
                f"{entry.rows:,} were counted when it landed",
                "Raw takes every row of a file: remove filters and joins from the model, then run again",
            )
