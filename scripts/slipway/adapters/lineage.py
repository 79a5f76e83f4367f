"""Where a table's content comes from: each snapshot says what it was built from, back to the landed files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import duckdb
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from slipway.adapters import engine
from slipway.adapters.dbt.state import INPUTS, read_state
from slipway.adapters.iceberg.content import current_content, snapshot_with
from slipway.adapters.iceberg.scan import scanning, whole_scan
from slipway.adapters.published import Published
from slipway.domain.lineage import LANDING, Source, SourceFile, SourceFiles


def sources(published: Published, table: str) -> list[Source]:
    """A published table and everything it comes from, each once, nearest first."""
    queue = [(table, current_content(load(published, table)) or "none")]
    found: dict[tuple[str, str], Source] = {}
    while queue:
        key = queue.pop(0)
        if key not in found:
            found[key] = _source(published, *key)
            queue += found[key].inputs.items()
    return list(found.values())


def load(published: Published, table: str) -> Table:
    """A table as the catalog shows it; raises KeyError."""
    schema, _, name = table.rpartition(".")
    return published.tables.load((schema, name), published.locations[schema, name])


def source_files(published: Published, source: Source, newest: int) -> Iterator[SourceFiles]:
    """The landed files of each feed that a raw table was read from, as its own rows name them.

    Args:
        published: the environment.
        source: a table that reads ``landing.…``.
        newest: how many files to name.
    """
    feeds = [name for name in source.inputs if name.startswith(LANDING)]
    if not feeds or not source.version.isdigit():
        return
    table = load(published, source.table)
    snapshot = snapshot_with(table, source.version)
    if snapshot is None:  # expired
        return
    scan = whole_scan(table, snapshot)
    connection = engine.connect(published.environment, published.environment.home)
    try:
        with scanning(connection, table):
            connection.execute(
                "create temp table files as select any_value(_source_file) as file, count(*) as row_count, "
                f"_file_sha256 as sha256, min(_landed_at) as landed_at from {scan} group by _file_sha256"
            )
    except duckdb.BinderException:  # a raw table without lineage columns
        return
    totals = connection.execute("select count(*), coalesce(sum(row_count), 0) from files").fetchall()[0]
    rows = connection.execute(f"from files order by landed_at desc, file desc limit {newest}").fetchall()
    named = [SourceFile(file, count, sha256, landed_at) for file, count, sha256, landed_at in rows]
    for feed in feeds:
        yield SourceFiles(feed.removeprefix(LANDING), source.table, int(totals[0]), int(totals[1]), named)


def _source(published: Published, name: str, version: str) -> Source:
    schema, _, bare = name.rpartition(".")
    if (schema, bare) not in published.locations or not version.isdigit():
        return Source(name, version)
    table = load(published, name)
    snapshot = snapshot_with(table, version)
    if snapshot is None:  # expired
        return Source(name, version)
    is_published = current_content(table) == version
    summary = _summary(snapshot)
    inputs = read_state(table).inputs if is_published else json.loads(summary.get(INPUTS, "{}"))
    return Source(
        table=name,
        version=version,
        run_id=summary.get("slipway.run-id"),
        written_at=datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC),
        rows=_number(summary, "total-records"),
        files=_number(summary, "total-data-files"),
        bytes_total=_number(summary, "total-files-size"),
        operation=summary.get("slipway.strategy")
        or (snapshot.summary.operation.value if snapshot.summary else None),
        is_published=is_published,
        inputs=dict(sorted(inputs.items())),
    )


def _summary(snapshot: Snapshot) -> dict[str, str]:
    return snapshot.summary.additional_properties if snapshot.summary else {}


def _number(summary: dict[str, str], name: str) -> int | None:
    return int(summary[name]) if name in summary else None
