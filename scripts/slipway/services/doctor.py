"""Doctor: what is not as it should be in an environment, and its repair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.domain.errors import SlipwayError
from slipway.domain.health import Finding, Step, steps_of

if TYPE_CHECKING:
    from slipway.adapters.health.examination import Examination


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
    """Look for what crashes and careless hands left behind; nothing is changed.

    Args:
        project: folder of dbt_project.yml.
        target: the environment.
        deep: look at the records of every run and at every data file, too.
    """
    from slipway.adapters.health.checks import examine as look
    from slipway.adapters.health.examination import Examination
    from slipway.adapters.profile import Profile

    at = Examination(Profile(project).environment(target), project, datetime.now(UTC), deep)
    return Diagnosis(at.environment.name, look(at), at)


def repair(diagnosis: Diagnosis, tell: Callable[[str], None]) -> list[Done]:
    """Carry out every step; one that fails does not keep the others from being done."""
    from slipway.adapters.health.repairs import carry_out

    done = []
    for step in diagnosis.steps:
        try:
            for line in carry_out(diagnosis.examination, step):
                tell(line)
            done.append(Done(step))
        except SlipwayError as error:
            done.append(Done(step, error.line()))
    return done
