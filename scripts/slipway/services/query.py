"""Query published tables: as they are, as a release left them, or as a run built them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from slipway.adapters.published import Published
from slipway.adapters.query import QueryResult, run_query
from slipway.domain.cut import Cut
from slipway.domain.errors import UsageError
from slipway.services.environments import environment_of, find_run

__all__ = ["QueryResult", "query"]


def query(
    sql: str,
    *,
    project_dir: Path | None = None,
    target: str | None = None,
    release: int | None = None,
    run: str | None = None,
    as_of: str | None = None,
    files: bool = False,
) -> QueryResult:
    """Run one reading query.

    Args:
        sql: the query in DuckDB's SQL; tables are ``layer.table``.
        project_dir: the dbt project.
        target: the environment.
        release: read the tables as this release left them.
        run: read what this run built and read: an id, a unique part of it or ``latest``.
        as_of: read the last release at or before this time, ISO 8601; UTC where it names no zone.
        files: it may read files and URLs that it names itself.

    Raises:
        UsageError: more than one of ``release``, ``run`` and ``as_of``, or not a reading query.
        NotFoundError: there is no such release, run or table.
    """
    if sum(value is not None for value in (release, run, as_of)) > 1:
        raise UsageError("--release, --run and --as-of exclude each other", fix="give one of them")
    environment = environment_of(project_dir, target)
    if run is not None:
        found = find_run(environment, run)
        published = Published(found.records.environment)
        return run_query(published, published.candidate(found.run_id), sql, files=files)
    published = Published(environment)
    return run_query(published, _cut(published, release, as_of), sql, files=files)


def _cut(published: Published, release: int | None, as_of: str | None) -> Cut:
    if release is not None:
        return published.release(release)
    return published.now() if as_of is None else published.as_of(_moment(as_of))


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"--as-of {text} is not a time",
            "it is read as ISO 8601",
            "write 2011-08-31T12:00:00 or add +02:00",
        ) from None
