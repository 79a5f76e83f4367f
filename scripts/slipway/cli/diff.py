"""``slipway diff``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from slipway.cli import options, output


@click.command("diff")
@click.argument("base")
@click.argument("head")
@click.argument("tables", nargs=-1, metavar="[TABLE]...")
@click.option(
    "--key",
    multiple=True,
    metavar="COLUMN",
    help="A column that identifies a row; once for each. [default: what the models declare]",
)
@click.option(
    "--sample",
    type=click.FloatRange(0, 100, min_open=True),
    metavar="PERCENT",
    help="Compare only a part of the rows, chosen by a hash of their key.",
)
@click.option("--whole", is_flag=True, help="Read also data files that both sides have.")
@options.output_dir("Where diff.json and diff.md go.")
@options.output("text", "json", "markdown")
@options.target
@options.project_dir
def command(
    base: str,
    head: str,
    tables: tuple[str, ...],
    key: tuple[str, ...],
    sample: float | None,
    whole: bool,
    output_dir: Path | None,
    output_: str,
    target: str | None,
    project_dir: Path | None,
) -> None:
    """Compare BASE with HEAD, table by table: which rows are added, removed and changed.

    Each of them is a release (41 or release-41), the release that readers saw at a time (@yesterday, @2026-11-29), a run id, a
    target, a table (layer.table), or a CSV or Parquet file. prod:41 is a release of another target. TABLE is layer.table or a
    pattern such as 'serving.*'. Data files that both sides have are not read, because their rows are the same.

    Exit code 0 when all tables are identical, or every difference is declared; 1 when something differs or was not compared.
    """
    from slipway.comparison.compare_sides import How, diff
    from slipway.comparison.report import to_dict, to_markdown, to_text

    if output_dir:
        options.made(output_dir)
    how = How(key, sample / 100 if sample and sample < 100 else None, whole)
    report = diff(project_dir, target, (base, head), tables, how)
    described, markdown = to_dict(report), to_markdown(report)
    if output_dir:
        (output_dir / "diff.json").write_text(json.dumps(described, indent=1), encoding="utf-8")
        (output_dir / "diff.md").write_text(markdown, encoding="utf-8")
        output.message(f"Wrote {output_dir / 'diff'}.json and .md.")
    if output_ == "json":
        output.as_json(described)
    else:
        output.result(markdown if output_ == "markdown" else to_text(report))
    if not report.passed:
        raise click.exceptions.Exit(1)
