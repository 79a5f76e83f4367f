"""dbt's docs of an environment: what dbt makes of the code, made anew only when the code is another, and what Iceberg metadata say of the tables now.

Source of the form of catalog.json: dbt's schema ``catalog/v1.json``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.code.versions import digest_of_code, digest_of_software
from slipway.dbt import invocation
from slipway.dbt.command import target_path
from slipway.dbt.describe import TABLE_TYPE, columns_of, statistics
from slipway.environments.environment import Environment
from slipway.environments.profiles import Profile, digest_of_settings
from slipway.errors import NotFoundError, SlipwayError
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.releases.published import Published

_FILES = ("manifest.json", "index.html")
_STATE = "made_from"
_SCHEMA = "https://schemas.getdbt.com/dbt/catalog/v1.json"
_NUMBERS = ("row_count", "size", "files")


@dataclass(frozen=True)
class Docs:
    """dbt's manifest.json and catalog.json, and its page, which has places for both."""

    manifest: dict[str, Any]
    catalog: dict[str, Any]
    page: str


def documented(project: Path, environment: Environment) -> Docs:
    """dbt's docs of a project and of the tables that are published.

    dbt is started only if code, settings, variables of the environment or installed packages are others than the last time. Queries that dbt compiles
    from what is published, such as those of incremental models, are then those of that time.

    Args:
        project: folder of dbt_project.yml.
        environment: whose tables they show.

    Raises:
        SlipwayError: dbt cannot generate the docs, or the catalog cannot be read.
    """
    kept, state = environment.home / "docs" / environment.name, _state(project, environment)
    found = _kept(kept, state)
    if found is None:
        found = _generated(project, environment)
        if state and state == _state(project, environment):  # nobody has changed the code meanwhile
            _keep(kept, state, found)
    manifest = json.loads(found["manifest.json"])
    catalog = catalog_of(manifest, Profile(project), environment)
    return Docs(manifest, catalog, found["index.html"].decode())


def catalog_of(manifest: Mapping[str, Any], profile: Profile, environment: Environment) -> dict[str, Any]:
    """dbt's catalog.json: columns and statistics of the published tables.

    Args:
        manifest: dbt's manifest.json.
        profile: that of the project, whose targets are the databases of sources.
        environment: the database of what the project makes.

    Raises:
        UnavailableError: a catalog or a table cannot be read.
    """
    described = {
        **manifest.get("nodes", {}),
        **{
            name: {**one, "alias": one.get("identifier") or one["name"]}
            for name, one in manifest.get("sources", {}).items()
        },
    }
    wanted: dict[tuple[str, str, str], list[str]] = {}
    for name, one in described.items():
        if one.get("resource_type") in ("model", "seed", "snapshot", "source"):
            wanted.setdefault(_key(one["database"], one["schema"], one["alias"]), []).append(name)
    nodes: dict[str, Any] = {}
    for database in sorted({str(one["database"]) for one in described.values() if one.get("database")}):
        if database not in profile.targets:
            continue  # an attached database: dbt knows it, Iceberg does not
        shown = environment if database == environment.name else profile.environment(database)
        for table, found in _tables(shown):
            for name in wanted.get(_key(database, *table), ()):
                nodes[name] = {**found, "unique_id": name}
    own = manifest.get("metadata", {})
    metadata = {
        name: own.get(name)
        for name in ("dbt_version", "generated_at", "invocation_id", "invocation_started_at", "env")
    }
    sources = manifest.get("sources", {})
    return {
        "metadata": {"dbt_schema_version": _SCHEMA, **metadata},
        "nodes": {name: one for name, one in sorted(nodes.items()) if name not in sources},
        "sources": {name: one for name, one in sorted(nodes.items()) if name in sources},
        "errors": None,
    }


def _tables(environment: Environment) -> Iterator[tuple[TableName, dict[str, Any]]]:
    try:
        published = Published(environment).now().tables
    except NotFoundError:  # nothing yet
        return
    tables = Tables(environment)
    for name, version in published.items():
        table = TableName.parse(name)
        found = tables.load_to_read(table, version.metadata_location)
        yield (
            table,
            {
                "metadata": {
                    "type": TABLE_TYPE,
                    "schema": table.namespace,
                    "name": table.name,
                    "database": environment.name,
                    "comment": "",
                    "owner": "",
                },
                "columns": {
                    column: {"type": kind, "index": at, "name": column, "comment": comment}
                    for at, (column, kind, comment) in enumerate(columns_of(found), start=1)
                },
                "stats": {
                    key: {
                        "id": key,
                        "label": label,
                        "value": _value(key, value),
                        "include": True,
                        "description": description,
                    }
                    for key, (label, value, description) in statistics(found).items()
                }
                | {
                    "has_stats": {
                        "id": "has_stats",
                        "label": "Has Stats?",
                        "value": True,
                        "include": False,
                        "description": "Indicates whether there are statistics for this table",
                    }
                },
            },
        )


def _value(key: str, text: str) -> str | float:
    """A statistic as dbt's agate makes it of what the adapter answers: numbers of numbers, ISO 8601 of times."""
    if key in _NUMBERS:
        return float(text)
    return text.replace(" ", "T") if key == "written" else text


def _key(database: object, schema: object, name: object) -> tuple[str, str, str]:
    return (str(database).lower(), str(schema).lower(), str(name).lower())


def _generated(project: Path, environment: Environment) -> dict[str, bytes]:
    arguments = ["docs", "generate", "--empty-catalog", "--target", environment.name]
    done = invocation.invoke(arguments, project, None)
    if not done.success:
        raise SlipwayError(
            "The site was not built", done.error or "dbt docs generate failed", "Run dbt docs generate"
        )
    folder = target_path(project)
    return {name: (folder / name).read_bytes() for name in _FILES}


def _state(project: Path, environment: Environment) -> str:
    """A digest of all that dbt makes the docs from; empty where its files are not all known."""
    profiles = Path(os.environ.get("DBT_PROFILES_DIR") or project).resolve()
    try:
        parts = [
            digest_of_software(),
            digest_of_code(project),
            digest_of_settings(environment, profiles, os.environ, os.environ),
        ]
    except (SlipwayError, OSError, UnicodeError):
        return ""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _kept(folder: Path, state: str) -> dict[str, bytes] | None:
    with suppress(OSError):
        found = {name: (folder / name).read_bytes() for name in _FILES}
        if state and (folder / _STATE).read_text(encoding="utf-8") == _seal(state, found):
            return found
    return None


def _keep(folder: Path, state: str, found: Mapping[str, bytes]) -> None:
    with suppress(OSError):  # without it, dbt is started again the next time
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in found.items():
            (folder / name).write_bytes(content)
        (folder / _STATE).write_text(_seal(state, found), encoding="utf-8")


def _seal(state: str, found: Mapping[str, bytes]) -> str:
    """A digest of the files with what they were made from, by which half of two builds at once is no whole."""
    digest = hashlib.sha256(state.encode())
    for name in _FILES:
        digest.update(hashlib.sha256(found[name]).digest())
    return digest.hexdigest()
