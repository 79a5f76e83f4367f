"""``slipway releases`` and ``slipway publish``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slipway.cli import figures, options, output
from slipway.counts import plural

if TYPE_CHECKING:
    from slipway.records.release_records import Release


_NAMED = 3  # changed tables that are named; the rest is counted


@click.command("releases")
@options.limit
@options.common
def command(limit: int, output_: str, target: str | None, project_dir: Path | None) -> None:
    """List releases, newest first, and show what readers may rely on while one is published.

    A release is a consistent cut: read it with slipway sql --release. What its signature covers is checked by slipway verify. A promotion has the people who approved it. * marks a work tree with uncommitted changes.
    """
    from slipway.releases.approvals import approved_by
    from slipway.releases.lookup import environment_of
    from slipway.releases.signatures import signature_of
    from slipway.runs.history import list_releases, unfinished

    releases, damaged = list_releases(project_dir, target, limit)
    for line in [*damaged, *unfinished(project_dir, target)]:
        output.message(line)
    environment = environment_of(project_dir, target)
    signed = {release.number: signature_of(environment, release.number) for release in releases}
    approved = {one.number: approved_by(environment, one.number) for one in releases if one.promoted}
    if output_ == "json":
        output.as_json(
            [
                {
                    **_record(release),
                    "signed": signed[release.number],
                    "approved_by": approved.get(release.number, ""),
                }
                for release in releases
            ]
        )
        return
    if not releases:
        if not damaged:
            output.message("There is no release yet. Publish one with slipway run.")
        return
    output.table(
        ("release", "published (UTC)", "run", "commit", "changed tables", "signed by", "note"),
        [
            (
                release.number,
                figures.moment(release.published_at),
                release.run_id,
                figures.commit(release.code.commit, release.code.dirty),
                _names(_changed(release), len(release.tables)),
                figures.signature(signed[release.number]),
                _note(release, figures.signature(approved.get(release.number, ""))),
            )
            for release in releases
        ],
        right=("release",),
        optional=("published (UTC)", "signed by"),
    )
    for guarantee in sorted({release.guarantee for release in releases}):
        output.message(f"The catalog guarantees: {guarantee}")


def _changed(release: Release) -> list[str]:
    return sorted(name for name, table in release.tables.items() if table.changed)


def _names(tables: list[str], of: int) -> str:
    if len(tables) > _NAMED:
        return f"{len(tables)} of {of}"
    return ", ".join(sorted(tables, key=figures.by_layer))


def _note(release: Release, approved: str) -> str:
    stale = [name for name, table in release.tables.items() if table.stale]
    # of approvals that do not count the beginning of the reason is shown
    approval = f"approval {approved}" if approved in ("broken", "not verified") else f"approved by {approved}"
    parts = [
        release.note,
        approval if approved else "",
        f"stale: {_names(stale, len(release.tables))}" if stale else "",
    ]
    return "; ".join(part for part in parts if part)


def _record(release: Release) -> dict[str, Any]:
    return {
        "number": release.number,
        "published_at": release.published_at,
        "run_id": release.run_id,
        "target": release.target,
        "changed": _changed(release),
        "stale": {name: table.stale for name, table in sorted(release.tables.items()) if table.stale},
        "tables": len(release.tables),
        "commit": release.code.commit,
        "dirty": release.code.dirty,
        "guarantee": release.guarantee,
        "rolls_back": release.rolls_back,
        "returns_to": release.returns_to,
        "retired": sorted(release.retired),
        "reason": release.reason,
        "promoted": release.promoted.model_dump() if release.promoted else None,
    }


@click.command("publish")
@click.argument("run")
@options.target
@options.wait
@options.output("text", "json")
@options.project_dir
def publish(run: str, target: str | None, wait: int, output_: str, project_dir: Path | None) -> None:
    """Publish RUN, a run that passed and was staged: all its tables become current in one step.

    Its gates are checked again: tests, conservation, the age of the sources, and that exactly what was tested is
    published.

    RUN is a run id, a unique part of one, or latest.
    """
    from slipway.environments.profiles import find_project
    from slipway.runs.end import publish_run

    release = publish_run(find_project(project_dir), target, run, wait)
    output.done(f"Release {release.number} of run {release.run_id} is published")
    if output_ == "json":
        output.as_json(release.model_dump(mode="json"))
        return
    tables = plural(len(_changed(release)), "table")
    output.line(f"Published release {release.number} in {release.target}, {tables} of run {release.run_id}.")
