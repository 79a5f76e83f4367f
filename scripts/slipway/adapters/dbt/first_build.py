"""Columns of a model's own table for its unit tests, which dbt asks for before the model was built for the first time."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import duckdb

from slipway.adapters.dbt.inputs import identifier_of
from slipway.adapters.dbt.session import Session
from slipway.adapters.iceberg.types import quote


def own_columns(session: Session, cursor: duckdb.DuckDBPyConnection, manifest: Any, relation: Any) -> str:
    """A query with the columns that ``this`` is to have in the unit test that is running; empty for every other table.

    These are the columns of the table, if there is one, and those that a first build would add.

    Args:
        session: the run.
        cursor: the thread's connection.
        manifest: dbt's manifest.
        relation: the table that dbt asks about.
    """
    from dbt_common.events.contextvars import get_node_info

    identifier = (relation.schema, relation.identifier)
    test = manifest.unit_tests.get(str(get_node_info().get("unique_id")))
    tested = test.depends_on.nodes[0] if test else ""
    if not tested or identifier_of(manifest, tested) != identifier:
        return ""
    first = f"(\n{_compiled(manifest, tested)}\n)"
    if session.current(session.environment.name, identifier) is None:
        return f"select * from {first}"
    known = {str(name).lower() for name in cursor.sql(f"select * from {relation.render()} limit 0").columns}
    new = [name for name in cursor.sql(f"select * from {first} limit 0").columns if name.lower() not in known]
    added = "".join(f", added.{quote(name)}" for name in new)
    return f"select own.*{added} from {relation.render()} as own{f', {first} as added' if new else ''}"


def _compiled(manifest: Any, unique_id: str) -> str:
    """A model's query as its first build would run it."""
    from dbt.adapters.factory import FACTORY
    from dbt.compilation import Compiler

    node = deepcopy(manifest.nodes[unique_id])
    node.compiled, node.compiled_code, node.extra_ctes, node.extra_ctes_injected = False, None, [], False
    config: Any = FACTORY.adapters["duckdb"].config  # type: ignore[attr-defined]
    done = Compiler(config).compile_node(node, manifest, write=False)
    return str(done.compiled_code)
