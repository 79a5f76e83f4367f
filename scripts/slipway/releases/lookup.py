"""The environment that a command works on, the runs in it, and which of them built a node last."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.counts import plural
from slipway.environments.environment import Environment
from slipway.environments.profiles import Profile, find_project
from slipway.errors import DamagedError, NotFoundError
from slipway.records.release_records import Release
from slipway.records.store import Records, why_missing
from slipway.releases.rollback_rules import Exposure, affected

LATEST = "latest"


@dataclass(frozen=True)
class FoundRun:
    """A run and where its records are: in the environment, or in a scratch environment of it."""

    run_id: str
    records: Records


def environment_of(project_dir: Path | None, target: str | None) -> Environment:
    """The environment of a target in the project of a folder; both default to where the command is run.

    Raises:
        NotFoundError: there is no project.
        ConfigError: no such target, or it lacks what it needs.
    """
    return Profile(find_project(project_dir)).environment(target)


def find_run(environment: Environment, text: str) -> FoundRun:
    """The run that an id, a unique part of it or ``latest`` names.

    ``latest`` is the environment's own; ids of runs in scratch environments (slices) are found, too.

    Raises:
        NotFoundError: none or several.
    """
    records = Records(environment)
    if text == LATEST:
        return FoundRun(records.find_run(LATEST), records)
    found = [run for run in _all_runs(environment) if text and text in run.run_id]
    exact = [run for run in found if run.run_id == text]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        some = ", ".join(run.run_id for run in found[:3]) + (" …" if len(found) > 3 else "")
        raise NotFoundError(
            f"Run {text} is not unique",
            f"{plural(len(found), 'run', 'match', 'matches')}: {some}",
            "Give more of the id",
        )
    why = why_missing(records.store, text)
    raise NotFoundError(f"There is no run {text} in {environment.name}", why, "List runs with slipway runs")


def _all_runs(environment: Environment) -> Iterator[FoundRun]:
    folders = [environment.home / "scratch"]
    scratch = sorted(folder for parent in folders if parent.is_dir() for folder in parent.iterdir())
    for records in [Records(environment), *(Records(environment.scratch(folder)) for folder in scratch)]:
        for run_id in records.run_ids():
            yield FoundRun(run_id, records)


def readers_of(records: Records, last: Release, tables: Collection[str]) -> tuple[list[Exposure], list[str]]:
    """Who reads tables that are about to change, as the last release knows it; and why that is not known, if so."""
    try:
        return affected(records.dbt_manifest(last.run_id) or {}, tables), []
    except DamagedError as error:
        return [], [f"who reads the tables is not known: {error.line()}"]


def newest_runs_of_nodes(
    records: Records, releases: Sequence[Release], nodes: Collection[str]
) -> Iterator[tuple[str, set[str]]]:
    """Runs of releases, newest first, and the unique ids of the nodes that no later one built or looked at.

    Raises:
        DamagedError: a run manifest cannot be read.
    """
    remaining = set(nodes)
    for release in reversed(releases):
        if not remaining:
            break
        manifest = records.manifest(release.run_id)
        if manifest is None and (came := records.promoted_manifest(release.run_id)):
            manifest = came[0]
        found = remaining.intersection(node.unique_id for node in manifest.nodes) if manifest else set()
        if found:
            yield release.run_id, found
        remaining -= found


def is_table(node: Mapping[str, Any]) -> bool:
    """Whether a node of dbt's manifest becomes a table."""
    kind = (node.get("config") or {}).get("materialized")
    return node["resource_type"] in ("model", "seed", "snapshot") and kind not in ("ephemeral", "view")


def tables_of(nodes: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Unique ids of the nodes that become tables."""
    return {unique_id for unique_id, node in nodes.items() if is_table(node)}
