"""``slipway ci``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from slipway.cli import options
from slipway.cli.render import output


@click.command("ci")
@options.target
@options.output_dir("Where ci.md and ci.json go.", "target/slipway-ci")
@options.project_dir
def command(target: str | None, output_dir: Path, project_dir: Path | None) -> None:
    """Build what a change touches, test it, and compare it with what the target has published.

    Selects what a run would build again, and state:modified, with everything downstream; defers everything
    else to the tables of the target's last release, builds in a throw-away environment, and writes the Markdown
    for the pull request. Exit code 1 when something fails or differs undeclared.
    """
    from slipway.ci.slim_ci import ci, to_markdown
    from slipway.cli.render.progress_line import show_progress
    from slipway.environments.profiles import find_project

    options.made(output_dir)
    with show_progress() as show:
        result = ci(find_project(project_dir), target, show)
    text = to_markdown(result)
    (output_dir / "ci.md").write_text(text, encoding="utf-8")
    parts = {"run": result.run, "comparison": result.report, "against": result.against}
    described = {
        "passed": result.passed,
        "stale": dict(result.stale),
        "kept": dict(result.kept),
        **{name: part.model_dump(mode="json") if part else None for name, part in parts.items()},
    }
    (output_dir / "ci.json").write_text(json.dumps(described, indent=1), encoding="utf-8")
    output.result(text)
    output.message(f"Wrote {output_dir / 'ci.md'} and ci.json.")
    if not result.passed:
        raise click.exceptions.Exit(1)
