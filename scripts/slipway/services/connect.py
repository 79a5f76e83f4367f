"""How to open an environment's published tables from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slipway.adapters.connection import spark, trino
from slipway.domain.cut import Cut, TableVersion
from slipway.domain.environment import Environment
from slipway.domain.errors import NotFoundError
from slipway.domain.secrets import shown
from slipway.services.environments import environment_of


@dataclass(frozen=True)
class Connection:
    """Everything another engine needs.

    Args:
        name: the catalog's name.
        properties: for ``pyiceberg.catalog.load_catalog(name, **properties)``.
        masks_secrets: secrets were replaced.
        spark: settings of a Spark session; None where there is no counterpart.
        trino: a catalog file; None where Trino cannot reach it.
        tables: published tables, as they are now or as a release left them; empty when nothing is published.
        release: the release that ``tables`` are of, None for now.
    """

    name: str
    properties: dict[str, str]
    masks_secrets: bool
    spark: dict[str, str] | None
    trino: dict[str, str] | None
    tables: dict[str, TableVersion]
    release: int | None = None


def connection(
    project_dir: Path | None,
    target: str | None,
    *,
    show_secrets: bool,
    with_tables: bool = True,
    release: int | None = None,
    table: str | None = None,
) -> Connection:
    """How to open an environment, with secrets masked unless they are asked for.

    Args:
        project_dir: folder of dbt_project.yml, None to look for it.
        target: the environment.
        show_secrets: do not mask them.
        with_tables: find out which tables there are.
        release: as a release left them.
        table: the only table that is wanted, ``layer.table``.

    Raises:
        NotFoundError: no such release or table was published.
    """
    environment = environment_of(project_dir, target)
    given = environment.catalog_properties
    properties = {name: _usual(name, given[name]) for name in sorted(given, key=_order)}
    visible = properties if show_secrets else shown(properties)
    return Connection(
        name=environment.name,
        properties=visible,
        masks_secrets=visible != properties,
        spark=spark(environment.name, visible, environment.warehouse),
        trino=trino(environment.name, visible, environment.warehouse),
        tables=_only(_tables(environment, release), table, environment) if with_tables else {},
        release=release,
    )


def _usual(name: str, value: str) -> str:
    """A property as other programs take it: SQLAlchemy does not know the short name of PostgreSQL."""
    return value.replace("postgres://", "postgresql://", 1) if name == "uri" else value


def _only(
    tables: dict[str, TableVersion], name: str | None, environment: Environment
) -> dict[str, TableVersion]:
    if name is None:
        return tables
    if name not in tables:
        close = Cut("", tables).close_to(name)
        fix = (
            f"perhaps {' or '.join(close)} is meant"
            if close
            else "list the tables with slipway sql 'show tables'"
        )
        raise NotFoundError(f"{environment.name} has no table {name}", "it is not published", fix)
    return {name: tables[name]}


def _order(name: str) -> tuple[bool, str]:
    """What every catalog has comes first."""
    return (name not in ("type", "uri", "warehouse"), name)


def _tables(environment: Environment, release: int | None) -> dict[str, TableVersion]:
    from slipway.adapters.published import Published

    published = Published(environment)
    if release is not None:
        return dict(sorted(published.release(release).tables.items()))
    try:
        return dict(sorted(published.now().tables.items()))
    except NotFoundError:  # nothing is published yet; how to connect is known all the same
        return {}
