"""What may be promoted to which environment: ``promotion.yml`` at the root of the project."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from slipway.contracts.described_file import parse_described
from slipway.environments.environment import Environment
from slipway.errors import ConfigError
from slipway.signing.statements import POLICY_FILE

FILE = POLICY_FILE
_AGE = re.compile(r"(\d{1,5})([hd])")
_UNITS = {"h": "hours", "d": "days"}
_Text = Annotated[str, StringConstraints(min_length=1)]


def _age(given: object) -> timedelta:
    if isinstance(given, timedelta):
        return given
    match = _AGE.fullmatch(given) if isinstance(given, str) else None
    if match is None:
        raise ValueError("is no age: write hours or days, such as 12h or 3d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


Age = Annotated[timedelta, BeforeValidator(_age)]
"""A span of time as ``12h`` or ``3d``."""


class Require(BaseModel):
    """The evidence that is demanded of the runs that vouch for the tables; what is left out is not asked for.

    Args:
        tests_passed: every test of what was built was executed or carried, and none failed.
        rows_balance: the rows of every feed were counted and add up.
        clean_commit: the code is a commit, without changes.
        commit_on: the branch that has the commit, such as ``main``.
        run_max_age: how long ago the runs may have begun.
        sources_fresh: no source is older than it allows, at this moment.
        contracts_compatible: since the last promotion no contract broke a promise without a new version.
        comparison_max_age: how long ago a canary of the commit was recorded that passed.
        comparison_min_percent: how many of the rows of each table that canary has to have compared. It is asked for where it is written, and
            with ``comparison_max_age``.
        signed: the release is signed by a key of keys.yml that counts in the environment that it is promoted from.
        quarantine_max_percent: how many of the rows of a feed may be in quarantine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tests_passed: bool = False
    rows_balance: bool = False
    clean_commit: bool = False
    commit_on: _Text | None = None
    run_max_age: Age | None = None
    sources_fresh: bool = False
    contracts_compatible: bool = False
    comparison_max_age: Age | None = None
    comparison_min_percent: float = Field(1.0, ge=0, le=100)
    signed: bool = False
    quarantine_max_percent: float | None = Field(None, ge=0, le=100)

    @property
    def asks_for_comparison(self) -> bool:
        """Whether a canary has to be recorded."""
        return self.comparison_max_age is not None or "comparison_min_percent" in self.model_fields_set


class People(BaseModel):
    """How many people have to approve a plan.

    Args:
        count: how many.
        roles: one of them each person needs in keys.yml; any person may approve where it is left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: Annotated[int, Field(strict=True, ge=1)]
    roles: tuple[_Text, ...] | None = Field(None, min_length=1)


class Approvals(People):
    """Who has to approve a plan.

    Args:
        classified: who has to for tables with data of a classification, such as ``restricted``.
        plan_max_age: how old a plan may be that is approved or carried out.
    """

    classified: dict[_Text, People] = Field(default_factory=dict)
    plan_max_age: Age | None = None


class Rules(BaseModel):
    """What may be promoted to one environment.

    Args:
        sources: the environments that releases may come from.
        layers: the schemas that are promoted; all of a release where it is left out.
        rebuild: nothing is copied there; a run of the environment builds the commit of the release itself.
        require: the evidence that is demanded.
        approvals: who has to approve a plan; nobody where it is left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False)

    sources: tuple[_Text, ...] = Field(alias="from", min_length=1)
    layers: tuple[_Text, ...] | None = Field(None, min_length=1)
    rebuild: bool = False
    require: Require = Field(default_factory=Require)
    approvals: Approvals | None = None

    def moves(self, layer: str) -> bool:
        """Whether tables of a layer are promoted."""
        return self.layers is None or layer in self.layers


class Policy(BaseModel):
    """What promotion.yml says; ``sha256`` is of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    environments: dict[_Text, Rules]
    sha256: str = Field("", exclude=True, init=False)

    def of(self, target: Environment, source: str | None) -> tuple[Rules, str]:
        """The rules of an environment, and the one to promote from: that which is named, or the only one.

        Raises:
            ConfigError: nothing may be promoted there, or not from the one that is named, or none is named of several.
        """
        rules = self.environments.get(target.name)
        if rules is None:
            known = ", ".join(self.environments) or "none"
            raise ConfigError(
                f"Nothing may be promoted to {target.name}",
                f"{FILE} has rules for {known}",
                f"Write what is demanded of a release below environments: {target.name}",
            )
        allowed = ", ".join(rules.sources)
        if source is None and len(rules.sources) > 1:
            raise ConfigError(
                f"Promotion to {target.name} needs --from",
                f"releases may come from {allowed}",
                "Name one of them",
            )
        chosen = source or rules.sources[0]
        if chosen not in rules.sources:
            raise ConfigError(
                f"Nothing may be promoted from {chosen} to {target.name}",
                f"{FILE} allows {allowed}",
                "Promote there first, or change the policy",
            )
        return rules, chosen


def read_policy(project: Path) -> Policy:
    """What promotion.yml says.

    Raises:
        ConfigError: there is none, or it has a key that nothing reads, or a value that is none.
    """
    path = project / FILE
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"There is no {FILE}",
            "it says what a release needs to be promoted",
            "Write one: docs/how-to/promote.md",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{FILE} cannot be read", str(error), "Save it as UTF-8") from None
    return parse_policy(text)


def parse_policy(text: str) -> Policy:
    """The same from its text."""
    found = parse_described(text, Policy, FILE, "Write a mapping with environments")
    return found.model_copy(update={"sha256": hashlib.sha256(text.encode()).hexdigest()})
