"""``slipway land``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slipway.cli import figures, options, output
from slipway.counts import plural
from slipway.records.landed_files import outstanding_lines
from slipway.secrets import one_line

if TYPE_CHECKING:
    from slipway.runs.landed_now import LandedNow


class _FeedOrCommand(click.Group):
    """A group whose first argument may be a feed instead of a command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the hidden command for feeds in front of what names no other."""
        wants_help = bool(args) and args[0] in ("-h", "--help")
        if not wants_help and (not args or args[0] not in self.commands):
            args = ["files", *args]
        return super().parse_args(ctx, args)


@click.group("land", cls=_FeedOrCommand, subcommand_metavar="[FEED] | status | retry [FILE]...")
def command() -> None:
    """Look at new files in the landing area, or only at those of FEED, and enter them in the ledger; no model is built.

    The next slipway run adds the rows of accepted files to raw. Exit code 1: runs of this target fail because of what is
    outstanding.
    """


@command.command("files", hidden=True)
@click.argument("feed", required=False)
@options.common
def files(feed: str | None, output_: str, target: str | None, project_dir: Path | None) -> None:
    """Look at new files in the landing area, or only at those of FEED, and enter them in the ledger; no model is built."""
    from slipway.runs.landed_now import land

    _show(land(project_dir, target, feed), output_, has_looked=True)


@command.command("status")
@options.common
def status(output_: str, target: str | None, project_dir: Path | None) -> None:
    """Show how the landing area stands now: new files, files that wait for a run, and what is outstanding."""
    from slipway.runs.landed_now import status as found

    _show(found(project_dir, target), output_, has_looked=False)


@command.command("retry")
@click.argument("names", metavar="[FILE]...", nargs=-1)
@options.common
def retry(names: tuple[str, ...], output_: str, target: str | None, project_dir: Path | None) -> None:
    """Look again at files that were set aside, or at those that are named, also if neither file nor contract has changed."""
    from slipway.runs.landed_now import retry as again

    _show(again(project_dir, target, names), output_, has_looked=True)


def _show(found: LandedNow, output_: str, *, has_looked: bool) -> None:
    if output_ == "json":
        output.as_json(_record(found))
    else:
        for text in _lines(found, has_looked=has_looked):
            output.line(text)
    if found.fails_runs:
        raise click.exceptions.Exit(1)


def _record(found: LandedNow) -> dict[str, Any]:
    return {
        **asdict(found),
        "landed": [entry.model_dump(mode="json") for entry in found.landed],
        "outstanding": [item.model_dump(mode="json") for item in found.outstanding],
    }


def _lines(found: LandedNow, *, has_looked: bool) -> list[str]:
    lines = []
    for entry in found.landed:
        rows = f", {plural(entry.rows, 'row')}" if entry.rows is not None else ""
        reason = f": {figures.one_line(entry.reason, 400)}" if entry.reason else ""
        lines.append(f"{entry.verdict}{rows} {one_line(entry.path)}{reason}")
    if has_looked and not found.landed:
        lines.append("There is nothing new to look at.")
    for feed in found.feeds:
        parts = [plural(feed.files, "file")]
        parts += [f"{len(feed.unseen):,} not looked at yet"] if feed.unseen else []
        again = f" ({len(feed.withdrawn):,} withdrawn by a rollback)" if feed.withdrawn else ""
        parts += [f"{len(feed.waiting):,} accepted and not in raw yet{again}"] if feed.waiting else []
        lines.append(f"{feed.feed}: {', '.join(parts)}")
    lines += outstanding_lines(found.outstanding)
    if found.fails_runs:
        lines.append(
            f"Runs in {found.target} fail until it is dealt with, or the contract says onRejectedFiles: warn."
        )
    return lines
