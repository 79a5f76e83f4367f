"""What a run is called, and when it happened as far as clocks can be believed."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta


def new_run_id(now: datetime) -> str:
    """A run id that sorts by start time: ``20110831T120000Z-1f2e3d4c``.

    The first three of the eight hexadecimal digits are milliseconds, because several runs that find nothing new can begin within a second;
    the others are random.
    """
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{now.microsecond // 1000:03x}{secrets.token_hex(3)[:5]}"


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
    """When a run did something that was noted; None when only a clock that was ahead says so.

    Moments of later runs are pushed behind such a one, to keep their order; their ids still tell when they began.
    """
    for moment in (noted, started_at(run_id)):
        if moment is not None and moment <= now + AHEAD:
            return moment
    return None
