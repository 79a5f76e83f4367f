"""Variables of Slipway's own: empty ones count as not set, and a process gets those that are given."""

from __future__ import annotations

import pytest

from slipway.errors import ConfigError
from slipway.settings import Settings


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_HOME", "")
    monkeypatch.setenv("SLIPWAY_LANDING", "landed")
    given = Settings.read()
    assert (given.home, given.landing) == (None, "landed")


@pytest.mark.parametrize(("text", "seconds"), [("", None), ("0", 0.0), ("90", 90.0)])
def test_seconds_to_wait(monkeypatch: pytest.MonkeyPatch, text: str, seconds: float | None) -> None:
    monkeypatch.setenv("SLIPWAY_WAIT", text)
    assert Settings.read().wait_seconds == seconds


@pytest.mark.parametrize("text", ["long", "-1", "1.5"])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"SLIPWAY_WAIT is {text}"):
        _ = Settings(wait=text).wait_seconds


@pytest.mark.parametrize(("text", "expected"), [(None, False), ("0", False), ("1", True)])
def test_tracebacks_are_shown_on_request(text: str | None, expected: bool) -> None:
    assert Settings(debug=text).is_debug is expected


def test_a_process_gets_what_is_given() -> None:
    given = Settings(home="/h", image_digest="sha256:1").variables()
    assert given == {"SLIPWAY_HOME": "/h", "SLIPWAY_IMAGE_DIGEST": "sha256:1"}
