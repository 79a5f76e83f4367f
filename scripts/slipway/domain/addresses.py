"""What the settings of an environment may name: places and addresses that every program below can use."""

from __future__ import annotations

from collections.abc import Mapping

from slipway.domain.errors import ConfigError
from slipway.domain.secrets import address
from slipway.domain.texts import one_line

_HIGHEST_PORT = 65_535


def check_places(target: str, places: Mapping[str, str]) -> None:
    """Refuse folders and prefixes with signs that end a line or a name in the programs that get them.

    Args:
        target: for the message.
        places: setting to path or URI.

    Raises:
        ConfigError: one has a control character or a double quote in its name.
    """
    for setting, place in places.items():
        wrong = next((sign for sign in place if sign == '"' or one_line(sign) != sign), None)
        if wrong is not None:
            raise ConfigError(
                f"{setting} of target {target} is {one_line(place)}",
                f"DuckDB and Iceberg cannot use a path with {one_line(wrong)} in it",
                f"choose another folder with {setting}",
            )


def check_ports(target: str, properties: Mapping[str, str]) -> None:
    """Refuse addresses whose port is none.

    Args:
        target: for the message.
        properties: of its catalog.

    Raises:
        ConfigError: a port is not a number up to 65,535.
    """
    for key, value in properties.items():
        scheme, found, rest = value.partition("://")
        if not found or scheme in ("file", "s3", "s3a", "s3n") or scheme.startswith("sqlite"):
            continue
        authority = rest.partition("?")[0].rpartition("@")[2].partition("/")[0]
        port = authority.rpartition("]")[2].partition(":")[2]
        if port and not (port.isascii() and port.isdecimal() and int(port) <= _HIGHEST_PORT):
            raise ConfigError(
                f"{key} of target {target} is {address(value)}",
                f"its port is {one_line(port)}, which is no number up to {_HIGHEST_PORT:,}",
                "correct it in profiles.yml or in its PYICEBERG_CATALOG__ variable",
            )
