"""``alerts.yml`` says who is notified; what is misspelt there is refused with the nearest name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
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


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("mailtos://ada:hunter2@${HOST}", "a password"),
        ("mailtos://${USER}:hunter2@example.org?to=team@example.org", "a password"),
        ("mailtos://${USER}:${PASSWORD}2024@example.org", "a password"),
        ("https://example.org/hook?channel=${CHANNEL}&token=abc", "a value of `token`"),
        ("https://example.org/hook?channel=${CHANNEL}&api%5Fkey=abc", "a value of `api_key`"),
        ("https://hooks.slack.com/services/T00000000/${B}/Zk3vQ9pLx2Rt7Wm4Yb8Nc1Dh", "looks like a key"),
        ("pagerduty://Zk3vQ9pLx2Rt7Wm4Yb8N@${API_KEY}", "looks like a key"),
        ("pagerduty://${INTEGRATION}@Zk3vQ9pLx2Rt7Wm4Yb8N", "looks like a key"),
    ],
)
def test_a_secret_next_to_a_reference_is_refused_and_not_repeated(url: str, what: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"routes.a.url .*line 3.*{what}.* written out next to a ref"
    ) as error:
        parse_routes(f"routes:\n  a:\n    url: {url}")
    assert not any(part in error.value.line() for part in ("hunter2", "2024@", "abc", "Zk3vQ9"))


@pytest.mark.parametrize(
    "url",
    [
        "${URL}",
        "mailtos://${USER}:${PASSWORD}@smtp.example.org:587?to=operations-2@example.org&from=slipway",
        "https://hooks.slack.com/services/T01ABCDEF23/B01ABCDEF23/${TOKEN}",
        "slack://${TOKEN_A}/${TOKEN_B}/${TOKEN_C}/#alerts-2024",
        "pagerduty://${INTEGRATION_KEY}@${API_KEY}",
        "https://prod-12.westeurope.logic.azure.com/workflows/run?api-version=2016-06-01&sig=${SIGNATURE}",
        "jsons://a1b2c3d4e5f6a7b8.execute-api.eu-west-1.amazonaws.com/${STAGE}?verify=no",
    ],
)
def test_hosts_people_and_channels_may_stand_next_to_a_reference(url: str) -> None:
    assert parse_routes(f"routes:\n  a:\n    url: {url}").routes["a"].url == url


@given(
    st.text("abcdefABCDEF0123456789", min_size=20, max_size=64),
    st.sampled_from(
        [
            "json://{}:${{A}}@b",
            "json://${{A}}:{}@b.org",
            "json://${{A}}/x/{}",
            "json://${{A}}/?x={}",
            "json://{}/${{A}}",
        ]
    ),
)
def test_a_key_is_found_wherever_it_stands(key: str, form: str) -> None:
    with pytest.raises(ConfigError, match="next to a reference"):
        parse_routes(f"routes:\n  a:\n    url: {form.format(key)}")


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


def test_exploratory_environments_are_reported_only_by_name(tmp_path: Path) -> None:
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
