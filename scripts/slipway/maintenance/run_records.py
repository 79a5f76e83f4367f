"""Records of runs and plans that have no use any more: found with what needs them, written down as removed, and removed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from slipway.errors import DamagedError
from slipway.maintenance.retention import History, run_days
from slipway.maintenance.run_retention import StoredRun, removable, removable_plans
from slipway.maintenance.steps import Forget, Found, Left
from slipway.records.record_files import DBT_MANIFESTS, REPAIRED, SHARED_AGAIN_AFTER, rest_of
from slipway.records.shadow_runs import SHADOWS
from slipway.records.store import PROMOTIONS, Records, note_removed, removed_runs, stored_run_ids
from slipway.releases.approvals import PLANS, PlanFiles
from slipway.releases.lookup import newest_runs_of_nodes, tables_of
from slipway.storage.objects import LocalStore, ObjectInfo

RUNS = "_slipway/runs"
OF_PLANS = f"_slipway/{PLANS}"
OF_SHADOWS = f"_slipway/{SHADOWS}"
_MANIFESTS = f"_slipway/{DBT_MANIFESTS}"
_SETTLED = {"run_manifest.json", "closed.json"}
_OWN = "dbt/manifest.json"


def find_forgettable(
    records: Records, history: History, variables: Mapping[str, Any]
) -> tuple[list[Forget], list[Left]]:
    """Records of runs and of plans of promotions, and stored manifests of dbt, that nothing needs any more.

    Returns:
        The steps, and why there are none where that is so.

    Raises:
        ConfigError: the policy is none.
    """
    days = run_days(variables)
    if history.damaged:
        some = ", ".join(sorted(history.damaged))
        return [], [Left(RUNS, f"{some} cannot be read, so it is not known which runs made its rows")]
    try:
        removed = removed_runs(records.store)
        stored = _stored(records)
        # an earlier maintenance did not end
        begun = [run for run in stored if run.run_id in removed]
        rest = [run for run in stored if run.run_id not in removed]
        old = removable(history, rest, days, _needed(records, history))
        gone = sorted([*begun, *old], key=lambda run: run.run_id)
        plans = removable_plans(history, _plans(records), days, _kept_plans(records, history))
        shadows = removable_plans(history, _shadows(records), days, ())
        steps = [Forget(OF_PLANS, (), tuple(plans))] if plans else []
        steps += [Forget(OF_SHADOWS, (), tuple(shadows))] if shadows else []
        if not gone:
            return steps, []
        names = tuple(run.run_id for run in gone)
        steps.append(Forget(RUNS, names, tuple(one for run in gone for one in run.objects)))
        if unnamed := list(_unnamed(records, history, [run for run in stored if run.run_id not in names])):
            steps.append(Forget(_MANIFESTS, (), tuple(unnamed)))
    except DamagedError as error:
        return [], [Left(RUNS, error.line())]
    return steps, []


def apply_forget(records: Records, step: Forget, name: str, history: History) -> None:
    """Remove records: runs are written down as removed before, and a stored manifest stays if a run wrote it again."""
    store = records.store
    keys = [one.location for one in step.objects]
    if step.table == OF_PLANS:
        # without its record a plan is none, whatever is left of it
        keys.sort(key=lambda key: not key.endswith(".json"))
    elif step.table != OF_SHADOWS and not step.runs:
        before = _unused_since(records, history)
        keys = [
            item.key for item in store.entries(DBT_MANIFESTS) if item.key in keys and item.modified < before
        ]
    elif step.runs:
        note_removed(store, name, step.runs, f"{history.now:%Y-%m-%d}")
    store.delete(keys)
    if isinstance(store, LocalStore):
        _remove_empty(
            Path(store.root.removeprefix("file://")),
            [records.folder(run_id) for run_id in step.runs]
            or list({"/".join(key.split("/")[:2]) for key in keys if key.count("/") > 1}),
        )


def _stored(records: Records) -> list[StoredRun]:
    objects: dict[str, list[ObjectInfo]] = defaultdict(list)
    for item in records.store.entries("runs"):
        parts = item.key.split("/", 3)
        if len(parts) > 3:  # runs/<date>/<run id>/<name>
            objects[parts[2]].append(item)
    if isinstance(records.store, LocalStore):  # folders that are empty by now
        for run_id in removed_runs(records.store).keys() & set(stored_run_ids(records.store)):
            objects[run_id] += []
    return [
        StoredRun(
            run_id,
            [Found(item.key, item.size, item.modified) for item in found],
            any(item.key.split("/", 3)[3] in _SETTLED for item in found),
        )
        for run_id, found in objects.items()
    ]


def _plans(records: Records) -> dict[str, list[Found]]:
    """Each plan's record and what is signed of it, by its id; also of one whose record is gone already."""
    found: dict[str, list[Found]] = defaultdict(list)
    for item in records.store.entries(PLANS):
        plan_id = item.key.removeprefix(f"{PLANS}/").partition("/")[0]
        found[plan_id.removesuffix(REPAIRED).removesuffix(".json")].append(
            Found(item.key, item.size, item.modified)
        )
    return found


