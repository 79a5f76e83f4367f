"""Doctor: all checks of an environment, in the order in which a person wants to hear of them, and their repair."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from slipway.doctor import environment_checks, record_checks, table_checks
from slipway.doctor.examination import Examination
from slipway.doctor.findings import Finding, Step, steps_of
from slipway.doctor.repairs import carry_out
from slipway.environments.profiles import Profile
from slipway.errors import DamagedError, SlipwayError

Check = Callable[[Examination], Iterator[Finding]]

CHECKS: Sequence[Check] = (
    table_checks.catalog,
    record_checks.of_releases,
    record_checks.of_runs,
    record_checks.seals,
    record_checks.releases,
    record_checks.tags,
    environment_checks.interrupted,
    environment_checks.holds,
    table_checks.released,
    table_checks.files,
    table_checks.counts,
    table_checks.abandoned,
    record_checks.states,
    record_checks.leases,
    record_checks.killed,
    record_checks.superseded,
    record_checks.scratch,
    environment_checks.spilled,
    environment_checks.comparisons,
    environment_checks.half_written,
    environment_checks.orphans,
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
            for line in carry_out(diagnosis.examination, step):
                tell(line)
            done.append(Done(step))
        except SlipwayError as error:
            done.append(Done(step, error.line()))
    return done
