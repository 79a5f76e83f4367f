"""How much of a table's history is kept: ``keep_days`` and ``keep_releases``, in a model's meta or as vars of the project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from slipway.domain.errors import ConfigError

KEYS = ("keep_days", "keep_releases")
_LEAST = {"keep_days": 0, "keep_releases": 1}
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
