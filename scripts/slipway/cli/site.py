"""``slipway site``."""

from __future__ import annotations

from pathlib import Path

import click

from slipway.cli import options, output
from slipway.counts import plural


@click.group("site")
def command() -> None:
    """The site: tables, lineage, releases, runs, quality and landed files."""


@command.command("build")
@options.target
@options.output_dir("Where the pages go.", "site")
@options.project_dir
def build(target: str | None, output_dir: Path, project_dir: Path | None) -> None:
    """Build pages that open without a server or a network, from records, contracts and dbt's artifacts.

    Pages are written only if they have changed. dbt's own docs are one of them, with row counts and snapshots of the published tables.
    """
    from slipway.environments.profiles import find_project
    from slipway.site.build_site import build_site

    built = build_site(find_project(project_dir), target, options.made(output_dir))
    counts = [plural(built.tables, "table"), plural(built.releases, "release"), plural(built.runs, "run")]
    written = f"{plural(built.written, 'file')} written" if built.written else "nothing has changed"
    output.line(f"{output_dir / 'index.html'}: {', '.join(counts)}; {written}. Open it in a browser.")
