"""Maintenance: compact files, expire snapshots, remove orphan files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from slipway.engines.duckdb.compact import RowsDifferError, Shorten, stage_shortened
from slipway.engines.duckdb.engine import Secret, connect, limits
from slipway.engines.spark.spark_of_run import SparkOfRun, check_place, check_ready
from slipway.engines.writers import SPARK
from slipway.environments.environment import Environment
from slipway.environments.profiles import Profile
from slipway.errors import ConflictError, SlipwayError, UnavailableError
from slipway.iceberg.commit import conflict, publish, writing
from slipway.iceberg.metadata_files import summary_of
from slipway.iceberg.snapshots import StagedTable
from slipway.iceberg.tables import Tables
from slipway.maintenance.retention import ENOUGH, MIN_FILES, History
from slipway.maintenance.run_records import apply_forget, find_forgettable
from slipway.maintenance.steps import (
    Compact,
    Delete,
    Expire,
    Forget,
    Left,
    OtherEngine,
    Plan,
    Step,
    chosen,
    plan,
)
from slipway.maintenance.survey import Survey, bounds_of_spark, described_tables, layout_of, survey
from slipway.names import TableName
from slipway.records.run_ids import new_run_id
from slipway.records.store import Records
from slipway.releases.holds import Holds
from slipway.releases.publication import heal
from slipway.releases.published import Published
from slipway.storage.objects import canonical, object_store


def commits(steps: Iterable[Step], history: History) -> list[Shorten]:
    """The steps that change what the catalog names, one commit for each table."""
    found: dict[str, Shorten] = {}
    for step in steps:
        if not isinstance(step, Compact | Expire):
            continue
        name = TableName.parse(step.table)
        before = found.get(step.table) or Shorten(name, history.tables[step.table].location)
        if isinstance(step, Compact):
            found[step.table] = replace(before, bins=[[file.path for file in one.files] for one in step.bins])
        else:
            found[step.table] = replace(before, snapshots=list(map(int, step.snapshots)), tags=step.tags)
    return list(found.values())


def apply_commit(
    cursor: duckdb.DuckDBPyConnection,
    tables: Tables,
    what: Shorten,
    name: str,
    spark: SparkOfRun | None = None,
) -> int:
    """Write what a table is going to be and move the catalog's pointer to it, if it is where it was.

    Args:
        cursor: DuckDB's.
        tables: of the environment.
        what: is done.
        name: what names of files begin with that DuckDB writes.
        spark: compacts the table in place of DuckDB.

    Returns:
        Bytes of the data files that were written.

    Raises:
        ConflictError: someone else moved the table; nothing of it was changed.
        UnavailableError: the catalog or the store cannot be written.
    """
    with limits(str(what.identifier)):
        if spark:
            staged = spark.compact(cursor, what, enough=ENOUGH, least=MIN_FILES)
        else:
            staged = stage_shortened(cursor, tables, what, name)
    if tables.kind.is_atomic:
        publish(tables, [staged])
    else:
        with writing(tables):
            moved = tables.kind.mover(tables).forward(staged)
        if not moved:
            raise conflict(tables, staged.identifier, staged.base)
    return _bytes_added(staged) if what.bins else 0


def apply_delete(tables: Tables, root: str, step: Delete) -> None:
    """Remove objects, metadata files first: what they lead to is never missing from one that is still there."""
    base = f"{canonical(root)}/"
    store = object_store(root, tables.environment.catalog_properties)
    written = {one.location.removeprefix(base): one.modified for one in step.objects}
    folders = sorted({key.partition("/")[0] for key in written})
    there = {item.key: item.modified for folder in folders for item in store.entries(folder)}
    # a promotion that was begun again may have written one of them anew, under the same name
    keys = [key for key, modified in written.items() if there.get(key) == modified]
    for part in _in_order(keys):
        store.delete(part)


def _bytes_added(staged: StagedTable) -> int:
    return int(summary_of(staged.table.current_snapshot()).get("added-files-size", "0"))


def _in_order(keys: Sequence[str]) -> list[list[str]]:
    def rank(key: str) -> int:
        if key.endswith(".metadata.json"):
            return 0
        if key.startswith("metadata/"):
            return 1 if "/snap-" in f"/{key}" else 2
        return 3

    return [[key for key in keys if rank(key) == number] for number in range(4)]


@dataclass(frozen=True)
class Proposal:
    """What maintenance is going to do.

    Args:
        environment: where.
        plan: the steps, and how far back one can go afterwards.
        found: what the plan was made from.
        settings: DuckDB's, of the target.
        healed: lines about publications that were finished or undone before.
    """

    environment: Environment
    plan: Plan
    found: Survey
    settings: Mapping[str, Any]
    healed: Sequence[str] = ()


@dataclass(frozen=True)
class Maintained:
    """What was done.

    Args:
        plan: with the steps that were carried out, and with the tables that moved meanwhile among those left as they are.
        bytes_written: bytes of the files that small ones became.
        differ: tables whose rows came out otherwise; they are left as they are, and something is wrong.
    """

    plan: Plan
    bytes_written: int
    differ: Sequence[str] = ()


def propose(
    project: Path,
    target: str | None,
    only: Sequence[str],
    older_than: timedelta,
    *,
    dry_run: bool,
) -> Proposal:
    """Find out what there is to do; publications that died are healed first, unless it is a dry run.

    Raises:
        NotFoundError: there is no catalog yet.
        UsageError: a pattern names no table.
        UnavailableError: the catalog or the store cannot be read.
        SlipwayError: the environment is on hold, or a record cannot be read.
    """
    profile = Profile(project)
    environment = profile.environment(target)
    Published(environment).now()  # raises where nothing was ever published
    settings, now = profile.settings(target), datetime.now(UTC)
    return propose_in(environment, profile.vars, settings, only, older_than, now, dry_run=dry_run)


def propose_in(
    environment: Environment,
    variables: Mapping[str, Any],
    settings: Mapping[str, Any],
    only: Sequence[str],
    older_than: timedelta,
    now: datetime,
    *,
    dry_run: bool,
) -> Proposal:
    """The same for an environment that is known."""
    records, tables = Records(environment), Tables(environment, Secret(environment).renew)
    healed: list[str] = []
    if not dry_run:
        Holds(records).refuse(f"Maintenance of {environment.name}")
        healed = heal(tables, records)
    found = survey(tables, records, variables, now, older_than)
    history = found.history
    names = chosen(history.names(), only)
    whole = [name for name in names if name in history.tables and name not in history.damaged]
    spark = _spark(environment, bounds_of_spark(described_tables(records, history.releases)))
    layouts = {name: layout_of(tables, history, name, spark.get(name)) for name in whole}
    planned = plan(history, names, layouts, found.folders, found.there)
    if not only:
        forget, left = find_forgettable(records, history, variables)
        planned = replace(planned, steps=[*planned.steps, *forget], left=[*planned.left, *left])
    return Proposal(environment, planned, found, settings, healed)


def _spark(environment: Environment, bounds: Mapping[str, int]) -> dict[str, OtherEngine]:
    """How Spark compacts tables, by their names; DuckDB does what Spark cannot, and the step says why.

    Args:
        environment: where.
        bounds: bytes above which Spark does.
    """
    why_not = ""
    try:
        if bounds:
            check_ready()
            check_place(environment)
    except SlipwayError as error:
        why_not = error.line()
    return {name: OtherEngine(SPARK, above, why_not) for name, above in bounds.items()}


def maintain(proposal: Proposal, tell: Callable[[str], None]) -> Maintained:
    """Carry it out: each table is committed by itself, if it is where it was; then files are removed.

    Raises:
        UnavailableError: the catalog or the store cannot be written; what was done until then is whole.
    """
    environment, found, steps = proposal.environment, proposal.found, proposal.plan.steps
    tables = Tables(environment, Secret(environment).renew)
    name = f"{new_run_id(found.history.now)}-compacted"
    moved: list[Left] = []
    differ: list[str] = []
    written = 0
    todo = commits(steps, found.history)
    by_spark = {step.table for step in steps if isinstance(step, Compact) and step.engine == SPARK}
    if todo:
        connection = connect(environment, environment.home, proposal.settings)
        published = {what.identifier: what.base for what in todo if str(what.identifier) in by_spark}
        spark = SparkOfRun(tables, name, lambda: published)
        try:
            for what in todo:
                table = str(what.identifier)
                tell(f"{table} …")
                try:
                    written += apply_commit(
                        connection, tables, what, name, spark if table in by_spark else None
                    )
                except ConflictError as error:
                    moved.append(Left(table, f"it moved meanwhile: {error.why}"))
                except UnavailableError:
                    raise
                except SlipwayError as error:
                    moved.append(Left(table, error.line()))
                    differ += [table] if isinstance(error, RowsDifferError) else []
        finally:
            spark.close()
            connection.close()
    for step in steps:
        if isinstance(step, Delete):
            apply_delete(tables, found.roots[step.table], step)
        elif isinstance(step, Forget):
            apply_forget(Records(environment), step, new_run_id(datetime.now(UTC)), found.history)
    gone = {one.table for one in moved}
    done = [step for step in steps if isinstance(step, Delete | Forget) or step.table not in gone]
    return Maintained(replace(proposal.plan, steps=done, left=[*proposal.plan.left, *moved]), written, differ)
