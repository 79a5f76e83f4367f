"""One digest of the settings of a run: the environment, and the variables that dbt, slipway and libraries read.

Values may be secrets, so only one digest of all of them together is kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from slipway.environments.environment import Environment
from slipway.settings import variable

_PREFIXES = ("AWS_", "DBT_", "DUCKDB_", "LC_", "LD_", "PYICEBERG_", "PYTHON", variable(""))
_NAMES = ("HOME", "LANG", "LANGUAGE", "PATH", "TZ")
# whether to wait and to look, and what is recorded
_WITHOUT = frozenset(map(variable, ("wait", "image_digest", "always_start_dbt", "debug")))
_FILES = (".pyiceberg.yaml", ".config/pyiceberg/.pyiceberg.yaml")


def digest_of_settings(
    environment: Environment, profiles_dir: Path, names: Iterable[str], variables: Mapping[str, str]
) -> str:
    """A digest of where a run reads and writes, and of every variable that may say how.

    Args:
        environment: with its catalog's properties and keys.
        profiles_dir: where profiles.yml is.
        names: of variables that the project's code reads.
        variables: of the process.
    """
    asked = {name: variables.get(name) for name in [*_NAMES, *names]}
    given = {
        name: value
        for name, value in variables.items()
        if name.startswith(_PREFIXES) and name not in _WITHOUT
    }
    described = [
        environment.name,
        environment.mode,
        environment.warehouse,
        sorted(environment.catalog_properties.items()),
        environment.landing,
        str(environment.home),
        environment.publishes_from_dbt,
        str(profiles_dir),
        sorted({**asked, **given}.items()),
        [_content(folder / name) for folder in (Path.home(), Path.cwd()) for name in _FILES],
        _content(profiles_dir / "profiles.yml"),
    ]
    return hashlib.sha256(json.dumps(described, default=str).encode("utf-8", "surrogatepass")).hexdigest()


def _content(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
