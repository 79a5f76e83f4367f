"""``slipway alerts`` and ``slipway watch``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slipway.cli import figures, options, output

if TYPE_CHECKING:
    from slipway.alerts.causes import Cause, Entry


@click.group("alerts")
def command() -> None:
    """List open causes, or try the routes of alerts.yml."""


@command.command("list")
@options.common
def list_(output_: str, target: str | None, project_dir: Path | None) -> None:
    """List what is wrong and not over yet, since when, and who was notified."""
    from slipway.alerts.notify import open_causes

    entries = open_causes(project_dir, target)
    if output_ == "json":
        output.as_json([{"key": entry.cause.key, **entry.model_dump(mode="json")} for entry in entries])
        return
    if not entries:
        output.message("No cause is open.")
        return
    output.table(
        ("since (UTC)", "severity", "cause", "notified", "first"),
        [
            (
                figures.moment(entry.since),
                entry.cause.severity,
                entry.cause.what,
                _notified(entry),
                entry.cause.first,
            )
            for entry in entries
        ],
    )
    for entry in entries:
        for notices in (entry.alerts, entry.recoveries):
            for route, notice in notices.items():
                if notice.error:
                    output.message(f"Route {route} was tried {notice.attempts} times: {notice.error}")


def _notified(entry: Entry) -> str:
    notified = [route for route, notice in entry.alerts.items() if notice.sent_at]
    over = "; over" if entry.ended_at else ""
    return f"{', '.join(notified) or 'nobody yet'}{over}"


@command.command("test")
@click.argument("route", required=False)
@options.common
def test(route: str | None, output_: str, target: str | None, project_dir: Path | None) -> None:
    """Send a test to ROUTE, or to every route of the target; exit code 5 when one did not deliver."""
    from slipway.alerts.notify import send_test

    answers = send_test(project_dir, target, route)
    if output_ == "json":
        output.as_json(
            [
                {"route": name, "delivered": error is None, "error": error.line() if error else ""}
                for name, error in answers
            ]
        )
    else:
        for name, error in answers:
            output.line(f"Route {name} did not deliver: {error.why}." if error else f"Route {name} works.")
    for _, error in answers:
        if error:
            raise error


@click.command("watch")
@click.option("--once", is_flag=True, help="Look once and end, which is the default.")
@options.common
def watch(once: bool, output_: str, target: str | None, project_dir: Path | None) -> None:  # noqa: ARG001 - for crontabs that say so
    """Look once between runs, and notify whoever alerts.yml names: late feeds and tables, files that wait for a run or are set aside, unfinished publications, old holds.

    Only the state of alerts changes. Exit code 1: there is an error, not only warnings; 5: a message could not be delivered.
    """
    from slipway.alerts.watch import watch as look
    from slipway.contracts.model import Severity

    found = look(project_dir, target)
    if output_ == "json":
        output.as_json(
            {
                "target": found.target,
                "causes": [_record(cause) for cause in found.causes],
                "not_judged": found.not_judged,
                "not_delivered": [error.line() for error in found.failures],
            }
        )
    else:
        for cause in found.causes:
            output.line(f"{cause.severity}: {cause.what}. First: {cause.first}")
        if not found.causes:
            output.line(f"Nothing is wrong in {found.target}.")
        if found.not_judged:
            output.line(found.not_judged)
    if not found.has_routes:
        output.message(f"Nobody is notified: alerts.yml has no route for {found.target}.")
    for error in found.failures:
        output.message(error.line())
    if found.failures:
        raise click.exceptions.Exit(5)
    if any(cause.severity is Severity.ERROR for cause in found.causes):
        raise click.exceptions.Exit(1)


def _record(cause: Cause) -> dict[str, Any]:
    return {"key": cause.key, **cause.model_dump(mode="json")}
