"""``slipway show``."""

from __future__ import annotations

from pathlib import Path

import click

from slipway.cli import options
from slipway.cli.render import output


@click.command("show")
@click.argument("what", metavar="RUN|TABLE")
@options.common
def command(what: str, output_: str, target: str | None, project_dir: Path | None) -> None:
    """Explain a run, or where a table comes from.

    A run is its id, a unique part of it, or latest. A table is layer.table, or only its name where that is unique.
    With --output json a run is its run manifest.
    """
    from slipway.runs.history import RunDetails, explain, unfinished

    found = explain(project_dir, target, what)
    for line in unfinished(project_dir, target):
        output.message(line)
    if isinstance(found, RunDetails):
        from slipway.cli.render import run_screen

        if output_ == "json":
            output.as_json(run_screen.record(found))
        else:
            run_screen.show(found)
    else:
        from slipway.cli.render import table_screen

        for line in found.notes:
            output.message(line)
        if output_ == "json":
            output.as_json(table_screen.record(found))
        else:
            table_screen.show(found)
