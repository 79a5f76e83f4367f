"""The dbt adapter of profiles with ``type: slipway``: dbt-duckdb's, with Slipway's macros (``package/``) and its plugin.

dbt loads an adapter's macros and hooks as its own. So a project needs no copy of them, no ``dbt deps`` and no entry in packages.yml, and
may still put a macro of its own in the place of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbt.adapters.base.meta import available
from dbt.adapters.base.plugin import AdapterPlugin
from dbt.adapters.contracts.connection import AdapterResponse, Connection
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.adapters.duckdb.credentials import DuckDBCredentials, PluginConfig
from dbt.adapters.duckdb.impl import DuckDBAdapter

from slipway.dbt.keys.jinja_code import MACHINERY
from slipway.environments.profiles import ADAPTER, PLUGIN

_IN_MEMORY = ":memory:"


class SlipwayConnectionManager(DuckDBConnectionManager):
    """dbt-duckdb's connections. The database is kept by dbt-duckdb's class, which its own code asks by name."""

    TYPE = ADAPTER

    @classmethod
    def open(cls, connection: Connection) -> Connection:
        """Open the database, once per command."""
        return DuckDBConnectionManager.open(connection)

    @classmethod
    def close_all_connections(cls) -> None:
        """Forget the database."""
        DuckDBConnectionManager.close_all_connections()


@dataclass
class SlipwayCredentials(DuckDBCredentials):
    """dbt-duckdb's settings of a target. Those of Slipway are read by ``environments/profiles.py``."""

    @classmethod
    def __pre_deserialize__(cls, data: dict[Any, Any]) -> dict[Any, Any]:
        """Add what is the same in every target, where the profile does not give it."""
        given = dict(data)
        if str(given.get("path") or _IN_MEMORY) == _IN_MEMORY and given.get("database"):
            given.setdefault("attach", [{"path": _IN_MEMORY, "alias": given["database"]}])
        # views of published tables are made on connections other than dbt's; inside a transaction they would not be visible
        for key, value in {"path": _IN_MEMORY, "schema": "main", "disable_transactions": True}.items():
            given.setdefault(key, value)
        return super().__pre_deserialize__(given)

    def __post_init__(self) -> None:
        """Name the plugin, where the profile does not."""
        super().__post_init__()  # type: ignore[no-untyped-call]
        self.plugins = list(self.plugins or [])
        if PLUGIN not in {plugin.module for plugin in self.plugins}:
            self.plugins.append(PluginConfig(PLUGIN))
        for plugin in self.plugins:
            if plugin.module == PLUGIN:
                plugin.alias = ADAPTER  # by which the macros reach it

    @property
    def type(self) -> str:
        """The name under which dbt finds the adapter."""
        return ADAPTER


class SlipwayAdapter(DuckDBAdapter):
    """dbt-duckdb's adapter; what differs is in the macros."""

    ConnectionManager = SlipwayConnectionManager

    @available.parse_none
    def run_python(self, model: dict[str, Any], code: str) -> AdapterResponse:
        """Run a Python model; dbt's own function for it has to be called by the materialization itself."""
        return self.submit_python_job(model, code)


Plugin = AdapterPlugin(
    adapter=SlipwayAdapter,  # type: ignore[arg-type]  # as in dbt-duckdb: the protocol asks for other arguments
    credentials=SlipwayCredentials,
    include_path=str(Path(__file__).parent / "package"),
    dependencies=["duckdb"],
    project_name=MACHINERY,
)
