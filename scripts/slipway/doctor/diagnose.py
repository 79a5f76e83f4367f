"""Doctor: all checks of an environment, in the order in which a person wants to hear of them, and their repair."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pyiceberg.exceptions import TableAlreadyExistsError

from slipway.code.versions import who
from slipway.doctor import environment_checks, record_checks, table_checks
from slipway.doctor.examination import (
    CloseRun,
    EndLease,
    Examination,
    Finding,
    Heal,
    KeepLog,
    Register,
    Remove,
    Sign,
    Step,
    Tag,
    WriteReplacement,
    steps_of,
)
from slipway.doctor.record_checks import LOG, kept_log
from slipway.environments.profiles import Profile
from slipway.errors import DamagedError, SlipwayError, UnavailableError
from slipway.iceberg.commit import writing
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.records.run_manifest import Closed
from slipway.releases.attestation import attest, signing_for
from slipway.releases.leases import Leases
from slipway.releases.publication import heal

Check = Callable[[Examination], Iterator[Finding]]

CHECKS: Sequence[Check] = (
    table_checks.catalog,
    record_checks.of_releases,
    record_checks.of_runs,
    record_checks.seals,
    record_checks.releases,
    record_checks.signatures,
    record_checks.tags,
    environment_checks.interrupted,
    environment_checks.holds,
    table_checks.released,
    table_checks.files,
    table_checks.abandoned,
    record_checks.states,
    record_checks.leases,
    record_checks.killed,
    record_checks.superseded,
    record_checks.scratch,
    environment_checks.spilled,
    environment_checks.temporary_folders,
    environment_checks.half_written,
    environment_checks.conditional_writes,
    environment_checks.clock,
)


def run_checks(at: Examination, checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """What all checks find; a check that cannot be made is a finding, reported once for all that fail alike."""
    found: list[Finding] = []
    for check in checks:
        try:
            found += check(at)
        except DamagedError as error:  # reported already, where records are examined, with what repairs it
            found.append(record_checks.finding(error))
        except SlipwayError as error:
            found.append(Finding(error.what, error.why, error.fix))
        except OSError as error:
            found.append(
                Finding(str(error.filename), f"it cannot be read: {error.strerror}", "Check who may read it")
            )
    distinct: dict[tuple[str, str], Finding] = {}
    for item in found:
        distinct.setdefault((item.where, item.what), item)
    return list(distinct.values())


@dataclass(frozen=True)
class Diagnosis:
    """What was found in an environment.

    Args:
        target: the environment.
        findings: what is not as it should be.
    """

    target: str
    findings: Sequence[Finding]
    examination: Examination

    @property
    def steps(self) -> list[Step]:
        """What can be done about it here."""
        return steps_of(self.findings)


@dataclass(frozen=True)
class Done:
    """A step that was carried out, and why it could not be, if so."""

    step: Step
    failure: str = ""


def examine(project: Path, target: str | None, *, deep: bool = False) -> Diagnosis:
    """Look for what crashes and mistakes left behind; nothing is changed."""
    at = Examination(Profile(project).environment(target), project, datetime.now(UTC), deep)
    return Diagnosis(at.environment.name, run_checks(at), at)


def repair(diagnosis: Diagnosis, tell: Callable[[str], None]) -> list[Done]:
    """Carry out every step; one that fails does not keep the others from being done."""
    done = []
    for step in diagnosis.steps:
        try:
            for line in _carry_out(diagnosis.examination, step):
                tell(line)
            done.append(Done(step))
        except SlipwayError as error:
            done.append(Done(step, error.line()))
    return done


def _carry_out(at: Examination, step: Step) -> list[str]:
    """Do one step.

    Returns:
        Lines to print with the step itself.

    Raises:
        SlipwayError: it could not be done.
    """
    match step:
        case Heal():
            return heal(Tables(at.environment), at.records)
        case Register():
            _register(Tables(at.environment), step)
        case Tag():
            _tag(Tables(at.environment), step)
        case WriteReplacement():
            with suppress(FileExistsError):
                at.records.store.create(step.key, step.content.encode())
        case KeepLog():
            _keep_log(at, step)
        case CloseRun():
            at.records.close(step.run_id, Closed(closed_at=at.now, who=who(), reason=step.reason))
        case Sign():
            _sign(at, step.number)
        case EndLease():
            Leases(at.records).remove(step.run_id)
        case Remove():
            _remove(Path(step.path))
    return []


def _sign(at: Examination, number: int) -> None:
    signed = next(release for release in at.releases[0] if release.number == number)
    attest(Tables(at.environment), at.records, signed, signing_for(at.environment), afterwards=True)


def _register(tables: Tables, step: Register) -> None:
    with writing(tables):
        tables.catalog.create_namespace_if_not_exists(TableName.parse(step.table).namespace)
        with suppress(TableAlreadyExistsError):
            tables.catalog.register_table(step.table, step.metadata_location)


def _tag(tables: Tables, step: Tag) -> None:
    with writing(tables):
        table = tables.catalog.load_table(step.table)
        change = table.manage_snapshots()
        if step.tag in table.metadata.refs:
            change = change.remove_tag(step.tag)
        change.create_tag(step.snapshot_id, step.tag).commit()


def _keep_log(at: Examination, step: KeepLog) -> None:
    """The log of a run that has one already, which is another, gets a name of its own."""
    content = Path(step.path).read_bytes()
    for name in (LOG, f"{LOG}.killed"):
        try:
            at.records.write_compressed(step.run_id, name, content)
        except FileExistsError:
            if kept_log(at.records, step.run_id, name) != content:
                continue
        Path(step.path).unlink()
        return


def _remove(path: Path) -> None:
    try:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    except OSError as error:
        raise UnavailableError(
            f"{path} cannot be removed", error.strerror or str(error), "Remove it yourself"
        ) from error
