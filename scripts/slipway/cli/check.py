"""``slipway check``."""

from __future__ import annotations

from pathlib import Path

import click

from slipway import __version__
from slipway.cli import options, output


@click.command("check")
@click.option("--strict", is_flag=True, help="Fail for warnings, too.")
@options.output("text", "json", "github", "sarif")
@options.target
@options.project_dir
def command(*, strict: bool, output_: str, target: str | None, project_dir: Path | None) -> None:
    """Find what is wrong with the code, without reading data.

    dbt renders every model, snapshot and data test, and DuckDB binds it against tables without rows, whose columns come from contracts, from seeds and
    from the models before. Found are unknown tables, columns and functions, types that do not fit, columns that differ from their YAML, contracts that
    differ from the models, results that depend on a clock or on chance, and sums of floating-point numbers; each with file and line, and with the models
    and exposures that it reaches. Neither the catalog nor the landing area is read, and nothing is published.

    The code is 1 when there is an error. With --output github the findings become annotations of a pull request, with sarif a file for code scanning.
    """
    from slipway.check import check_report
    from slipway.check.project_check import check
    from slipway.environments.profiles import find_project

    checked = check(find_project(project_dir), target)
    if output_ == "json":
        output.as_json(check_report.to_record(checked))
    elif output_ == "sarif":
        output.as_json(check_report.to_sarif(checked, __version__))
    else:
        lines = (
            check_report.to_annotations(checked) if output_ == "github" else check_report.to_lines(checked)
        )
        for text in lines:
            output.line(text)
    if checked.errors or (strict and checked.warnings):
        raise click.exceptions.Exit(1)
