"""Sends one message by apprise: to Slack, Teams, e-mail, PagerDuty, a webhook and what else it knows an address for."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence

from slipway.alerts.causes import Event, Kind, Message
from slipway.alerts.routes import FILE, Route
from slipway.errors import ConfigError, UnavailableError
from slipway.secrets import hide, one_line

_PAUSES = (0.0, 1.0, 3.0)  # seconds before each attempt
_LISTED = 10
_PAGERDUTY = "pagerduty://"
_PLURAL = {
    Event.RUN_FAILED: "failures of runs",
    Event.FRESHNESS: "late data sets",
    Event.FILE_SET_ASIDE: "landed files that are not in raw",
    Event.QUARANTINE_GROWTH: "quarantine tables that grow",
    Event.ANOMALY: "tests that warn",
    Event.BUDGET: "budgets that are not kept",
    Event.UNFINISHED_PUBLICATION: "unfinished publications",
    Event.HOLD: "holds",
}


def deliver(message: Message, route: Route, target: str, pauses: Sequence[float] = _PAUSES) -> None:
    """Send a message.

    PagerDuty gets one for each cause, with a key by which it closes the incident when the cause is over.

    Args:
        message: what to send.
        route: whom.
        target: the environment.
        pauses: seconds before each attempt.

    Raises:
        ConfigError: the route's address is none, or a variable of it is not set.
        UnavailableError: the service did not take it, however often it was tried.
    """
    url = route.address(message.route)
    if not url.startswith(_PAGERDUTY):
        _send(message.route, url, message.kind, route, *text(message, target), pauses)
        return
    for entry in message.entries:
        one = Message(message.route, message.kind, [entry])
        key = hashlib.sha256(f"{target} {entry.cause.key}".encode()).hexdigest()[:32]
        sign = "&" if "?" in url else "?"
        title, body = text(one, target)
        _send(message.route, f"{url}{sign}action=map&dedup={key}", message.kind, route, title, body, pauses)


def deliver_test(name: str, route: Route, target: str, pauses: Sequence[float] = _PAUSES) -> None:
    """Send a message that says it is a test; raises what ``deliver`` raises."""
    url = route.address(name)
    title = f"[{route.urgency}] {target}: this is a test"
    _send(name, url, "recovery", route, title, f"Route {name} of {FILE} works. Nothing is wrong.", pauses)


def _send(
    name: str, url: str, kind: Kind, route: Route, title: str, body: str, pauses: Sequence[float]
) -> None:
    import apprise

    sender = apprise.Apprise(asset=apprise.AppriseAsset(async_mode=False))
    logging.getLogger("apprise").disabled = True  # what it logs may name the address
    if not sender.add(url):
        raise ConfigError(
            f"Route {name} of {FILE} has no address",
            "apprise knows no service for it",
            "Write it as its service says: docs/reference/alerts.md",
        )
    urgent = apprise.NotifyType.FAILURE if route.urgency == "page" else apprise.NotifyType.WARNING
    notify_type = urgent if kind == "alert" else apprise.NotifyType.SUCCESS
    why = "the service did not take the message"
    for pause in pauses:
        time.sleep(pause)
        try:
            if sender.notify(body=hide(body), title=hide(title), notify_type=notify_type):
                return
        except Exception as error:  # noqa: BLE001 - whatever goes wrong at a service is one thing here
            why = hide(one_line(str(error))) or type(error).__name__
    raise UnavailableError(
        f"Route {name} of {FILE} did not deliver", why, f"Look at it with slipway alerts test {name}"
    )


def text(message: Message, target: str) -> tuple[str, str]:
    """Title and body of a message."""
    entries = message.entries
    first = entries[0].cause
    what = one_line(first.what) if len(entries) == 1 else f"{len(entries)} {_PLURAL[first.event]}"
    if message.kind == "recovery":
        lines = [f"Over: {one_line(entry.cause.what)}" for entry in entries[:_LISTED]]
        return f"[over] {target}: {what}", "\n".join([*lines, *_more(len(entries))])
    lines = [one_line(entry.cause.what) for entry in entries[:_LISTED]] + _more(len(entries))
    exposures = sorted({one for entry in entries for one in entry.affected.exposures})
    owners = sorted({one for entry in entries for one in entry.affected.owners})
    lines += [f"Affected: {', '.join(exposures[:_LISTED])}{_rest(exposures)}"] if exposures else []
    lines += [f"Owners: {', '.join(owners[:_LISTED])}{_rest(owners)}"] if owners else []
    lines += [f"Since: {min(entry.since for entry in entries):%Y-%m-%d %H:%M} UTC", f"First: {first.first}"]
    return f"[{first.severity}] {target}: {what}", "\n".join(lines)


def _more(count: int) -> list[str]:
    return [f"… and {count - _LISTED:,} more"] if count > _LISTED else []


def _rest(names: Sequence[str]) -> str:
    return f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
