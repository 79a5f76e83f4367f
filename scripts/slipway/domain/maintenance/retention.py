"""How much is kept: of tables by ``keep_days`` and ``keep_releases`` (meta or vars), of records by ``keep_run_days`` (vars)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from slipway.domain.errors import ConfigError

KEYS = ("keep_days", "keep_releases")
RUN_KEY = "keep_run_days"
RUN_DAYS = 90
"""How long records of runs are kept, unless the project says otherwise."""
_LEAST = {"keep_days": 0, "keep_releases": 1, RUN_KEY: 0}
_MOST = 36_500  # a hundred years, or as many releases: more is a way to say for ever


@dataclass(frozen=True)
class Retention:
    """The policy of one table.

    Args:
        days: how far back replays and every release reach, in days.
        releases: how many releases rollback reaches back to, however old; the one that is shown counts.
    """

    days: int = 30
    releases: int = 10

    @property
    def period(self) -> timedelta:
        """``days`` as a span of time."""
        return timedelta(days=self.days)


def parse_retention(of: str, settings: Mapping[str, Any], default: Retention) -> Retention:
    """Read the keys of a policy.

    Args:
        of: what they belong to, for the message.
        settings: a model's meta, or the project's vars; other keys are left alone.
        default: what holds for a key that is not there.

    Raises:
        ConfigError: a value that is not a whole number, too small, or too large.
    """
    days, releases = (_number(of, key, settings.get(key)) for key in KEYS)
    return Retention(
        default.days if days is None else days, default.releases if releases is None else releases
    )


def run_days(variables: Mapping[str, Any]) -> int:
    """How many days the records of runs are kept that nothing needs, by the project's vars.

    Raises:
        ConfigError: a value that is not a whole number, too small, or too large.
    """
    days = _number("vars of dbt_project.yml", RUN_KEY, variables.get(RUN_KEY))
    return RUN_DAYS if days is None else days


def _number(of: str, key: str, value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not _LEAST[key] <= value <= _MOST:
        raise ConfigError(
            f"{of}: {key} is {value}",
            f"it is not a whole number from {_LEAST[key]} to {_MOST}",
            "write for example 30",
        )
    return value
