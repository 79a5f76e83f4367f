"""Places, ports and variables that must not be used are refused before anything is done."""

from __future__ import annotations

import pytest

from slipway.environments.environment import check_places, check_ports, check_vars
from slipway.errors import ConfigError
from slipway.secrets import known, remember


@pytest.mark.parametrize("sign", ["\t", "\n", "\r", "\x1b", '"', "\u2028", "\x7f"])
def test_places_that_break_a_line_or_a_name_are_refused_on_one_line(sign: str) -> None:
    with pytest.raises(ConfigError, match="SLIPWAY_HOME of target dev") as raised:
        check_places("dev", {"SLIPWAY_HOME": f"/data/a{sign}b"})
    assert raised.value.exit_code == 2
    assert raised.value.line().splitlines() == [raised.value.line()]


def test_other_places_are_taken() -> None:
    check_places("dev", {"SLIPWAY_HOME": "/data/it's [ours] & 東京", "SLIPWAY_LANDING": "s3://lake/in/"})


@pytest.mark.parametrize(
    "uri",
    ["http://h:port/x", "postgresql+psycopg2://a:b@h:54x/lake", "https://h:99999", "http://[::1]:y/", "http://h:-1/", "http://h:²"],
)  # fmt: skip
def test_ports_that_are_none_are_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match="which is no number up to 65,535") as raised:
        check_ports("dev", {"uri": uri})
    assert "a:b" not in raised.value.line()


@pytest.mark.parametrize(
    "uri",
    ["http://h:8181/x", "postgresql://a:b:c@h:5432/l", "postgresql://a:p/w@h/l", "https://h", "http://[::1]:80/", "http://h:/",
     "sqlite:////a:b/c.db", "file:///a:b", "s3://a:b/c", "in-memory"],
)  # fmt: skip
def test_other_addresses_are_taken(uri: str) -> None:
    check_ports("dev", {"uri": uri})


@pytest.mark.parametrize(
    "name", ["token", "api_key", "dbPassword", "aws-secret", "apikey", "my.credentials", "access_key_id"]
)
def test_variables_named_like_secrets_are_refused(name: str) -> None:
    with pytest.raises(
        ConfigError, match="seems to be a secret: values of --vars are written down"
    ) as raised:
        check_vars({"as_of": "2024-01-01", "connection": {name: "hush-hush"}})
    assert "hush" not in raised.value.line()


def test_a_variable_that_holds_a_known_secret_is_refused() -> None:
    remember(["correct horse"])
    assert "correct horse" in known()
    with pytest.raises(ConfigError, match="value of var note seems to be a secret"):
        check_vars({"note": ["see: correct horse battery"]})


def test_other_variables_are_taken() -> None:
    check_vars(
        {
            "as_of": "2024-01-01",
            "tokens": 3,
            "keyword": "x",
            "token": None,
            "key": "k",
            "slice": {"days": ["2024-01-01"]},
        }
    )
