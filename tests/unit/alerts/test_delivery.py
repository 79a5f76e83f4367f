"""Addresses as the reference page gives them, and mail that arrives."""

from __future__ import annotations

import socketserver
from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Thread

import apprise
import pytest

from slipway.alerts.causes import Affected, Cause, Entry, Event, Message
from slipway.alerts.delivery import deliver, text
from slipway.alerts.routes import Route
from slipway.errors import ConfigError, UnavailableError

NOON = datetime(2024, 5, 2, 12, tzinfo=UTC)
VARIABLE = "ALERTS_TEST_URL"
ROUTE = Route.model_validate({"url": f"${{{VARIABLE}}}", "urgency": "page"})


def entries(count: int) -> list[Entry]:
    return [
        Entry(
            cause=Cause(
                event=Event.FILE_SET_ASIDE,
                subject=f"f/{number}.csv",
                what=f"f/{number}.csv is not in raw",
                first="slipway land status",
            ),
            affected=Affected(owners=["Ada"]),
            since=NOON,
        )
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("address", "service"),
    [
        ("https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX", "Slack"),
        (
            "https://prod-00.westeurope.logic.azure.com:443/workflows/0123456789abcdef0123456789abcdef/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=abcdefghijklmnopqrstuvwxyz0123456789ABCDEF",
            "Power Automate / Workflows (for MSTeams)",
        ),
        ("mailtos://user:password@example.org?to=team@example.org", "E-Mail"),
        ("pagerduty://INTEGRATIONKEY@APIKEY?action=map&dedup=0123", "Pager Duty"),
        ("jsons://example.org/path", "JSON"),
    ],
)
def test_addresses_of_the_reference_page_are_known(address: str, service: str) -> None:
    sender = apprise.Apprise()
    assert sender.add(address)
    assert [str(one.service_name) for one in sender] == [service]


def test_an_address_that_no_service_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "carrier-pigeon://coop")
    with pytest.raises(ConfigError, match=r"Route a of alerts\.yml has no address"):
        deliver(Message("a", "alert", entries(1)), ROUTE, "prod")


def test_a_service_that_nobody_answers_for_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "json://127.0.0.1:1/")
    with pytest.raises(UnavailableError, match=r"slipway alerts test a"):
        deliver(Message("a", "alert", entries(1)), ROUTE, "prod", pauses=(0, 0))


def test_many_causes_are_counted_and_the_first_ones_named() -> None:
    title, body = text(Message("a", "alert", entries(12)), "prod")
    assert title == "[error] prod: 12 landed files that are not in raw"
    lines = body.splitlines()
    assert lines[0] == "f/0.csv is not in raw"
    assert lines[9:12] == ["f/9.csv is not in raw", "… and 2 more", "Owners: Ada"]


class Postbox(socketserver.StreamRequestHandler):
    """As much of SMTP (RFC 5321) as it takes to be given one message."""

    mails: list[str]

    def handle(self) -> None:
        self.wfile.write(b"220 box\r\n")
        while line := self.rfile.readline().decode().strip():
            if line.upper() == "DATA":
                self.wfile.write(b"354 go on\r\n")
                mail = [*iter(lambda: self.rfile.readline().decode().rstrip("\r\n"), ".")]
                self.mails.append("\n".join(mail))
            self.wfile.write(b"221 bye\r\n" if line.upper() == "QUIT" else b"250 ok\r\n")


@pytest.fixture
def postbox() -> Iterator[tuple[int, list[str]]]:
    mails: list[str] = []
    handler = type("Box", (Postbox,), {"mails": mails})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_address[1], mails
        server.shutdown()
        thread.join()


def test_mail_arrives(postbox: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    port, mails = postbox
    monkeypatch.setenv(
        VARIABLE, f"mailto://127.0.0.1:{port}?from=slipway@example.org&to=team@example.org&format=text"
    )
    deliver(Message("mail", "alert", entries(1)), ROUTE, "prod", pauses=(0,))
    (mail,) = mails
    assert "Subject: [error] prod: f/0.csv is not in raw" in mail
    assert "First: slipway land status" in mail
