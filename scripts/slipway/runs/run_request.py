"""What the caller of a run asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

NOTHING_SELECTED = "the selection names no node"
"""Why there is nothing to do; other processes recognise it by this text."""


@dataclass(frozen=True)
class Beginning:
    """What was so before dbt was started.

    Args:
        facts: digests of the command, of the code and of what is installed.
        variables: the environment variables.
        profiles_dir: where profiles.yml is.
    """

    facts: dict[str, str]
    variables: dict[str, str] = field(repr=False)
    profiles_dir: Path


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
        engines: unique id of a model to the engine that computes it, in place of the one that is configured.
        isolated: with ``scratch``: read nothing of the target's tables, and land its files there as in a new environment.
        command: the command line, for the record.
        wait: seconds to wait for other runs on the same tables; None for the setting, or else the default.
        beginning: what was so before dbt was started; None for a run whose result is not to be used for the next one.
        staged_for: what its tables are to be published with, so that the run itself stages only; empty where it publishes.
    """

    run_id: str
    started_at: datetime
    managed: bool = False
    force: bool = False
    vars: dict[str, Any] = field(default_factory=dict)
    scratch: str | None = None
    pins: dict[str, str] | None = None
    engines: dict[str, str] = field(default_factory=dict)
    isolated: bool = False
    command: list[str] = field(default_factory=list)
    wait: float | None = None
    beginning: Beginning | None = None
    staged_for: str = ""
