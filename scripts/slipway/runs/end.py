"""The end of a run, whatever has built it: decide, publish all or nothing, and write down what happened; or publish it later."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from slipway.environments.profiles import Profile
from slipway.errors import ConflictError, NotFoundError, SlipwayError, UnavailableError, UnrecordedError
from slipway.iceberg.commit import hindrance
from slipway.iceberg.snapshots import StagedTable
from slipway.iceberg.tables import Tables
from slipway.processes import too_late
from slipway.records.release_records import Intent, Release
from slipway.records.run_manifest import BASIS, Basis, Outcome, RunManifest
from slipway.records.store import Records, check_seal
from slipway.releases.attestation import attest, release_signed, signing_for
from slipway.releases.candidates import audited
from slipway.releases.holds import Holds
from slipway.releases.leases import Leases
from slipway.releases.publication import heal, release
from slipway.releases.published import check_catalog
from slipway.runs.decision import RunFacts, closed_gate, decide
from slipway.secrets import hide
from slipway.signing.signing_keys import Signing

DBT_MANIFEST = "manifest.json"
"""Name of the artifact that runs share where it is the same."""


@dataclass(frozen=True)
class BuiltRun:
    """A run that has built and tested what it could.

    Args:
        facts: what the decision depends on.
        manifest: its run manifest, complete but for ``finished_at``, ``release``, ``outcome`` and ``reason``.
        staged: the tables that it publishes, with those that it retires.
        number: the number of its release, reserved when it is first asked for.
        artifacts: files of the tool that built it, each to what makes its bytes, without secrets.
        basis: what it depended on, asked when it has changed nothing; None where no later run may rely on it.
    """

    facts: RunFacts
    manifest: RunManifest
    staged: Sequence[StagedTable]
    number: Callable[[], int]
    artifacts: Mapping[str, Callable[[], bytes]]
    basis: Callable[[RunManifest], Basis | None]


def end_run(tables: Tables, records: Records, built: BuiltRun) -> RunManifest:
    """Decide the outcome of a run, publish it if it passed, write its run manifest, and sign the release.

    Args:
        tables: where it publishes.
        records: where its records go.
        built: the run.

    Raises:
        SlipwayError: the environment is on hold; recorded, and raised again.
        ConflictError: someone else published a table of this run; recorded, and raised again.
        UnavailableError: the catalog or the store could not be written; recorded, and raised again.
    """
    outcome, reason = decide(built.facts)
    manifest = built.manifest
    failure: SlipwayError | None = None
    published: Release | None = None
    signing = Signing(None)
    if outcome is Outcome.PUBLISHED:
        intent = Intent(number=built.number(), run_id=manifest.run_id, code=manifest.code)
        try:
            signing = signing_for(tables.environment)
            intent = intent.model_copy(update={"signing_key": signing.key_id})
            published = release(tables, records, built.staged, intent)
        except UnrecordedError as error:
            failure, reason = error, error.line()
        except SlipwayError as error:
            failure, outcome, reason = error, Outcome.REFUSED, error.line()
    manifest = manifest.model_copy(
        update={
            "finished_at": datetime.now(UTC),
            "release": built.number() if outcome is Outcome.PUBLISHED else None,
            "outcome": outcome,
            "reason": hide(reason),
        }
    )
    try:
        _write_records(records, manifest, built)
    except UnavailableError as error:
        if failure:
            raise failure from error
        if outcome is not Outcome.PUBLISHED:
            raise
        raise UnrecordedError(
            f"Release {manifest.release} is published, but the records of its run are not complete",
            f"{error.what}: {error.why}",
            "Nothing needs to be done again; slipway show prints what is known of this run",
        ) from error
    if failure:
        raise failure
    if published:
        attest(tables, records, published, signing)
    return manifest


def _write_records(records: Records, manifest: RunManifest, built: BuiltRun) -> None:
    missing: UnavailableError | None = None
    for name, made in built.artifacts.items():
        content = made()
        try:
            if name == DBT_MANIFEST:
                records.write_dbt_manifest(manifest.run_id, content)
            else:
                records.write_compressed(manifest.run_id, f"dbt/{name}", content)
        except UnavailableError as error:  # they are large; there may be room for what matters more
            missing = error
    if manifest.outcome is Outcome.UNCHANGED and (basis := built.basis(manifest)):
        records.write(manifest.run_id, BASIS, basis.model_dump_json(indent=1))
    records.write(manifest.run_id, "run_manifest.json", manifest.model_dump_json(indent=1))
    records.seal(manifest.run_id)
    if missing:
        raise missing


def closing_lines(manifest: RunManifest) -> list[str]:
    """What plain dbt says of a run that is over: tables with rows that other code made, notes, unexpected input, and what happened to it."""
    stale = [f"stale: {node.table}: {node.stale}" for node in manifest.nodes if node.stale]
    notes = [f"{node.table}: {note}" for node in manifest.nodes for note in node.notes] + manifest.tests.notes
    unexpected = [f"warning: {one.problem}" for one in manifest.input_volumes if one.problem]
    return [*stale, *notes, *unexpected, summary_line(manifest)]


def summary_line(manifest: RunManifest) -> str:
    """What happened to the run, in one line."""
    where = f" in scratch environment {manifest.scratch}" if manifest.scratch else ""
    match manifest.outcome:
        case Outcome.PUBLISHED:
            return f"published release {manifest.release}: {manifest.tables_built} of run {manifest.run_id}{where}"
        case Outcome.UNCHANGED:
            return f"nothing changed: no release, run {manifest.run_id}{where}"
    return f"not published ({manifest.outcome}): {manifest.reason}; run {manifest.run_id}{where}"


def publish_run(project: Path, target: str | None, run: str, wait: float = 0) -> Release:
    """Make every table of a staged run current in one step, if its gates are open still.

    Args:
        project: folder of dbt_project.yml.
        target: the environment.
        run: a run id, a unique part of one, or ``latest``.
        wait: seconds to wait for runs on the same tables.

    Raises:
        NotFoundError: there is no such run, or it never ended.
        SlipwayError: the run did not pass, is published already, or its gates are closed now: a source is too old, its
            evidence is not complete, the environment is on hold.
        ConflictError: a table moved since the run began, or a run on the same tables is under way; nothing was
            published.
        DamagedError: a record of it is damaged or not what the run wrote, or the catalog is of another environment;
            nothing was published.
    """
    environment = Profile(project).environment(target)
    records, tables = Records(environment), Tables(environment)
    heal(tables, records)
    check_catalog(tables, records, tables.locations())
    run_id = records.find_run(run)
    manifest = records.manifest(run_id)
    if manifest is None:
        raise NotFoundError(f"Run {run_id} has no run manifest", "it never came to its end", "Run it again")
    releases, damaged = records.readable_releases()
    if any(known.run_id == run_id and known.by_run for known in releases):
        raise SlipwayError(f"Run {run_id} is published already", fix="List releases with slipway releases")
    if why := closed_gate(manifest, environment.mode, datetime.now(UTC)):
        raise SlipwayError(f"Run {run_id} cannot be published", why, "Run again")
    check_seal(records, run_id, f"Publication of run {run_id}")
    Holds(records).refuse(f"A publication in {environment.name}")
    candidate = records.candidate(run_id)
    staged = audited(tables, manifest, candidate)
    number = candidate[0].release
    if number in damaged:  # it is published, and its record is damaged
        raise damaged[number]
    _refuse_moved(tables, run_id, staged)
    names = [str(item.identifier) for item in staged]
    lease = Leases(records).take(run_id, names, wait=wait, what=f"Publication of run {run_id}")
    try:
        intent = Intent(number=number, run_id=run_id, code=manifest.code)
        with too_late():
            return release_signed(tables, records, staged, intent)
    finally:
        lease.release()


def _refuse_moved(tables: Tables, run_id: str, staged: Sequence[StagedTable]) -> None:
    """Tell of a table that moved before anything is written; the publication asks once more."""
    now = tables.locations({item.identifier for item in staged})
    for item in staged:
        if why := hindrance(tables, item.identifier, item.base, now.get(item.identifier)):
            name = str(item.identifier)
            raise ConflictError(f"Run {run_id} cannot be published", f"{name} moved, {why}", "Run again")
