"""``slipway retire``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slipway.cli import figures, options, output
from slipway.counts import plural

if TYPE_CHECKING:
    from slipway.releases.retirement import Retirement


@click.command("retire")
@click.argument("tables", nargs=-1, required=True, metavar="TABLE…")
@options.change
@options.common
def command(
    *,
    tables: tuple[str, ...],
    dry_run: bool,
    reason: str,
    yes: bool,
    output_: str,
    target: str | None,
    project_dir: Path | None,
) -> None:
    """Remove tables whose models are gone: layer.table, or patterns such as 'serving.old_*'.

    All of them leave the catalog in one step, which is recorded as a release. slipway rollback brings them back; slipway
    maintain removes their files when no kept release needs them. A table that a model or source of the project still
    refers to is refused.
    """
    from slipway.dbt.invocation import parse
    from slipway.environments.profiles import find_project
    from slipway.releases.retirement import propose, retire

    project = find_project(project_dir)
    proposal = propose(project, target, tables, parse, dry=dry_run)
    for line in (*proposal.healed, *proposal.notes):
        output.message(line)
    if output_ == "text":
        _explain(proposal)
    if dry_run:
        if output_ == "json":
            output.as_json(_record(proposal, None))
        else:
            output.message("Nothing was changed: this is a dry run.")
        return
    options.confirm(yes=yes)
    release = retire(proposal, reason)
    if output_ == "json":
        output.as_json(_record(proposal, release.number))
        return
    back = f"slipway rollback --to {proposal.last.number} --target {release.target} brings {'it' if len(proposal.tables) == 1 else 'them'} back"
    output.result(
        f"Release {release.number} in {release.target} retires {plural(len(proposal.tables), 'table')}; {back}."
    )


def _explain(proposal: Retirement) -> None:
    output.table(
        ("table", "rows", "snapshot"),
        [
            (name, figures.number(table.rows), table.snapshot_id)
            for name, table in sorted(proposal.tables.items(), key=lambda item: figures.by_layer(item[0]))
        ],
        right=("rows", "snapshot"),
        optional=("snapshot",),
    )
    for exposure in proposal.exposures:
        output.line(exposure.described())


def _record(proposal: Retirement, release: int | None) -> dict[str, Any]:
    return {
        "target": proposal.environment.name,
        "release": release,
        "tables": [
            {"table": name, "snapshot": table.snapshot_id, "rows": table.rows}
            for name, table in proposal.tables.items()
        ],
        "exposures": [exposure.record() for exposure in proposal.exposures],
    }