def _shadows(records: Records) -> dict[str, list[Found]]:
    """Each result of a shadow run, with its repaired copy if there is one."""
    found: dict[str, list[Found]] = defaultdict(list)
    for item in records.store.entries(SHADOWS):
        shadow_id = item.key.removeprefix(f"{SHADOWS}/").removesuffix(REPAIRED).removesuffix(".json")
        found[shadow_id].append(Found(item.key, item.size, item.modified))
    return found


def _kept_plans(records: Records, history: History) -> set[str]:
    """Plans of promotions that have no copy of them, because an earlier version made them."""
    return {
        one.promoted.plan_id
        for one in history.releases
        if one.promoted and not records.has(PlanFiles(records, one.promoted.plan_id, one.number).plan_key)
    }


def _needed(records: Records, history: History) -> set[str]:
    """Runs that decide what is unchanged, which tests are carried, which policies hold, and what code is released."""
    needed: set[str] = set()
    published = {release.run_id for release in history.releases if release.by_run}
    for run_id in records.run_ids():
        with suppress(DamagedError):
            manifest = records.manifest(run_id)
            if manifest is None or not (run_id in published or manifest.outcome.is_current):
                continue
            needed.add(run_id)
            if records.dbt_manifest(run_id):
                break
    for release in reversed(history.releases):
        if described := records.dbt_manifest(release.run_id):
            needed.add(release.run_id)
            needed |= {
                run_id
                for run_id, _ in newest_runs_of_nodes(
                    records, history.releases, tables_of(described["nodes"])
                )
            }
            break
    return needed


def _unnamed(records: Records, history: History, kept: Collection[StoredRun]) -> Iterator[Found]:
    """Stored manifests of dbt that no run names which is kept, and that no run wrote for some time.

    Raises:
        DamagedError: it is not known what one of the runs names.
    """
    store, before = records.store, _unused_since(records, history)
    named = set()
    for run in kept:
        for one in run.objects:
            if one.location.endswith((f"/{_OWN}", f"/{_OWN}{REPAIRED}")):
                named.add(rest_of(store.read(one.location), f"{store.root}/{one.location}"))
    for item in store.entries(PROMOTIONS):
        if "/dbt/" in item.key:
            named.add(rest_of(store.read(item.key), f"{store.root}/{item.key}"))
    for item in store.entries(DBT_MANIFESTS):
        if item.key not in named and item.modified < before:
            yield Found(item.key, item.size, item.modified)


def _unused_since(records: Records, history: History) -> datetime:
    """Whoever needs a stored manifest writes it again when it is half as old as this."""
    return records.store.clock() - max(history.older_than, 2 * SHARED_AGAIN_AFTER)


def _remove_empty(root: Path, folders: Collection[str]) -> None:
    for folder in folders:
        below = sorted((path for path in (root / folder).rglob("*") if path.is_dir()), reverse=True)
        for path in (*below, root / folder, (root / folder).parent):
            with suppress(OSError):  # it is not empty, or gone
                path.rmdir()
