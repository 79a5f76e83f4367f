"""``slipway canary``."""

from __future__ import annotations

from pathlib import Path

import click

from slipway.cli import options
from slipway.cli.render import output
from slipway.cli.render.comparison_files import write_reports


@click.command("canary")
@options.target
@click.option("--base", metavar="REF", help="Git ref to compare with. [default: where this branch left main]")
@options.variables
@options.selection
@click.option("--keep", is_flag=True, help="Leave the two scratch environments behind.")
@click.option(
    "--output-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where canary.json and canary.md go.",
)
@options.output("text", "json", "markdown")
@options.project_dir
def command(
    target: str | None,
    base: str | None,
    vars_: str | None,
    select: tuple[str, ...],
    keep: bool,
    output_dir: Path | None,
    output_: str,
    project_dir: Path | None,
) -> None:
    """Build two versions of the code on the same pinned inputs and slice, and compare every table by key.

    Exit code 1 when anything differs that the models do not declare as expected.
    """
    from slipway.canary.two_versions import CanaryOptions, canary
    from slipway.environments.profiles import find_project

    request = CanaryOptions(find_project(project_dir), target, base, options.parse_vars(vars_), select, keep)
    if output_dir:
        options.made(output_dir)
    done = canary(request, output.message)
    write_reports(done.report, output_dir, "canary", output_)
    if done.kept:
        output.message(f"Kept the scratch environments in {done.kept}.")
    if not done.report.passed:
        raise click.exceptions.Exit(1)
