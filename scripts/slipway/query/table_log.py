"""Counts of a table's rows and sums of its measures in each release."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipway.comparison.relations import is_number
from slipway.contracts.classification import Classifications
from slipway.counts import plural
from slipway.engines.writers import engine_in
from slipway.environments.profiles import find_project
from slipway.errors import NotFoundError
from slipway.iceberg.metadata_files import summary_of
from slipway.iceberg.types import duckdb_type
from slipway.query.classified_result import classified_in
from slipway.query.table_history import (
    History,
    Rows,
    described_models,
    history_of,
    policy_of,
    refused_conditions,
)
from slipway.records.release_records import Release
from slipway.records.store import Records
from slipway.releases.lookup import environment_of
from slipway.releases.published import Published


def public_sums(
    published: Published, table: str, among: Collection[int], classified: Classifications
) -> dict[int, dict[str, Any]]:
    """Sums of the measures of a table in releases, without columns that are classified or made from what is.

    A sum over many rows, and the same over one row more, tell the value of that row: so nothing is summed that is not public.

    Args:
        published: the environment.
        table: ``layer.table``.
        among: numbers of the releases that are looked at.
        classified: how columns are classified, as ``classified_in`` gives it.

    Returns:
        Number of a release to column to sum, None for a column without a value. Releases whose state of the table is not kept are left out.

    Raises:
        NotFoundError: none of the releases has the table.
    """
    history = history_of(published, table, among)
    rows = Rows(history, "")
    of_table = classified.of_table(table)
    columns = [name for name in _measures(rows, published.records) if not of_table.hides_values(name)]
    found: dict[int, dict[str, Any]] = {}
    for period in history.periods if columns else ():
        _, sums = rows.sums(period.state, columns)
        found |= {one.number: dict(zip(columns, sums, strict=True)) for one in period.releases}
    return found


@dataclass(frozen=True)
class LogLine:
    """A table in one release.

    Args:
        release: its record.
        same: whether the release shows the rows of the release before.
        rows: how many there are, None when the state is not kept any more.
        sums: by column, None for one without a value, and for one that is hidden.
        hidden: columns whose sums are hidden because they are classified.
        engine: what computed the rows; empty when that is not known.
    """

    release: Release
    same: bool
    rows: int | None
    sums: dict[str, Any] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    engine: str = ""


def log(
    project_dir: Path | None,
    target: str | None,
    table: str,
    where: str,
    limit: int,
    *,
    show_classified: bool = False,
) -> tuple[list[str], list[LogLine]]:
    """Rows of a table in each release, and sums of its measures.

    Args:
        project_dir: folder of dbt_project.yml, None to look for it.
        target: the environment.
        table: ``layer.table``.
        where: only these rows, as a condition in SQL; empty for all of them.
        limit: how many releases, the newest ones.
        show_classified: show sums of columns that a contract classifies, too.

    Returns:
        The columns with sums, and the releases, newest first. The columns are those that dbt's measures sum, or else all
        numeric columns but those of the key.

    Raises:
        NotFoundError: no release has the table.
        UsageError: the condition cannot be understood.
    """
    published = Published(environment_of(project_dir, target))
    history = history_of(published, table)
    numbers = [release.number for release in published.records.readable_releases()[0]]
    shown = set(numbers[-limit:])
    periods = [period for period in history.periods if any(one.number in shown for one in period.releases)]
    lost = [number for number in history.lost if number in shown]
    if not periods:
        raise NotFoundError(f"The last {plural(limit, 'release')} have no {table}", fix="Raise --limit")
    rows = Rows(History(table, published, periods, lost), where)
    columns = _measures(rows, published.records)
    classified = classified_in(
        find_project(project_dir), published, [table], published.now(), show_classified=show_classified
    ).of_table(table)
    lines = []
    with refused_conditions(where):
        for period in periods:
            count, sums = rows.sums(period.state, columns)
            hidden = tuple(column for column in columns if classified.hides_sum(column, count))
            shown_sums = {
                column: None if column in hidden else value
                for column, value in zip(columns, sums, strict=True)
            }
            by = engine_in(summary_of(period.state.shown))
            for at, release in enumerate(period.releases):
                lines.append(LogLine(release, at > 0, count, shown_sums, hidden, by))
    records = {release.number: release for release in published.records.readable_releases()[0]}
    lines += [LogLine(records[number], same=False, rows=None) for number in lost]
    lines = [line for line in lines if line.release.number in shown]
    return columns, sorted(lines, key=lambda line: line.release.published_at, reverse=True)


def _measures(rows: Rows, records: Records) -> list[str]:
    described = described_models(records) or {}
    numeric = [one.name for one in rows.columns.fields if is_number(duckdb_type(one.field_type))]
    found = [
        measure.get("expr") or measure["name"]
        for model in (described.get("semantic_models") or {}).values()
        if f"{model['node_relation']['schema_name']}.{model['node_relation']['alias']}" == rows.history.name
        for measure in model["measures"]
        if measure["agg"] == "sum"
    ]
    named = [column for column in dict.fromkeys(found) if column in numeric]
    if named:
        return named
    key = {column.casefold() for column in policy_of(records, rows.history.name).key}
    return [column for column in numeric if column.casefold() not in key and not column.startswith("_")]
