"""Settings: the environment variables of Slipway's own. No other module reads or sets one.

pydantic-settings would add 0.1 s of imports to every command, and reading commands are to be quick; so this is a
dataclass, read anew wherever a value is needed (docs/decisions/0001-dependencies.md).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields

from slipway.errors import ConfigError


@dataclass(frozen=True)
class Settings:
    """What the variables say, each under its name in lower case without ``SLIPWAY_``; None where one is empty or not set.

    Args:
        home: folder of local targets, logs and scratch environments.
        landing: root of the landing area, a path or URI.
        warehouse: root of the tables, a path or URI.
        wait: seconds to wait for other runs.
        image_digest: of the container image, which run manifests record.
        always_start_dbt: whether dbt is started also where nothing has changed.
        compile_all: whether dbt compiles also nodes that are known to be unchanged.
        prometheus_textfile_dir: folder that gets a text file with the metrics of each run.
        trigger: what ``slipway.events.handle`` starts after files have landed.
        signing_key: what releases are signed with: a file, a private key in PEM, the address of a key service, or ``none``.
        builder: URI of who runs slipway, for the provenance of releases.
        spark_remote: connection string of a Spark Connect server that computes models of Spark, in place of a session on this machine.
        run_catalog_listen: host, or host and port, on which the catalog of a run listens.
        run_catalog_uri: address of it for clients, where it is another one.
        run_catalog_certificate: file with its certificate chain, PEM.
        run_catalog_key: file with the certificate's key, if it is not in the same file.
        debug: whether errors show a traceback.
        scratch: folder to build in, set by ``slipway canary`` for the versions that it starts.
        pins: JSON file of the tables that such a build reads; it builds also what comes after tests that fail.
        engines: JSON file of the engines by which such a build computes models, in place of those that are configured.
    """

    home: str | None = None
    landing: str | None = None
    warehouse: str | None = None
    wait: str | None = None
    image_digest: str | None = None
    always_start_dbt: str | None = None
    compile_all: str | None = None
    prometheus_textfile_dir: str | None = None
    trigger: str | None = None
    signing_key: str | None = field(default=None, repr=False)
    builder: str | None = None
    spark_remote: str | None = field(default=None, repr=False)
    run_catalog_listen: str | None = None
    run_catalog_uri: str | None = None
    run_catalog_certificate: str | None = None
    run_catalog_key: str | None = None
    debug: str | None = None
    scratch: str | None = None
    pins: str | None = None
    engines: str | None = None

    @classmethod
    def read(cls) -> Settings:
        """The variables as they are now."""
        return cls(**{one.name: os.environ.get(variable(one.name)) or None for one in fields(cls)})

    @property
    def wait_seconds(self) -> float | None:
        """Seconds to wait for other runs.

        Raises:
            ConfigError: it is no whole number.
        """
        if self.wait is None:
            return None
        if not self.wait.isdecimal():
            raise ConfigError(
                f"{variable('wait')} is {self.wait}",
                "it is no number of seconds",
                "Give a whole number, or 0",
            )
        return float(self.wait)

    @property
    def starts_dbt(self) -> bool:
        """Whether dbt is started also where nothing has changed."""
        return self.always_start_dbt not in (None, "0")

    @property
    def compiles_all(self) -> bool:
        """Whether dbt compiles also nodes that are known to be unchanged."""
        return self.compile_all not in (None, "0")

    @property
    def is_debug(self) -> bool:
        """Whether errors show a traceback."""
        return self.debug not in (None, "0")

    def variables(self) -> dict[str, str]:
        """The settings that have a value, as variables for a process."""
        return {variable(name): value for name, value in vars(self).items() if value is not None}


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"SLIPWAY_{name.upper()}"
