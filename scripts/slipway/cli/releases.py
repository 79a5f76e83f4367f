"""``slipway releases``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slipway.cli import options
from slipway.cli.render import figures, output

if TYPE_CHECKING:
    from slipway.records.release_records import Release


_NAMED = 3  # changed tables that are named; the rest is counted


@click.command("releases")
@options.limit
@options.common
def command(limit: int, output_: str, target: str | None, project_dir: Path | None) -> None:
    """List releases, newest first, and show what readers may rely on while one is published.

    A release is a consistent cut: read it with slipway sql --release. * marks a work tree with uncommitted changes.
    """
    from slipway.runs.history import list_releases, unfinished

    releases, damaged = list_releases(project_dir, target, limit)
    for line in [*damaged, *unfinished(project_dir, target)]:
        output.message(line)
    if output_ == "json":
        output.as_json([_record(release) for release in releases])
        return
    if not releases:
        if not damaged:
            output.message("There is no release yet. Publish one with slipway run.")
        return
    output.table(
        ("release", "published (UTC)", "run", "commit", "changed tables", "note"),
        [
            (
                release.number,
                figures.moment(release.published_at),
                release.run_id,
                figures.commit(release.code.commit, release.code.dirty),
                _names(
                    [name for name, table in release.tables.items() if table.changed], len(release.tables)
                ),
                _note(release),
            )
            for release in releases
        ],
        right=("release",),
        optional=("published (UTC)",),
    )
    for guarantee in sorted({release.guarantee for release in releases}):
        output.message(f"The catalog guarantees: {guarantee}")


def _names(tables: list[str], of: int) -> str:
    if len(tables) > _NAMED:
        return f"{len(tables)} of {of}"
    return ", ".join(sorted(tables, key=figures.by_layer))


def _note(release: Release) -> str:
    stale = [name for name, table in release.tables.items() if table.stale]
    parts = [_rollback(release), f"stale: {_names(stale, len(release.tables))}" if stale else ""]
    return "; ".join(part for part in parts if part)


def _rollback(release: Release) -> str:
    retires = f"retires {', '.join(sorted(release.retired))}"
    if release.by_run:
        return retires if release.retired else ""
    what = f"shows release {release.returns_to} again" if release.returns_to else "some tables rolled back"
    what = retires if release.retirement else what
    return f"{what}: {release.reason}" if release.reason else what


def _record(release: Release) -> dict[str, Any]:
    return {
        "number": release.number,
        "published_at": release.published_at,
        "run_id": release.run_id,
        "target": release.target,
        "changed": sorted(name for name, table in release.tables.items() if table.changed),
        "stale": {name: table.stale for name, table in sorted(release.tables.items()) if table.stale},
        "tables": len(release.tables),
        "commit": release.code.commit,
        "dirty": release.code.dirty,
        "guarantee": release.guarantee,
        "rolls_back": release.rolls_back,
        "returns_to": release.returns_to,
        "retired": sorted(release.retired),
        "reason": release.reason,
    }
