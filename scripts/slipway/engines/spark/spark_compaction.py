"""Compaction of one table by Spark: Iceberg's own action writes small files again, and DuckDB compares the rows.

Spark commits to a catalog that no reader sees, as it does for a model. What it staged becomes the one commit of the table, with the summary
that every compaction has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import duckdb
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.table.update import AddSnapshotUpdate, TableUpdate

from slipway.engines.duckdb.compact import Shorten, check_compactable, compare_rows, shorten
from slipway.engines.spark.spark_errors import in_one_line
from slipway.engines.spark.translation.scopes import quoted, text_literal
from slipway.errors import SlipwayError
from slipway.iceberg.metadata_files import data_files, summary_of
from slipway.iceberg.snapshots import REWRITES, StagedTable, Staging, content_of
from slipway.iceberg.tables import Tables
from slipway.run_catalog.catalog import RUN_ID, RunCatalog

if TYPE_CHECKING:
    from pyiceberg.table.snapshots import Snapshot
    from pyspark.sql import SparkSession


def stage_compacted(
    session: Callable[[], SparkSession],
    catalog: RunCatalog,
    cursor: duckdb.DuckDBPyConnection,
    tables: Tables,
    what: Shorten,
    *,
    enough: float,
    least: int,
) -> StagedTable:
    """Have Spark write a table's small files again, leave snapshots out of its metadata, and stage both.

    Args:
        session: begins the session, or gives the one that has begun; in it the environment's name is the catalog.
        catalog: this catalog, which shows the table as ``what`` names it.
        cursor: DuckDB's, to compare the rows.
        tables: of the environment.
        what: the table; which of its small files become one is left to Spark.
        enough: share of the target size from which on a file is left as it is.
        least: small files that are written again even if they do not fill one.

    Raises:
        SlipwayError: Spark ended with an error or wrote nothing again, the table cannot be compacted, or the rows that were written
            are not those that were read; nothing is staged.
    """
    table = tables.load(what.identifier, what.base)
    layout, name = check_compactable(table), str(what.identifier)
    options = {
        "target-file-size-bytes": layout.target,
        "min-file-size-bytes": int(layout.target * enough),
        "max-file-size-bytes": 2
        * layout.target,  # a new file begins at the middle between this and the target
        "min-input-files": least,
        "partial-progress.enabled": "false",  # one commit, or none
    }
    listed = ", ".join(f"'{key}', '{value}'" for key, value in options.items())
    strategy = "binpack" if table.sort_order().is_unsorted else "sort"
    place = quoted(tables.environment.name)
    catalog.allow(what.identifier)
    with in_one_line(name, "table"):
        session().sql(
            f"call {place}.system.rewrite_data_files(table => {text_literal(_within(what))}, strategy => '{strategy}', options => map({listed}))"
        ).collect()
    item = catalog.staged(what.identifier)
    if item is None:
        raise SlipwayError(f"{name} is not compacted", "Spark found no files to write again")
    before = {file.file_path: file for file in data_files(table)}
    now = {file.file_path: file for file in data_files(item.table)}
    read = [file for path, file in before.items() if path not in now]
    made = [file for path, file in now.items() if path not in before]
    tables.renew(cursor)
    compare_rows(cursor, table, read, made, whole=len(read) == len(before))
    transaction = Staging(table)
    transaction._stage(tuple(_named(one, table.current_snapshot()) for one in item.updates))
    shorten(transaction, what)
    return tables.stage(table, transaction, new=False)


def _within(what: Shorten) -> str:
    return ".".join(quoted(part) for part in what.identifier)


def _named(update: TableUpdate, parent: Snapshot | None) -> TableUpdate:
    """A snapshot of Spark with the summary of a compaction: it says of itself what its parent says, and whose rows it holds."""
    if not isinstance(update, AddSnapshotUpdate) or update.snapshot.summary is None or parent is None:
        return update
    stated = {
        key: value
        for key, value in update.snapshot.summary.additional_properties.items()
        if key != RUN_ID and not key.startswith("slipway.")
    }
    own = {key: value for key, value in summary_of(parent).items() if key.startswith("slipway.")}
    summary = Summary(operation=Operation.REPLACE, **{**stated, **own, REWRITES: content_of(parent)})
    return AddSnapshotUpdate(snapshot=update.snapshot.model_copy(update={"summary": summary}))
