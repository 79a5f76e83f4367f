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
    from slipway.domain.errors import NotFoundError

    if "." in what:
        _show_table(what, output_, target, project_dir)
        return
    try:
        _show_run(what, output_, target, project_dir)
    except NotFoundError:
        # A name without a dot may be a table's; if it is not, the run is what was meant.
        try:
            _show_table(what, output_, target, project_dir)
        except NotFoundError:
            pass
        else:
            return
        raise


def _show_run(what: str, form: str, target: str | None, project_dir: Path | None) -> None:
    from slipway.services.inspect import run_details

    details = run_details(project_dir, target, what)
    if form == "text":
        from slipway.cli.show_run import show

        show(details)
    elif details.manifest is not None:
        output.result(details.manifest.model_dump_json(indent=2))
    else:
        left = {"run_id": details.run_id, "outcome": "incomplete", "release": details.release}
        output.as_json({**left, "staged": details.staged})


def _show_table(what: str, form: str, target: str | None, project_dir: Path | None) -> None:
    from slipway.services.origin import table_origin

    origin = table_origin(project_dir, target, what)
    from slipway.cli import show_table

    if form == "text":
        show_table.show(origin)
    else:
        output.as_json(show_table.record(origin))
