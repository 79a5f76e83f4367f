"""``slipway canary``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from slipway.cli import options
from slipway.cli.render import output


@click.command("canary")
@options.target
@click.option("--base", metavar="REF", help="Git ref to compare with. [default: where this branch left main]")
@options.variables
@options.selection
@click.option("--keep", is_flag=True, help="Leave the two scratch environments behind.")
@options.output_dir("Where canary.json and canary.md go.")
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
    from slipway.canary.two_versions import canary
    from slipway.comparison.report import to_dict, to_markdown, to_text
    from slipway.environments.profiles import find_project

    project, variables = find_project(project_dir), options.parse_vars(vars_)
    if output_dir:
        options.made(output_dir)
    report, kept = canary(project, target, base, variables, select, output.message, keep=keep)
    described, markdown = to_dict(report), to_markdown(report)
    if output_dir:
        (output_dir / "canary.json").write_text(json.dumps(described, indent=1), encoding="utf-8")
        (output_dir / "canary.md").write_text(markdown, encoding="utf-8")
        output.message(f"Wrote {output_dir / 'canary'}.json and .md.")
    if output_ == "json":
        output.as_json(described)
    else:
        output.result(markdown if output_ == "markdown" else to_text(report))
    if kept:
        output.message(f"Kept the scratch environments in {kept}.")
    if not report.passed:
        raise click.exceptions.Exit(1)
