"""``slipway site``."""

from __future__ import annotations

from pathlib import Path

import click

from slipway.cli import options, output
from slipway.counts import plural


@click.group("site")
def command() -> None:
    """The documentation and lineage site."""


@command.command("build")
@options.target
@options.output_dir("Where index.html goes.", "site")
@options.project_dir
def build(target: str | None, output_dir: Path, project_dir: Path | None) -> None:
    """Build the dbt docs as one file that opens offline, with row counts and snapshots of the published tables."""
    from slipway.environments.profiles import find_project
    from slipway.site import build_site

    tables = build_site(find_project(project_dir), target, options.made(output_dir))
    output.line(f"{output_dir / 'index.html'}: {plural(tables, 'table')}. Open it in a browser.")
