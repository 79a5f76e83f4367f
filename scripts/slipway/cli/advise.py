"""``slipway advise``: which tables come to the limits of one machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slipway.cli import figures, options, output
from slipway.counts import plural

if TYPE_CHECKING:
    from slipway.runs.sizing import Sizing, Sizings

_HEADERS = ("table", "engine", "builds", "seconds", "read", "peak memory", "of limit", "spilled", "fit")
_RIGHT = ("builds", "seconds", "read", "peak memory", "of limit", "spilled")
_OPTIONAL = ("engine", "builds", "read", "peak memory")


@click.command("advise")
@options.limit
@options.common
def command(limit: int, output_: str, target: str | None, project_dir: Path | None) -> None:
    """Show what tables needed to be built in the newest runs, and which of them come to the limits of one machine.

    Of each table the most that a build took: seconds, bytes read, memory, its part of what DuckDB was allowed, and bytes in temporary
    files for which memory had no room. Memory is known only of tables that were built while no other was.
    """
    from slipway.runs.sizing import sizings

    found = sizings(project_dir, target, limit)
    if output_ == "json":
        output.as_json(asdict(found))
        return
    for line in found.damaged:
        output.message(line)
    if not found.tables:
        output.message(
            f"No table was built in {plural(found.runs, 'run')} that were looked at. Start one with slipway run."
        )
        return
    output.table(_HEADERS, [_cells(one) for one in found.tables], right=_RIGHT, optional=_OPTIONAL)
    for line in _advice(found):
        output.message(line)


def _cells(one: Sizing) -> list[str | int | None]:
    return [
        one.table,
        one.engine,
        one.builds,
        f"{one.seconds:,.1f}",
        figures.size(one.bytes_read),
        figures.size(one.peak_memory),
        None if one.share is None else f"{one.share:.0%}",
        figures.size(one.spilled),
        one.fit,
    ]


def _advice(found: Sizings) -> list[str]:
    from slipway.engines.writers import SPARK
    from slipway.runs.sizing import Fit

    by_fit: dict[str, list[str]] = {}
    for one in found.tables:
        if one.fit is Fit.UNKNOWN and one.engine == SPARK:  # its memory is no matter of this machine
            continue
        by_fit.setdefault(one.fit, []).append(one.table)
    lines = []
    if names := by_fit.get(Fit.SPILLS):
        lines.append(
            f"No room in memory: {', '.join(names)}. Build fewer rows at a time (an incremental model, batches), or raise memory_limit. "
            "What no machine of yours has memory for is work for several machines."
        )
    if names := by_fit.get(Fit.CLOSE):
        lines.append(
            f"Close to the limit: {', '.join(names)}. What grows will spill to disk, which is slower."
        )
    lines += [
        f"{one.table} reaches the limit in about {plural(one.days_left, 'day')} if it grows on as it did."
        for one in found.tables
        if one.days_left is not None
    ]
    if names := by_fit.get(Fit.UNKNOWN):
        lines.append(
            f"{plural(len(names), 'table', 'were', 'was')} never built while no other was, so their memory is not known. "
            "slipway run --force --threads 1 measures every table."
        )
    if not lines:
        lines.append("All tables fit into memory: one machine is enough.")
    return lines
