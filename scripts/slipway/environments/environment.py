"""An environment: a dbt target, that is one Iceberg catalog, one warehouse, one set of credentials; and what its settings may name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from slipway.errors import ConfigError, UsageError
from slipway.secrets import address, hide, one_line
from slipway.write_limits import WRITES_BELOW


class Mode(StrEnum):
    """What is enforced in an environment (docs/explanation/modes.md)."""

    EXPLORATORY = "exploratory"
    SCHEDULED = "scheduled"
    PRODUCTION = "production"


@dataclass(frozen=True)
class Environment:
    """Where one dbt target keeps its tables.

    Args:
        name: the dbt target, also the database in relation names and the catalog's name.
        mode: what is enforced.
        warehouse: root of the tables and of slipway's own records, a URI without a trailing slash.
        catalog_properties: properties for ``pyiceberg.catalog.load_catalog``; ``warehouse`` among them is the root, but
            with a REST catalog the name by which the server knows one of its warehouses.
        landing: root of the landing area, one folder per feed.
        home: the local folder for scratch environments.
        publishes_from_dbt: whether plain ``dbt`` commands publish what they built.
        project: folder of dbt_project.yml, where the file of the keys is whose signatures count; None for an environment of no project.
        is_scratch: whether nobody reads it but the command that made it.
    """

    name: str
    mode: Mode
    warehouse: str
    catalog_properties: dict[str, str] = field(repr=False)
    landing: str
    home: Path
    publishes_from_dbt: bool = False
    project: Path | None = None
    is_scratch: bool = False

    @property
    def logs(self) -> Path:
        """The folder of the logs of runs that are under way; targets share a home."""
        return self.home / "logs" / self.name

    def read_only(self) -> Environment:
        """The same environment, in which this process can write nothing: neither its tables, nor its catalog, nor its records."""
        return replace(self, catalog_properties={**self.catalog_properties, WRITES_BELOW: ""})

    def scratch(self, folder: Path) -> Environment:
        """An environment of the same name whose catalog and warehouse live only in ``folder``.

        It keeps the access to the object store, because the landing area may be there. Nothing outside of the folder is written.
        """
        store = {
            key: value for key, value in self.catalog_properties.items() if key.startswith(("s3.", "client."))
        }
        return Environment(
            name=self.name,
            mode=Mode.EXPLORATORY,
            warehouse=f"file://{folder}/warehouse",
            catalog_properties={**store, **local_catalog(folder), WRITES_BELOW: f"file://{folder}"},
            landing=self.landing,
            home=self.home,
            publishes_from_dbt=True,
            project=self.project,
            is_scratch=True,
        )


def is_rest(properties: Mapping[str, str]) -> bool:
    """Whether catalog properties are those of a REST catalog, as pyiceberg infers it."""
    return properties.get("type", "rest" if properties.get("uri", "").startswith("http") else "") == "rest"


def local_catalog(folder: Path) -> dict[str, str]:
    """Properties of a SqlCatalog on SQLite with its warehouse, both below ``folder``."""
    return {
        "type": "sql",
        "uri": f"sqlite:///{folder}/catalog.db",
        "warehouse": f"file://{folder}/warehouse",
    }


LOCK_TIMEOUT = 30
"""Seconds that one process waits for another that writes to a SQL catalog."""
_SQLITE = "sqlite:///"


def catalog_file(properties: Mapping[str, str]) -> Path | None:
    """The file of a catalog that is one, as SQLAlchemy reads its address."""
    prefix, found, rest = properties.get("uri", "").partition(_SQLITE)
    path = unquote(rest.partition("?")[0])
    return (
        Path(path) if found and not prefix and path and not path.startswith(("file:", ":memory:")) else None
    )


_HIGHEST_PORT = 65_535


def check_places(target: str, places: Mapping[str, str]) -> None:
    """Refuse folders and prefixes with signs that end a line or a name in the programs that get them.

    Raises:
        ConfigError: one has a control character or a double quote in its name.
    """
    for setting, place in places.items():
        wrong = next((sign for sign in place if sign == '"' or one_line(sign) != sign), None)
        if wrong is not None:
            raise ConfigError(
                f"{setting} of target {target} is {one_line(place)}",
                f"DuckDB and Iceberg cannot use a path with {one_line(wrong)} in it",
                f"Choose another folder with {setting}",
            )


def check_ports(target: str, properties: Mapping[str, str]) -> None:
    """Refuse addresses whose port is none.

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
                "Correct it in profiles.yml or in its PYICEBERG_CATALOG__ variable",
            )


_SECRET_NAME = re.compile(
    r"(?:^|_)(?:password|passwd|passphrase|pwd|secret|token|credentials?|(?:api|private|access)_?key)(?:_|$)"
)


def check_vars(variables: Mapping[str, Any]) -> None:
    """Refuse secrets in the variables of a command: they are recorded as they are, so that the run can be built again.

    Raises:
        ConfigError: one has the name of a secret, or holds one that the profile or the environment gives.
    """
    for name, value in variables.items():
        if isinstance(value, Mapping):
            check_vars(value)
            continue
        snake = re.sub(r"\W+|(?<=[a-z0-9])(?=[A-Z])", "_", str(name)).lower()
        if value not in (None, "") and (
            _SECRET_NAME.search(snake) or hide(str(value)) != address(str(value))
        ):
            raise ConfigError(
                f"The value of var {one_line(str(name))} seems to be a secret",
                "values of --vars are written down with the run, in its manifest and in dbt's results",
                "Give the secret to profiles.yml by an environment variable DBT_ENV_SECRET_…, or rename the var if it is none",
            )


def requested_slice(given: Mapping[str, Any], effective: Mapping[str, Any]) -> Any:
    """The slice of a run, None for the whole input.

    Args:
        given: variables of the command line.
        effective: the same over those of dbt_project.yml.

    Raises:
        UsageError: the command line asks for a slice of nothing, which must not mean everything.
    """
    if "slice" in given and not given["slice"]:
        raise UsageError(
            "The slice is empty", "it names no dimension", "Write slice: {from: 2011-08-01, to: 2011-08-08}"
        )
    return effective.get("slice") or None
