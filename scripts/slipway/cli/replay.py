"""``slipway replay``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slipway.cli import options
from slipway.cli.render import figures, output

if TYPE_CHECKING:
    from slipway.replay.replay_verdict import ReplayReport


@click.command("replay")
@click.argument("run")
@options.common
def command(run: str, output_: str, target: str | None, project_dir: Path | None) -> None:
    """Build RUN again at its commit from the inputs that it recorded, and compare every table.

    RUN is a run id, a unique part of one, or latest. It is built in a scratch environment that is removed
    afterwards; nothing is published. Exit code 1 when a table diverged or an input expired.
    """
    from slipway.environments.profiles import find_project
    from slipway.replay.rebuild import replay

    report = replay(find_project(project_dir), target, run, output.message)
    if output_ == "json":
        output.as_json({**report.model_dump(mode="json"), "passed": report.passed})
    else:
        _show(report)
    if not report.passed:
        raise click.exceptions.Exit(1)


def _show(report: ReplayReport) -> None:
    output.table(
        ("table", "verdict", "rows", "why"),
        [
            (found.table, str(found.verdict), figures.number(found.rows), found.why)
            for found in sorted(report.tables, key=lambda found: figures.by_layer(found.table))
        ],
        right=("rows",),
    )
    for difference in report.differences:
        output.line(f"not the same around it: {difference}")
    counts = Counter(str(found.verdict) for found in report.tables)
    verdicts = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items()))
    output.line(f"Replay of run {report.run_id} at {report.commit[:12]}: {verdicts or 'it built no table'}.")
