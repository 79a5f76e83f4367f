"""``alerts.yml`` says who is notified; what is misspelt there is refused with the nearest name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.harness.records import environment

from slipway.alerts.causes import Affected, Cause, Entry, Event
from slipway.alerts.routes import Route, parse_routes, read_routes
from slipway.contracts.model import Severity
from slipway.environments.environment import Mode
from slipway.errors import ConfigError
from slipway.secrets import hide

NOON = datetime(2024, 5, 2, 12, tzinfo=UTC)


def entry(severity: Severity = Severity.ERROR) -> Entry:
    cause = Cause(
        event=Event.RUN_FAILED, subject="curated.a", table="curated.a", what="x", first="y", severity=severity
    )
    affected = Affected(tables=["curated.a", "serving.b"], owners=["Ada", "team-b"])
    return Entry(cause=cause, affected=affected, since=NOON)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("rouets: {}", r"Unknown key `rouets` .*Did you mean `routes`\?", id="top"),
        pytest.param(
            "routes:\n  a:\n    url: ${URL}\n    evnets: [hold]",
            r"Unknown key `evnets` .*line 4.*Did you mean `events`\?",
            id="key",
        ),
        pytest.param(
            "routes:\n  a:\n    url: ${URL}\n    events: [run_faild]",
            r"Unknown value `run_faild` .*Did you mean `run_failed`\?",
            id="event",
        ),
        pytest.param(
            "routes:\n  a:\n    url: ${URL}\n    severity: eror", r"Did you mean `error`\?", id="severity"
        ),
        pytest.param(
            "routes:\n  a:\n    url: slack://T/B/C", r"is written out, and addresses hold", id="secret"
        ),
        pytest.param(
            "routes:\n  a:\n    urll: ${URL}", r"line 3.*Did you mean `url`\?", id="misspelt-address"
        ),
        pytest.param("routes:\n  a: {}", r"routes.a.url .*field required", id="no-address"),
        pytest.param("routes: [", r"alerts.yml, line \d+ cannot be read", id="no-yaml"),
        pytest.param("routes: {}\nroutes: {}", r"the key is there twice", id="twice"),
    ],
)
def test_mistakes_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_routes(text)


def test_a_project_without_the_file_tells_nobody(tmp_path: Path) -> None:
    assert read_routes(tmp_path) is None


@pytest.mark.parametrize(
    ("given", "takes"),
    [
        ({}, True),
        ({"events": ["hold"]}, False),
        ({"tables": ["serving.*"]}, True),  # made from the table that failed
        ({"tables": ["raw.*"]}, False),
        ({"owners": ["TEAM-B"]}, True),
        ({"owners": ["bo"]}, False),
        ({"severity": "error"}, True),
    ],
)
def test_a_route_takes_what_meets_all_its_conditions(given: dict[str, object], takes: bool) -> None:
    route = Route.model_validate({"url": "${URL}", **given})
    assert route.wants(entry()) is takes


def test_a_route_for_errors_leaves_out_warnings() -> None:
    route = Route(url="${URL}", severity=Severity.ERROR)
    assert not route.wants(entry(Severity.WARNING))


def test_exploratory_environments_are_told_of_only_by_name(tmp_path: Path) -> None:
    dev, prod = environment(tmp_path), environment(tmp_path, Mode.PRODUCTION, "prod")
    anybody, one = Route(url="${URL}"), Route(url="${URL}", targets=("dev",))
    assert [route.serves(where) for route in (anybody, one) for where in (dev, prod)] == [
        False,
        True,
        True,
        False,
    ]


def test_an_address_is_known_only_to_the_process_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    route = Route(url="${ALERTS_TEST_URL}")
    with pytest.raises(ConfigError, match=r"Route chat of alerts.yml needs ALERTS_TEST_URL"):
        route.address("chat")
    monkeypatch.setenv("ALERTS_TEST_URL", "https://hooks.example.org/services/T0000/B1111/f4k3s3cr3tf4k3")
    assert route.address("chat").endswith("f4k3s3cr3tf4k3")
    assert hide("all services are down") == "all services are down"
    assert "f4k3" not in hide("POST /services/T0000/B1111/f4k3s3cr3tf4k3 failed")
