"""``slipway hold``."""

from __future__ import annotations

from pathlib import Path

import click

from slipway.cli import options
from slipway.cli.render import output


@click.command("hold")
@click.option("--lift", is_flag=True, help="End the hold: runs publish again.")
@options.output("text", "json")
@options.target
@options.project_dir
def command(*, lift: bool, output_: str, target: str | None, project_dir: Path | None) -> None:
    """Tell whether the environment is on hold, or lift the hold that slipway rollback --hold placed."""
    from slipway.releases.holds import current_hold, lift_hold

    release = None
    if lift:
        release, hold, unknown = lift_hold(project_dir, target)
        if unknown:
            output.message(f"By whom it was placed, and why, is not known: {unknown.what}, {unknown.why}.")
    else:
        hold = current_hold(project_dir, target)
    if output_ == "json":
        output.as_json(hold.model_dump(mode="json") if hold else release and {"release": release})
    elif hold is None:
        output.line(
            f"The hold of release {release} was lifted." if release else "There is no hold: runs publish."
        )
    else:
        state = "was lifted" if lift else "is in force: runs are refused"
        output.line(
            f"The hold in {hold.target} {state}. {hold.who} placed it at {hold.placed_at:%Y-%m-%d %H:%M} UTC "
            f"with release {hold.release}: {hold.reason}."
        )
