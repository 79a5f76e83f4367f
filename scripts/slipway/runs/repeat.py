"""A run that would change nothing, found out and written down without dbt: everything it depends on is what it was.

A run that dbt was started for, and that found every node unchanged, writes down what that depended on (``Basis``). While all of it
is the same, the next run has the same result. Nothing here is sure enough to refuse a run: whatever is not known, cannot be read, or is in
the way of one, is left to dbt's way, which says so.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.code import versions
from slipway.code.versions import digest_of_code, digest_of_software
from slipway.environments.environment import Environment
from slipway.environments.profiles import Profile, digest_of_settings
from slipway.errors import DamagedError, SlipwayError
from slipway.landing.area import landing_area, listing_digest, nothing_to_land
from slipway.landing.feeds import read_feeds
from slipway.names import TableName
from slipway.records.landed_files import Freshness, outstanding_lines
from slipway.records.node_results import Change, Node, Status, Tests
from slipway.records.record_files import read_record
from slipway.records.run_manifest import BASIS, Basis, Code, Outcome, RunManifest, Versions
from slipway.records.store import Records, check_seal
from slipway.runs.decision import RunFacts, decide
from slipway.runs.run_request import Beginning
from slipway.secrets import hide

if TYPE_CHECKING:
    from slipway.iceberg.tables import Tables


_OF_STATE = ("result:", "source_status:", "state:")


def begin(project: Path, selectors: Sequence[str], command: object) -> Beginning | None:
    """Look at a project before dbt is started; None where its files are not all known, or dbt may select by earlier results.

    Args:
        project: folder of dbt_project.yml.
        selectors: all of the command.
        command: what decides about its result, as JSON.
    """
    if any(sign in selector for selector in selectors for sign in _OF_STATE):
        return None
    try:
        facts = {
            "command": _digest(command),
            "versions": digest_of_software(),
            "code": digest_of_code(project),
        }
    except (SlipwayError, OSError, UnicodeError):
        return None
    profiles_dir = Path(os.environ.get("DBT_PROFILES_DIR") or project).resolve()
    return Beginning(facts, dict(os.environ), profiles_dir)


def settings(environment: Environment, beginning: Beginning, names: Sequence[str]) -> str:
    """The digest of the settings that a run began with.

    Args:
        environment: where it runs.
        beginning: of the run.
        names: of the variables that the project's code reads.
    """
    return digest_of_settings(environment, beginning.profiles_dir, names, beginning.variables)


def tables(locations: Mapping[TableName, str]) -> str:
    """The digest of what a catalog names."""
    return _digest(sorted([*name, location] for name, location in locations.items()))


@dataclass(frozen=True)
class Repetition:
    """A run that dbt need not be started for.

    Args:
        before: the run that it repeats.
        manifest: its run manifest.
        basis: what it depended on.
        dbt_manifest: what is kept of dbt's manifest with it.
        lines: for the person who watches.
    """

    before: str
    manifest: RunManifest
    basis: Basis
    dbt_manifest: bytes
    lines: list[str]


def repeat(
    records: Records,
    project: Path,
    beginning: Beginning,
    *,
    run_id: str,
    started_at: datetime,
    command: Sequence[str],
) -> Repetition | str:
    """The run that would change nothing, or why dbt has to be started.

    Args:
        records: of the environment.
        project: folder of dbt_project.yml.
        beginning: what is so now.
        run_id: of the new run.
        started_at: when it began.
        command: its command line.

    Raises:
        UnavailableError: the warehouse does not answer. dbt would wait for it as long again, and end with the same line.
    """
    try:
        before = next(records.run_ids(), None)
    except DamagedError as error:
        return error.line()
    try:
        return _repeat(records, project, beginning, run_id, started_at, command, before)
    except (SlipwayError, OSError, UnicodeError) as error:
        return error.line() if isinstance(error, SlipwayError) else str(error)


def _repeat(
    records: Records,
    project: Path,
    beginning: Beginning,
    run_id: str,
    started_at: datetime,
    command: Sequence[str],
    before: str | None,
) -> Repetition | str:
    last = _last(records, before)
    if isinstance(last, str):
        return last
    manifest, basis = last
    environment, landing = records.environment, _Landing(records.environment, project)
    facts = {**beginning.facts, "settings": settings(environment, beginning, basis.variables)}
    if other := difference(basis, facts) or difference(basis, {"landing": landing.digest}):
        return f"other {other} than in run {basis.run_id}"
    if basis.until and started_at >= basis.until:
        return "the deprecation date of a model has passed since"
    if why := _in_the_way(records) or _moved(records, project, basis):
        return why
    code = versions.code_of(project)
    if code.commit != manifest.code.commit or code.dirty > manifest.code.dirty:
        return f"the work tree is not at the commit of run {basis.run_id}, or not clean any more"
    made = repeated(
        manifest,
        environment,
        datetime.now(UTC),
        run_id=run_id,
        started_at=started_at,
        command=[hide(part) for part in command],
        by=(versions.who(), versions.host()),
        code=manifest.code,  # of the same files, among them modules that only an import finds
        versions=versions.versions_of(project),
    )
    if made is None:
        return "the gates decide otherwise than in the run before"
    return Repetition(
        before=manifest.run_id,
        manifest=made,
        basis=basis.model_copy(update={"run_id": run_id}),
        dbt_manifest=records.dbt_manifest_again(manifest.run_id),
        lines=[*landing.lines, *outstanding_lines(made.outstanding)],
    )


def write(records: Records, repetition: Repetition) -> None:
    """Write the records of a run that dbt was not started for.

    Raises:
        UnavailableError: the store cannot be written.
    """
    run_id = repetition.manifest.run_id
    records.write(run_id, "dbt/manifest.json", repetition.dbt_manifest)
    records.write(run_id, BASIS, repetition.basis.model_dump_json(indent=1))
    records.write(run_id, "run_manifest.json", repetition.manifest.model_dump_json(indent=1))
    records.seal(run_id)
    summary = f"dbt was not started: everything is as in run {repetition.before}"
    lines = [
        {
            "run_id": run_id,
            "time": repetition.manifest.finished_at.isoformat(),
            "level": "info",
            "event": "Unchanged",
            "message": hide(text),
        }
        for text in (*repetition.lines, summary)
    ]
    log = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
    records.write_compressed(run_id, "log.jsonl", log.encode())


class _Landing:
    """What is in the landing area of an environment now."""

    def __init__(self, environment: Environment, project: Path) -> None:
        feeds = read_feeds(project)
        area = landing_area(environment.landing, environment.catalog_properties)
        if feeds:
            area.check()
        arrivals = {
            feed.name: [one for one in area.arrivals(feed.name) if not feed.is_ignored(one.info.key)]
            for feed in feeds
        }
        self.digest = listing_digest(arrivals, area.others() if feeds else [])
        self.lines = [nothing_to_land(area.root, feed) for feed, found in arrivals.items() if not found]


def _last(records: Records, run_id: str | None) -> tuple[RunManifest, Basis] | str:
    """The newest run and what it depended on, or why it cannot be repeated."""
    manifest = records.manifest(run_id) if run_id else None
    if run_id is None or manifest is None:
        return "the run before has no run manifest"
    if why := cannot_be_repeated(manifest):
        return why
    try:
        basis = read_record(records.store, Basis, f"{records.folder(run_id)}/{BASIS}", run_id=run_id)
    except FileNotFoundError:
        return "the run before did not write down what it depended on"
    if basis.obstacle:
        return basis.obstacle
    check_seal(records, run_id, "a run without dbt")
    return manifest, basis


def _in_the_way(records: Records) -> str:
    """What makes a run wait, heal or refuse, in words; empty for nothing."""
    from slipway.releases.holds import Holds
    from slipway.releases.leases import Leases

    records.last_release()
    if records.open_keys():
        return "a publication is not finished"
    if Holds(records).current():
        return "the environment is on hold"
    return "another run is under way" if Leases(records).found() else ""


def _moved(records: Records, project: Path, basis: Basis) -> str:
    """Whether a table is another one than it was, in words; empty for none."""
    from slipway.iceberg.tables import Tables
    from slipway.releases.publication import check_store

    for path, size in basis.files.items():
        if Path(path).stat().st_size != size:
            return f"{path} has another size"
    own = Tables(records.environment)
    if difference(basis, {"tables": tables(_named(own, records))}):
        return f"other tables than in run {basis.run_id}"
    profile = Profile(project)
    for target, wanted in basis.others.items():
        environment = profile.environment(target)
        found = _named(Tables(environment), Records(environment))
        now = {str(name): location for name, location in found.items()}
        if any(now.get(name) != location for name, location in wanted.items()):
            return f"tables of {target} were published since"
    return check_store(own, records)


def _named(found: Tables, records: Records) -> dict[TableName, str]:
    from slipway.releases.published import check_catalog, check_file, visible_tables

    check_file(records)
    locations = dict(visible_tables(found, records).locations)
    check_catalog(found, records, locations)
    return locations


def local_files(names: Iterator[str]) -> dict[str, int]:
    """Path to size of the files among some locations that are on this machine."""
    from slipway.storage.locations import duckdb_path

    paths = [duckdb_path(name) for name in names]
    return {path: Path(path).stat().st_size for path in paths if "://" not in path}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


FACTS = ("command", "settings", "versions", "code", "landing", "tables")
"""What has a digest in a basis, in the order in which it is compared: what costs least comes first."""
_KEPT = (Change.UNCHANGED, Change.NONE)
_PASSED = (Status.PASS, Status.NOT_RUN)


def cannot_be_repeated(manifest: RunManifest) -> str:
    """Why dbt has to look again after a run, as far as its run manifest shows; empty for no reason."""
    if manifest.outcome is not Outcome.UNCHANGED:
        return f"the run before ended as {manifest.outcome}"
    if manifest.scratch or manifest.landed_files:
        return "the run before landed files or was a scratch run"
    if manifest.options.full_refresh or manifest.options.event_time_start or manifest.options.event_time_end:
        return "tables are rebuilt"
    for node in manifest.nodes:
        if node.volatile:
            return f"{node.table or node.unique_id} is always built: {node.volatile}"
        if node.status is not Status.SUCCESS or node.change not in _KEPT or node.notes:
            return f"{node.table or node.unique_id} was not simply unchanged"
    for test in manifest.tests.results:
        if test.volatile:
            return f"test {test.name} is never carried: {test.volatile}"
        if test.status not in _PASSED:
            return f"test {test.name} did not pass"
    return ""


def difference(basis: Basis, facts: Mapping[str, str]) -> str:
    """The first fact that is not what a run wrote down, empty for none.

    Args:
        basis: of that run.
        facts: as they are now; those that are not given are not compared.
    """
    return next((name for name in FACTS if name in facts and basis.facts.get(name) != facts[name]), "")


def repeated(
    before: RunManifest,
    environment: Environment,
    now: datetime,
    *,
    run_id: str,
    started_at: datetime,
    command: list[str],
    by: tuple[str, str],
    code: Code,
    versions: Versions,
) -> RunManifest | None:
    """The run manifest of a run that depends on the same things as the one before; None where the gates decide otherwise.

    Args:
        before: the run manifest of that one.
        environment: where both run.
        now: how old sources are is asked at this moment.
        run_id: of the new run.
        started_at: when it began.
        command: its command line.
        by: the user and the host.
        code: that of the run before, whose files are the same at the same commit.
        versions: of what is installed.
    """
    if now < before.finished_at:
        return None  # by a clock that went back, moments of landing may be in the future
    manifest = before.model_copy(
        update={
            "run_id": run_id,
            "invocation_id": "",
            "who": by[0],
            "host": by[1],
            "started_at": started_at,
            "finished_at": now,
            "command": command,
            "code": code,
            "versions": versions,
            "nodes": [_left(node) for node in before.nodes],
            "tests": _carried(before.tests),
            "freshness": [_aged(item, now) for item in before.freshness],
            "cpu_seconds": None,
            "peak_memory_bytes": None,
            "memory_limit_bytes": None,
            "release": None,
        }
    )
    outcome, reason = decide(
        RunFacts.of(manifest, environment, scratch=False, managed=True, nodes=len(before.nodes))
    )
    if outcome is not Outcome.UNCHANGED:
        return None
    return manifest.model_copy(update={"outcome": outcome, "reason": reason})


def _aged(item: Freshness, now: datetime) -> Freshness:
    age = round((now - item.last_landed_at).total_seconds(), 3) if item.last_landed_at else None
    return item.model_copy(update={"age_seconds": age})


def _left(node: Node) -> Node:
    unmeasured = dict.fromkeys(("cpu_seconds", "peak_memory_bytes", "spilled_bytes"))
    return node.model_copy(update={"seconds": 0.0, "phases": {}, **unmeasured})


def _carried(tests: Tests) -> Tests:
    results = [
        test.model_copy(update={"carried": True}) if test.status is Status.PASS else test
        for test in tests.results
    ]
    carried = sum(test.carried for test in results)
    return tests.model_copy(update={"results": results, "carried": carried, "executed": 0})
