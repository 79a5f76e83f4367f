"""Tables that a query names in plain SQL, although its node does not read them by ``ref`` or ``source``.

dbt does not know of them: nothing keeps the node from running before they are built, and its key does not change with them.
"""

from __future__ import annotations

import re
from typing import Any

from slipway.dbt.inputs import identifier_of, relation_of
from slipway.dbt.keys.node_key import manifest_node, tables_read
from slipway.dbt.keys.python_code import texts_of
from slipway.dbt.session import Session
from slipway.errors import ConfigError

Name = tuple[str, str, str]

_PART = r'("(?:[^"]|"")+"|\w+)'
_NAME = re.compile(rf"{_PART}\s*\.\s*{_PART}\s*\.\s*{_PART}")


def check_reads(session: Session, manifest: Any, unique_id: str, sql: str) -> None:
    """Refuse a query that reads a table of an environment by its name, and a Python model that has the name in a text.

    Args:
        session: the run.
        manifest: dbt's manifest.
        unique_id: the node.
        sql: the query.

    Raises:
        ConfigError: it does.
    """
    node = manifest_node(manifest, unique_id)
    if node is None:
        return
    if getattr(node, "language", "sql") != "python":
        _check(session, manifest, node, sql, "{{ ref('…') }} or {{ source('…', '…') }}")
        return
    for text in texts_of(node.raw_code):
        _check(session, manifest, node, text, "dbt.ref('…') or dbt.source('…', '…')")


def _check(session: Session, manifest: Any, node: Any, sql: str, instead: str) -> None:
    unique_id = node.unique_id
    shown = {_folded(name): name for name in session.views.names()}
    if not (named := shown.keys() & _names(sql)):
        return
    declared = {
        _folded(relation_of(session.inputs, manifest, one)) for one in tables_read(manifest, unique_id)
    }
    if node.resource_type != "test":
        declared.add(_folded((node.database, *identifier_of(manifest, unique_id))))
    if not (named := named - declared):
        return
    if (read := session.volatility.tables_named(sql)) is not None:  # else the words are all there is
        named &= set(map(_folded, read))
    if named:
        _, schema, table = shown[min(named)]
        raise ConfigError(
            f"{node.name} reads {schema}.{table} by its name",
            "dbt does not know that it depends on it, and would neither wait for it nor build it again when it changes",
            f"Write {instead} for {schema}.{table}",
        )


def reads(session: Session, manifest: Any, unique_id: str, relation: Name) -> bool:
    """Whether a relation is one that a node reads, or its own table."""
    node = manifest_node(manifest, unique_id)
    if node is None:
        return False
    known = [relation_of(session.inputs, manifest, one) for one in tables_read(manifest, unique_id)]
    known.append((node.database, node.schema, node.alias))
    return _folded(relation) in map(_folded, known)


def _names(text: str) -> set[Name]:
    found = (match.groups() for match in _NAME.finditer(text))
    return {_folded((_bare(one), _bare(two), _bare(three))) for one, two, three in found}


def _bare(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part


def _folded(name: Name) -> Name:
    database, schema, table = name
    return database.lower(), schema.lower(), table.lower()
