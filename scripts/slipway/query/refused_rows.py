"""Rows in quarantine: how many break which rule, the rows themselves, and the way of each from its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipway.comparison.masking import with_field
from slipway.environments.profiles import find_project
from slipway.errors import DamagedError, NotFoundError, UsageError
from slipway.names import TableName
from slipway.query.classified_result import classified_in
from slipway.query.queries import Column, QueryResult, moment, run_query
from slipway.records.run_manifest import RunManifest
from slipway.records.store import Records
from slipway.releases.cut import Cut
from slipway.releases.lookup import environment_of, find_run
from slipway.releases.published import Published
from slipway.secrets import MASK
from slipway.sql_text import literal, quote

LAYER = "quarantine"
_FIRST = ("rule_id", "reason", "_source_file", "_source_line", "_landed_at", "_run_id")


@dataclass(frozen=True)
class Wanted:
    """Which rows: of a rule, of a feed, and landed at a moment or later (ISO 8601, UTC where it names no zone).

    ``run`` is an id, a unique part of it or ``latest``: tables as this run built them, published or not, instead of the published ones.
    """

    rule: str | None = None
    feed: str | None = None
    since: str | None = None
    run: str | None = None


@dataclass(frozen=True)
class RuleCount:
    """Rows of a quarantine table that break one rule; times as DuckDB gives them, None where the table does not have them."""

    table: str
    feed: str | None
    rule: str | None
    reason: str | None
    rows: int
    first_landed_at: Any
    last_landed_at: Any


@dataclass(frozen=True)
class RefusedRows:
    """Rows of a quarantine table.

    ``masked`` are columns whose values are not shown because a contract classifies them. ``releases`` are the numbers of the
    releases that runs became.
    """

    result: QueryResult
    masked: list[str]
    releases: Mapping[str, int] = field(default_factory=dict)


def counts(
    project_dir: Path | None, target: str | None, table: str | None, wanted: Wanted
) -> list[RuleCount]:
    """Quarantined rows by table and rule.

    Raises:
        NotFoundError: nothing is published, or there is no such table or run.
        UsageError: ``since`` is no time, or is asked of a table that does not say when rows landed.
    """
    published, cut = _tables_of(project_dir, target, wanted.run)
    feeds = _feeds(published.records)
    found = []
    for name in [_table(cut, table)] if table else _tables(cut):
        if wanted.feed and wanted.feed not in (feeds.get(name), f"raw.{feeds.get(name)}"):
            continue
        columns = _columns(published, cut, name)
        rule, reason = (quote(one) if one in columns else "null" for one in ("rule_id", "reason"))
        landed = '"_landed_at"' if "_landed_at" in columns else "null"
        sql = (
            f"select {rule}::text, min({reason}::text), count(*), min({landed}), max({landed}) from {_quoted(name)}"
            f"{_where(name, columns, wanted)} group by 1 order by 3 desc, 1"
        )
        found += [RuleCount(name, feeds.get(name), *row) for row in run_query(published, cut, sql).rows()]
    return found


def refused_rows(
    project_dir: Path | None,
    target: str | None,
    table: str,
    wanted: Wanted,
    *,
    limit: int | None = None,
    show_classified: bool = False,
) -> RefusedRows:
    """Rows of a quarantine table: rule, reason, file and line first, then the values.

    Args:
        project_dir: the dbt project.
        target: the environment.
        table: ``quarantine.name``, or only its name.
        wanted: which rows.
        limit: how many at most; None for all.
        show_classified: show values of columns that a contract classifies other than ``public``.

    Raises:
        NotFoundError: nothing is published, or there is no such table or run.
        UsageError: as ``counts``.
    """
    published, cut = _tables_of(project_dir, target, wanted.run)
    name = _table(cut, table)
    columns = _columns(published, cut, name)
    ordered = [one for one in _FIRST if one in columns] + [one for one in columns if one not in _FIRST]
    classified = classified_in(
        find_project(project_dir), published, [name], cut, show_classified=show_classified
    ).of_table(name)
    masked = {one: f"{quote(one)} is not null" for one in ordered if classified.hides_values(one)}
    where = _where(name, columns, wanted)
    nested = {one: with_field(one, classified.hidden) for one in ordered if one not in masked}
    if classified.hidden and nested:
        items = ", ".join(f"coalesce(bool_or({condition}), false)" for condition in nested.values())
        (has,) = run_query(published, cut, f"select {items} from {_quoted(name)}{where}").rows()
        masked |= {
            one: condition for (one, condition), is_there in zip(nested.items(), has, strict=True) if is_there
        }
    shown = ", ".join(
        f"case when {masked[one]} then {literal(MASK)} {'' if one not in nested else f'else {quote(one)}::varchar '}end as {quote(one)}"
        if one in masked
        else quote(one)
        for one in ordered
    )
    by = [quote(one) for one in ("_source_file", "_source_line") if one in columns]
    sql = f"select {shown} from {_quoted(name)}{where}"
    sql += f" order by {', '.join(by)}" if by else " order by all"
    sql += f" limit {limit}" if limit is not None else ""
    releases = {item.run_id: item.number for item in published.records.readable_releases()[0] if item.by_run}
    return RefusedRows(run_query(published, cut, sql), list(masked), releases)


def _tables_of(project_dir: Path | None, target: str | None, run: str | None) -> tuple[Published, Cut]:
    environment = environment_of(project_dir, target)
    if run is None:
        published = Published(environment)
        return published, published.now()
    found = find_run(environment, run)
    published = Published(found.records.environment)
    return published, published.candidate(found.run_id)


def _tables(cut: Cut) -> list[str]:
    return sorted(name for name in cut.tables if TableName.parse(name).layer == LAYER)


def _table(cut: Cut, table: str) -> str:
    name = table if "." in table else f"{LAYER}.{table}"
    if name in _tables(cut):
        return name
    known = ", ".join(_tables(cut))
    raise NotFoundError(
        f"{cut.label} has no quarantine table {table}",
        f"it has {known}" if known else f"no table is in the layer {LAYER}",
        "Name one of them" if known else "Keep rows that break a rule in a model of this layer",
    )


def _columns(published: Published, cut: Cut, name: str) -> list[str]:
    found: Sequence[Column] = run_query(published, cut, f"select * from {_quoted(name)} limit 0").columns
    return [column.name for column in found]


def _where(name: str, columns: Sequence[str], wanted: Wanted) -> str:
    conditions = list(_conditions(name, columns, wanted))
    return f" where {' and '.join(conditions)}" if conditions else ""


def _conditions(name: str, columns: Sequence[str], wanted: Wanted) -> Iterator[str]:
    for option, value, column in (
        ("--rule", wanted.rule, "rule_id"),
        ("--since", wanted.since, "_landed_at"),
    ):
        if value is not None and column not in columns:
            raise UsageError(
                f"{option} cannot be used with {name}", f"it has no column {column}", "Leave it out"
            )
    if wanted.rule is not None:
        yield f"rule_id = {literal(wanted.rule)}"
    if wanted.since is not None:
        yield f"_landed_at >= timestamptz {literal(moment(wanted.since, '--since').isoformat())}"


def _quoted(name: str) -> str:
    return ".".join(map(quote, TableName.parse(name)))


def _feeds(records: Records) -> dict[str, str]:
    """Quarantine tables to the feed of their rows, as the run of the last release counted them."""
    last = _last(records)
    return {item.quarantine: item.raw.partition(".")[2] for item in last.conservation} if last else {}


def _last(records: Records) -> RunManifest | None:
    try:
        release = records.last_release()
        return records.manifest(release.run_id) if release else None
    except DamagedError:  # whose rows they are is not known then; the rows are
        return None
