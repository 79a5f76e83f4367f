"""``slipway advise``: which tables come to the limits of one machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slipway.cli import figures, options, output
from slipway.counts import plural

if TYPE_CHECKING:
    from slipway.runs.sizing import Sizing, Sizings

_HEADERS = (
    "table",
    "engine",
    "builds",
    "measured",
    "seconds",
    "read",
    "peak memory",
    "of limit",
    "spilled",
    "fit",
)
_RIGHT = ("builds", "measured", "seconds", "read", "peak memory", "of limit", "spilled")
_OPTIONAL = ("engine", "builds", "measured", "read", "peak memory")


@click.command("advise")
@options.limit
@options.common
def command(limit: int, output_: str, target: str | None, project_dir: Path | None) -> None:
    """Show what tables needed to be built in the newest runs, and which of them come to the limits of one machine.

    Of each table the most that a build took: seconds, bytes read, memory, its part of what DuckDB was allowed, and bytes in temporary
    files for which memory had no room. Memory is known only of tables that DuckDB built while it built no other.
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
    for line in advice(found):
        output.message(line)


def _cells(one: Sizing) -> list[str | int | None]:
    return [
        one.table,
        one.engine,
        one.builds,
        one.measured,
        f"{one.seconds:,.1f}",
        figures.size(one.bytes_read),
        figures.size(one.peak_memory),
        None if one.share is None else f"{one.share:.0%}",
        figures.size(one.spilled),
        one.fit,
    ]


def advice(found: Sizings) -> list[str]:
    """What to do about tables that come to the limits, and of which it is not known whether they do; a sentence each.

    Args:
        found: what tables needed, at least one.
    """
    from slipway.engines.writers import SPARK
    from slipway.runs.sizing import Fit

    by_fit: dict[Fit, list[Sizing]] = {}
    for one in found.tables:
        by_fit.setdefault(one.fit, []).append(one)
    lines = []
    if spilling := by_fit.get(Fit.SPILLS):
        lines.append(
            f"No room in memory: {_names(spilling)}. Build fewer rows at a time (an incremental model, batches), or raise memory_limit. "
            "What no machine of yours has memory for is work for several machines."
        )
    if close := by_fit.get(Fit.CLOSE):
        lines.append(f"Close to the limit: {_names(close)}. What grows will spill to disk, which is slower.")
    lines += [
        f"{one.table} reaches the limit in about {plural(one.days_left, 'day')} if it grows on as it did."
        for one in found.tables
        if one.days_left is not None
    ]
    unknown = by_fit.get(Fit.UNKNOWN, [])
    if of_duckdb := [one for one in unknown if one.engine != SPARK]:
        lines.append(
            f"The memory of {plural(len(of_duckdb), 'table')} is not known, because no slipway run built {'them' if len(of_duckdb) > 1 else 'it'} while it built no other table. "
            "slipway run --force --threads 1 measures every table that DuckDB computes."
        )
    if of_spark := [one for one in unknown if one.engine == SPARK]:
        lines.append(
            f"The memory of {_names(of_spark)} is not known, because Spark computes {'them' if len(of_spark) > 1 else 'it'} in a process of its own."
        )
    if not lines:
        lines.append(
            f"All tables that were built in {plural(found.runs, 'run')} fit into memory: one machine is enough."
        )
    return lines


def _names(tables: Sequence[Sizing]) -> str:
    return ", ".join(one.table for one in tables)
