"""What a raw model reads of the landing area: the accepted files that its table does not hold yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slipway.adapters.dbt.state import read_state
from slipway.adapters.iceberg.tables import TableId
from slipway.domain.errors import ConfigError, NotFoundError
from slipway.domain.manifest import LandedFile

if TYPE_CHECKING:
    from slipway.adapters.dbt.session import Session


def show_landing(session: Session, database: str, identifier: TableId) -> None:
    """Make a feed readable under its dbt name.

    Raises:
        NotFoundError: no contract describes the feed.
        ConfigError: a model appends it to a table of another name, whose files nobody would remember.
    """
    feed = identifier[1]
    if feed not in session.landing.feeds:
        known = ", ".join(session.landing.feeds) or "none"
        raise NotFoundError(f"no feed {feed}", f"contracts/ describes {known}", "add its contract")
    _check_readers(session.manifest, identifier)
    select = session.landing.select(feed, _files(session, identifier), session.request.run_id)
    session.views.select(database, identifier, select, session.landing.key(feed))


def _check_readers(manifest: Any, source: TableId) -> None:
    schema, feed = source
    for node in manifest.nodes.values() if manifest else ():
        if node.resource_type != "model" or node.config.materialized != "incremental":
            continue
        if (node.schema, node.alias) != ("raw", feed) and source in _sources(manifest, node):
            raise ConfigError(
                f"{node.schema}.{node.alias} appends {schema}.{feed}",
                f"which of its files are ingested is told from raw.{feed}",
                f"call the model {feed} in schema raw, or read raw.{feed} instead",
            )


def _sources(manifest: Any, node: Any) -> list[TableId]:
    read = [manifest.sources[name] for name in node.depends_on.nodes if name in manifest.sources]
    return [(source.schema, source.identifier) for source in read]


def _files(session: Session, identifier: TableId) -> list[LandedFile]:
    feed = identifier[1]
    raw: TableId = ("raw", feed)
    table = session.base(raw)
    accepted = [entry for entry in session.landing.accepted(feed) if entry.rows]
    if table is None or _is_replaced(session.manifest, raw):
        return accepted
    if read_state(table).inputs.get(".".join(identifier)) == session.landing.key(feed):
        return []  # the set of files is what it was: nothing needs to be read to know
    scan = session.views.scan(table)
    ingested = {row[0] for row in session.views.query(f"select distinct _file_sha256 from {scan}")}
    return [entry for entry in accepted if entry.sha256 not in ingested]


def _is_replaced(manifest: Any, raw: TableId) -> bool:
    """Whether this run writes the raw table anew, so that it has to read again what it holds already."""
    from dbt.flags import get_flags

    for node in manifest.nodes.values() if manifest else ():
        if node.resource_type == "model" and (node.schema, node.alias) == raw:
            own = node.config.full_refresh
            asked = getattr(get_flags(), "FULL_REFRESH", False) if own is None else own
            return bool(asked) or node.config.materialized != "incremental"
    return False
