"""A run's turn: before it lands or pins anything, it waits for runs that may publish the same tables."""

from __future__ import annotations

import atexit
import os
from typing import Any

from dbt import selected_resources
from dbt.adapters.factory import FACTORY
from dbt.events.types import JinjaLogInfo
from dbt_common.events.functions import fire_event

from slipway.adapters.dbt.session import Session
from slipway.adapters.leases import Leases
from slipway.domain.environment import Mode
from slipway.domain.errors import ConfigError
from slipway.domain.lease import WAITS

_NO_TABLE = ("ephemeral", "view")


def wait_for_turn(session: Session, *, everything: bool = False) -> bool:
    """Take the lease of the tables that a run may publish, and pin its inputs anew: others published meanwhile.

    Runs that cannot publish in the environment need none.

    Args:
        session: the run.
        everything: the run may publish more than dbt selected.

    Returns:
        Whether others published meanwhile.

    Raises:
        ConflictError: others on the same tables took longer than the run may wait.
        ConfigError: SLIPWAY_WAIT is no number of seconds.
    """
    tables = None if everything else _tables(session.manifest)
    if tables == [] or not _publishes(session):
        return False
    session.lease = Leases(session.records).take(
        session.request.run_id,
        tables,
        wait=_seconds(session.request.wait),
        what=f"a run in {session.environment.name}",
        tell=lambda text: fire_event(JinjaLogInfo(msg=text)),
    )
    atexit.register(session.lease.release)  # plain dbt leaves out on-run-end when it is interrupted
    if not session.look_again():
        return False
    adapter: Any = FACTORY.adapters["duckdb"]
    adapter.cache.clear()
    return True


def _publishes(session: Session) -> bool:
    from dbt.flags import get_flags

    flags, environment = get_flags(), session.environment
    if session.scratch or getattr(flags, "EMPTY", False) or getattr(flags, "SAMPLE", None):
        return False
    return (
        environment.mode is not Mode.PRODUCTION if session.request.managed else environment.publishes_from_dbt
    )


def _tables(manifest: Any) -> list[str]:
    """``layer.table`` of the models, seeds and snapshots that dbt selected."""
    selected = [manifest.nodes.get(unique_id) for unique_id in selected_resources.SELECTED_RESOURCES]
    return [
        f"{node.schema}.{node.alias}"
        for node in selected
        if node is not None
        and node.resource_type in ("model", "seed", "snapshot")
        and node.config.materialized not in _NO_TABLE
    ]


def _seconds(asked: float | None) -> float:
    given = os.environ.get("SLIPWAY_WAIT")
    if asked is not None or not given:
        return WAITS if asked is None else asked
    if not given.isdecimal():
        raise ConfigError(
            f"SLIPWAY_WAIT is {given}", "it is no number of seconds", "give a whole number, or 0"
        )
    return float(given)
