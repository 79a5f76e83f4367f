"""Identity of a run and of the release it may become."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

NOTHING_SELECTED = "the selection names no node"
"""Why there is nothing to do; other processes tell it by this text."""


def new_run_id(now: datetime) -> str:
    """A run id that sorts by start time: ``20110831T120000Z-1f2e3d4c``.

    Args:
        now: an aware datetime.
    """
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def run_date(run_id: str) -> str:
    """The date folder of a run, ``YYYY-MM-DD``, from its id."""
    return f"{run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}"


def started_at(run_id: str) -> datetime | None:
    """When a run began, as its id says; None for what is no run id."""
    try:
        return datetime.strptime(run_id.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


AHEAD = timedelta(minutes=5)
"""Clocks differ by less; what is later than this is from a clock that was wrong."""


def happened_at(noted: datetime, run_id: str, now: datetime) -> datetime | None:
    """When a run did something; None when only a clock that was ahead says so.

    Moments of later runs are pushed behind such a one, to keep their order; their ids still tell when they began.

    Args:
        noted: the moment that was written down.
        run_id: the run that did it.
        now: an aware datetime.
    """
    for moment in (noted, started_at(run_id)):
        if moment is not None and moment <= now + AHEAD:
            return moment
    return None


class Outcome(StrEnum):
    """How a run ended."""

    PUBLISHED = "published"
    STAGED = "staged"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    REFUSED = "refused"
    DISCARDED = "discarded"


@dataclass
class RunRequest:
    """What the caller asked of one dbt invocation.

    Args:
        run_id: the id the run will have.
        started_at: when it was asked for, UTC.
        managed: the ``slipway`` command publishes and writes the records itself after dbt returned.
        force: build also what is unchanged.
        vars: dbt's ``--vars``.
        scratch: folder of a scratch environment to build in, instead of the target's own.
        pins: ``schema.table`` to metadata location, inputs fixed by the caller.
        command: the command line, for the record.
        wait: seconds to wait for other runs on the same tables; None for the setting, or else the default.
    """

    run_id: str
    started_at: datetime
    managed: bool = False
    force: bool = False
    vars: dict[str, Any] = field(default_factory=dict)
    scratch: str | None = None
    pins: dict[str, str] | None = None
    command: list[str] = field(default_factory=list)
    wait: float | None = None
