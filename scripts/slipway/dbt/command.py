"""A dbt command: what it was asked to do, by dbt's own flags, and how it ended."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from slipway.dbt.nodes import DbtManifest
from slipway.dbt.processor_time import ProcessorTime
from slipway.errors import SlipwayError
from slipway.records.run_manifest import Options

BUILDING = frozenset({"build", "run", "seed", "snapshot", "retry"})
"""dbt commands that land, stage and publish."""


@dataclass(frozen=True)
class Invocation:
    """How a dbt command ended.

    Args:
        success: dbt's own verdict.
        results: dbt's results, one per node; empty when it did not come to run any.
        manifest: dbt's manifest, None when the project could not be parsed.
        execution: dbt's run results as one object; None when it did not come to have any, or not yet.
        error: why dbt stopped before or outside the nodes, as one line; empty otherwise.
        invocation_id: dbt's id.
        interrupted: by Ctrl-C.
        refusal: the first error of slipway's own, which dbt passes on only as text.
        reasons: the first error that each node raised, by unique id.
        used: processor time and memory; None where they were not measured.
    """

    success: bool
    results: Sequence[Any]
    manifest: DbtManifest | None
    error: str
    invocation_id: str
    interrupted: bool = False
    refusal: SlipwayError | None = None
    execution: Any = None
    reasons: Mapping[str, str] = field(default_factory=dict)
    used: ProcessorTime | None = None


def flag(name: str) -> Any:
    """A flag of the running dbt command, None where the command has none of that name."""
    from dbt.flags import get_flags

    return getattr(get_flags(), name, None)


def builds() -> bool:
    """Whether the running dbt command lands, stages and publishes."""
    return flag("WHICH") in BUILDING


def is_partial() -> bool:
    """Whether dbt reads only a part of the rows, so that nothing is to be published."""
    return bool(flag("EMPTY") or flag("SAMPLE"))


def is_retry() -> bool:
    """Whether it is ``dbt retry``, which takes the flags of the command that it goes on with."""
    import click

    context = click.get_current_context(silent=True)
    return context is not None and context.info_name == "retry"


def options() -> Options:
    """What dbt was asked to build."""

    def moment(name: str) -> datetime | None:
        given = flag(name)
        return given.replace(tzinfo=given.tzinfo or UTC) if given else None

    return Options(
        select=list(flag("SELECT") or ()),
        exclude=list(flag("EXCLUDE") or ()),
        full_refresh=bool(flag("FULL_REFRESH")),
        event_time_start=moment("EVENT_TIME_START"),
        event_time_end=moment("EVENT_TIME_END"),
    )


def invocation_id() -> str:
    """dbt's id of this invocation."""
    from dbt_common.invocation import get_invocation_id

    return str(get_invocation_id())


def project_dir() -> Path:
    """The dbt project's folder as dbt was given it."""
    return Path(str(flag("PROJECT_DIR"))).resolve()


def target_path(project: Path) -> Path:
    """Where dbt writes its artifacts."""
    return project / (flag("TARGET_PATH") or "target")


def command_line() -> list[str]:
    """The command as it was typed, without the folder of the program."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]
