"""What nodes read, by name and by content: the part of a node key that is data."""

from __future__ import annotations

from typing import Any

from slipway.adapters.dbt.node_key import manifest_node, tables_read
from slipway.adapters.dbt.renames import former_name
from slipway.adapters.dbt.session import LANDING, Session
from slipway.adapters.dbt.state import read_state
from slipway.adapters.iceberg.content import current_content
from slipway.adapters.iceberg.tables import TableId
from slipway.domain.lineage import UNVERSIONED


def inputs_of(session: Session, manifest: Any, unique_id: str) -> dict[str, str]:
    """Tables that a node reads to the content that this run reads: ``schema.table``, of another database with its name in front."""
    found = {}
    for dependency in tables_read(manifest, unique_id):
        database, identifier = _relation(session, manifest, dependency)
        found[_name(session, database, identifier)] = _version(session, database, identifier)
    return found


def identifier_of(manifest: Any, unique_id: str) -> TableId:
    """The table of a model, seed, snapshot or source."""
    node = manifest_node(manifest, unique_id)
    return node.schema, node.identifier if node.resource_type == "source" else node.alias


def consumed(session: Session, identifier: TableId, database: str, source: TableId) -> str | None:
    """The snapshot of ``source`` that the published ``identifier`` was built from."""
    known = read_state(session.base(identifier)).inputs
    found = known.get(_name(session, database, source))
    if found is None and (former := former_name(session.manifest, source)):
        return known.get(_name(session, database, former))
    return found


def _relation(session: Session, manifest: Any, unique_id: str) -> tuple[str, TableId]:
    """Where dbt's ``ref`` and ``source`` lead: with ``--defer`` to another environment, by dbt's own condition.

    A table of this run is always its own (macros/relations/ref.sql), also when dbt retry has selected a part of the run alone.
    """
    from dbt import selected_resources
    from dbt.flags import get_flags

    node, identifier, flags = (
        manifest_node(manifest, unique_id),
        identifier_of(manifest, unique_id),
        get_flags(),
    )
    deferred = getattr(node, "defer_relation", None)
    if not deferred or not getattr(flags, "DEFER", False) or identifier in session.staged:
        return node.database, identifier
    favoured = flags.FAVOR_STATE and unique_id not in selected_resources.SELECTED_RESOURCES
    if favoured or session.current(session.environment.name, identifier) is None:
        return deferred.database, (deferred.schema, deferred.identifier)
    return node.database, identifier


def _name(session: Session, database: str, name: TableId) -> str:
    own = name[0] == LANDING or database == session.environment.name
    return ".".join(name if own else (database, *name))


def _version(session: Session, database: str, identifier: TableId) -> str:
    """The content; of what is no Iceberg table, such as a file or an attached database, nobody knows whether it changed."""
    if identifier[0] == LANDING:
        return session.intake.offer(identifier[1]).key
    table = session.current(database, identifier) if session.is_environment(database) else None
    if table is None:
        return f"{UNVERSIONED}{session.request.run_id}"
    return current_content(table) or "none"
