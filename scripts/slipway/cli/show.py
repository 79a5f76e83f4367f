"""``slipway show``."""

from __future__ import annotations

from pathlib import Path

import click

from slipway.cli import options, output


@click.command("show")
@click.argument("what", metavar="RUN|TABLE")
@options.output("text", "json")
@options.target
@options.project_dir
def command(what: str, output_: str, target: str | None, project_dir: Path | None) -> None:
    """Explain a run, or where a table comes from.

    A run is its id, a unique part of it, or latest. A table is layer.table, or its name alone where that is unique.
    With --output json a run is its run manifest.
    """
    from slipway.services.explain import explain
    from slipway.services.inspect import RunDetails, unfinished

    found = explain(project_dir, target, what)
    for line in unfinished(project_dir, target):
        output.message(line)
    if isinstance(found, RunDetails):
        from slipway.cli import show_run

        if output_ == "json":
            output.as_json(show_run.record(found))
        else:
            show_run.show(found)
    else:
        from slipway.cli import show_table

        for line in found.notes:
            output.message(line)
        if output_ == "json":
            output.as_json(show_table.record(found))
        else:
            show_table.show(found)
