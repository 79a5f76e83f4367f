"""The rows of samples as raw would have them: read by landing itself, so that a sample which is accepted here is accepted there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from slipway.errors import UnavailableError
from slipway.inference.findings import SetAside
from slipway.landing.area import Arrival, landing_area
from slipway.landing.copies import Copies
from slipway.landing.feed_files import FeedFiles
from slipway.landing.feeds import Feed
from slipway.records.landed_files import LandedFile
from slipway.storage.objects import ObjectInfo

RAW = "raw_rows"
"""The table with the rows of all samples."""
_ROOT = Path("/")
_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)  # no sample has landed
_NO_RUN = "no-run"


@dataclass(frozen=True)
class Loaded:
    """What landing made of samples.

    Args:
        files: those that it takes.
        rows: in all of them.
        set_aside: the others, with its reasons.
    """

    files: Sequence[Path]
    rows: int
    set_aside: Sequence[SetAside]


def load(feed: Feed, paths: Sequence[Path], scratch: Path, connection: duckdb.DuckDBPyConnection) -> Loaded:
    """Make the table ``RAW`` of the samples that landing takes.

    Args:
        feed: as it would be described.
        paths: absolute ones.
        scratch: for copies of files that DuckDB does not read as they are.
        connection: where the table is made; an earlier one is replaced.
    """
    files = FeedFiles(landing_area(str(_ROOT), {}), Copies(scratch))
    taken: dict[str, tuple[Path, LandedFile]] = {}
    aside: list[SetAside] = []
    for path in paths:
        found = _judged(files, feed, path, connection)
        if isinstance(found, str):
            aside.append(SetAside(path, found))
        elif found.sha256 in taken:
            aside.append(SetAside(path, f"has the same content as {taken[found.sha256][0].name}"))
        else:
            taken[found.sha256] = (path, found)
    query = files.select(feed, [entry for _, entry in taken.values()], _NO_RUN)
    connection.execute(f"create or replace table {RAW} as {query}")
    rows = sum(entry.rows or 0 for _, entry in taken.values())
    return Loaded([path for path, _ in taken.values()], rows, aside)


def _judged(
    files: FeedFiles, feed: Feed, path: Path, connection: duckdb.DuckDBPyConnection
) -> LandedFile | str:
    """The entry that the ledger would have, or why the file would be set aside."""
    try:
        info = ObjectInfo.of_file(path, _ROOT, path.stat())
        look = files.look(feed, Arrival(info))
        if look.problem or look.unreadable:
            return look.problem or look.unreadable
        checked = files.check(connection, feed, info.key, look)
    except (OSError, UnavailableError) as error:
        return f"cannot be read: {error}"
    if checked.problem:
        return checked.problem
    return LandedFile(
        feed=feed.name,
        path=info.key,
        size_bytes=info.size,
        etag=info.etag,
        sha256=look.sha256,
        rows=checked.rows,
        verdict="accepted",
        reason="",
        landed_at=_MOMENT,
        run_id=_NO_RUN,
        layout=checked.layout.noted,
    )
