"""``slipway hold``."""

from __future__ import annotations

from pathlib import Path

import click

from slipway.cli import options
from slipway.cli.render import output


@click.command("hold")
@click.option("--lift", is_flag=True, help="Lift the hold, so that runs publish again.")
@options.common
def command(*, lift: bool, output_: str, target: str | None, project_dir: Path | None) -> None:
    """Show whether a hold is active, or lift the hold that slipway rollback --hold placed."""
    from slipway.releases.holds import current_hold, lift_hold

    release = None
    if lift:
        release, hold, unknown = lift_hold(project_dir, target)
        if unknown:
            output.message(f"It is not known who placed it, and why: {unknown.what}: {unknown.why}.")
    else:
        hold = current_hold(project_dir, target)
    if output_ == "json":
        output.as_json(hold.model_dump(mode="json") if hold else release and {"release": release})
    elif hold is None:
        output.line(f"The hold of release {release} was lifted." if release else "No hold is active.")
    else:
        state = "was lifted" if lift else "is active: runs are refused"
        output.line(
            f"The hold in {hold.target} {state}. {hold.who} placed it at {hold.placed_at:%Y-%m-%d %H:%M} UTC "
            f"with release {hold.release}: {hold.reason}."
        )
