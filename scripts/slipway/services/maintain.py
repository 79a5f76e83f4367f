"""Maintenance: put small files together, let snapshots expire, and remove what nothing names any more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.domain.environment import Environment
from slipway.domain.errors import ConflictError, SlipwayError, UnavailableError
from slipway.domain.maintenance.steps import Delete, Forget, Left, Plan, chosen, plan
from slipway.domain.run import new_run_id

if TYPE_CHECKING:
    from slipway.adapters.maintenance.survey import Survey


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
        plan: with the steps that were carried out, and with the tables that moved meanwhile among those left alone.
        bytes_written: bytes of the files that small ones became.
        differ: tables whose rows came out otherwise; they are left alone, and something is wrong.
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

    Args:
        project: folder of dbt_project.yml.
        target: the environment.
        only: names or patterns of tables, all when empty.
        older_than: how long files are left alone.
        dry_run: nothing is changed.

    Raises:
        NotFoundError: there is no catalog yet.
        UsageError: a pattern names no table.
        UnavailableError: the catalog or the store cannot be read.
        SlipwayError: the environment is on hold, or a record cannot be read.
    """
    from slipway.adapters.profile import Profile
    from slipway.adapters.published import Published

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
    """The same for an environment that is known.

    Args:
        environment: where.
        variables: the vars of dbt_project.yml.
        settings: DuckDB's, of the target.
        only: names or patterns of tables, all when empty.
        older_than: how long files are left alone.
        now: the moment that ages are counted from.
        dry_run: nothing is changed.
    """
    from slipway.adapters.engine import Secret
    from slipway.adapters.holds import Holds
    from slipway.adapters.iceberg.tables import Tables
    from slipway.adapters.maintenance.runs import find_forgettable
    from slipway.adapters.maintenance.survey import layout_of, survey
    from slipway.adapters.records import Records
    from slipway.adapters.releases import heal

    records, tables = Records(environment), Tables(environment, Secret(environment).renew)
    healed: list[str] = []
    if not dry_run:
        Holds(records).refuse(f"maintenance of {environment.name}")
        healed = heal(tables, records)
    found = survey(tables, records, variables, now, older_than)
    history = found.history
    names = chosen(history.names(), only)
    whole = [name for name in names if name in history.tables and name not in history.damaged]
    layouts = {name: layout_of(tables, history, name) for name in whole}
    planned = plan(history, names, layouts, found.folders, found.there)
    if not only:
        forget, left = find_forgettable(records, history, variables)
        planned = replace(planned, steps=[*planned.steps, *forget], left=[*planned.left, *left])
    return Proposal(environment, planned, found, settings, healed)


def maintain(proposal: Proposal, tell: Callable[[str], None]) -> Maintained:
    """Carry it out: each table is committed by itself, if it is where it was; then files are removed.

    Args:
        proposal: the plan.
        tell: gets lines for the person who watches.

    Raises:
        UnavailableError: the catalog or the store cannot be written; what was done until then is whole.
    """
    from slipway.adapters.engine import Secret, connect
    from slipway.adapters.iceberg.tables import Tables
    from slipway.adapters.iceberg.write.compact import RowsDifferError
    from slipway.adapters.maintenance.apply import apply_commit, apply_delete, commits
    from slipway.adapters.maintenance.runs import apply_forget
    from slipway.adapters.records import Records

    environment, found, steps = proposal.environment, proposal.found, proposal.plan.steps
    tables = Tables(environment, Secret(environment).renew)
    name = f"{new_run_id(found.history.now)}-compacted"
    moved: list[Left] = []
    differ: list[str] = []
    written = 0
    todo = commits(steps)
    if todo:
        connection = connect(environment, environment.home, proposal.settings)
        try:
            for commit in todo:
                tell(f"{commit.table} …")
                try:
                    written += apply_commit(connection, tables, found.history, commit, name)
                except ConflictError as error:
                    moved.append(Left(commit.table, f"it moved meanwhile: {error.why}"))
                except UnavailableError:
                    raise
                except SlipwayError as error:
                    moved.append(Left(commit.table, error.line()))
                    differ += [commit.table] if isinstance(error, RowsDifferError) else []
        finally:
            connection.close()
    for step in steps:
        if isinstance(step, Delete):
            apply_delete(tables, found.roots[step.table], step)
        elif isinstance(step, Forget):
            apply_forget(Records(environment), step, new_run_id(datetime.now(UTC)), found.history)
    gone = {one.table for one in moved}
    done = [step for step in steps if isinstance(step, Delete | Forget) or step.table not in gone]
    return Maintained(replace(proposal.plan, steps=done, left=[*proposal.plan.left, *moved]), written, differ)
