"""``slipway publish``."""

from __future__ import annotations

from pathlib import Path

import click

from slipway.cli import options
from slipway.cli.render import output
from slipway.counts import plural


@click.command("publish")
@click.argument("run")
@options.target
@click.option(
    "--wait",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for runs on the same tables.",
)
@options.output("text", "json")
@options.project_dir
def command(run: str, target: str | None, wait: int, output_: str, project_dir: Path | None) -> None:
    """Publish RUN, a run that passed and was staged: all its tables become current in one step.

    Its gates are checked again: tests, conservation, the age of the sources, and that exactly what was tested is
    published.

    RUN is a run id, a unique part of one, or latest.
    """
    from slipway.environments.profiles import find_project
    from slipway.runs.publish_staged import publish_run

    release = publish_run(find_project(project_dir), target, run, wait)
    output.done(f"Release {release.number} of run {release.run_id} is published")
    if output_ == "json":
        output.as_json(release.model_dump(mode="json"))
        return
    changed = sorted(name for name, table in release.tables.items() if table.changed)
    output.line(
        f"Published release {release.number} in {release.target}, {plural(len(changed), 'table')} of run {release.run_id}."
    )
