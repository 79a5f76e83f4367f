"""How much history is kept, as a project or a model says it."""

from __future__ import annotations

import pytest

from slipway.errors import ConfigError
from slipway.maintenance.retention import Retention, parse_retention


def test_what_is_left_out_is_the_default() -> None:
    default = Retention(days=7, releases=3)
    assert parse_retention("x", {"owner": "Ada"}, default) == default
    assert parse_retention("x", {"keep_days": 0}, default) == Retention(0, 3)
    assert parse_retention("x", {"keep_releases": 1}, default) == Retention(7, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"keep_days": "30"}, "meta of m: keep_days is 30: it is not a whole number from 0"),
        ({"keep_days": True}, "keep_days is True"),
        ({"keep_days": 1_000_000}, "keep_days is 1000000: it is not a whole number from 0 to 36500"),
        ({"keep_days": -1}, "keep_days is -1"),
        ({"keep_releases": 0}, "keep_releases is 0: it is not a whole number from 1"),
    ],
)
def test_what_is_no_policy(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_retention("meta of m", settings, Retention())
