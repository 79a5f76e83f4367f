"""Tables with rows that other code made than the present: found at the end of a run, and what is declared about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from slipway.dbt.keys.node_key import definition_key, manifest_node
from slipway.dbt.renames import made_under_new_name
from slipway.errors import ConfigError
from slipway.names import TableName
from slipway.records.run_manifest import Change, Definition, Node
from slipway.releases.table_state import TableState, others, read_state, why_stale

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from slipway.dbt.session import Session


KEY = "on_code_change"
_MADE_WHOLE = ("table", "seed", "view", "ephemeral")


def keep_of(node: Any) -> str:
    """The declared reason why rows of other code stay in a table; empty for none.

    Raises:
        ConfigError: ``on_code_change`` is not ``{keep: <reason>}``, or the model is built whole each time.
    """
    if getattr(node, "resource_type", "") == "snapshot":
        return "a dbt snapshot holds a history that no code can make again"
    given = node.config.get(KEY)
    if given is None:
        return ""
    if node.config.materialized in _MADE_WHOLE:
        raise ConfigError(
            f"{node.name}: {KEY} has no effect with a {node.config.materialized}",
            "all of its rows are made by the present code",
            "Remove it",
        )
    reason = given.get("keep") if isinstance(given, Mapping) else None
    if not isinstance(reason, str) or not reason.strip() or len(given) != 1:
        raise ConfigError(
            f"{node.name}: {KEY} is {given!r}",
            "rows that other code made stay only with a reason",
            f"Write {KEY}: {{keep: <the reason>}}, or remove it",
        )
    return " ".join(reason.split())


def may_be_stale(node: Any) -> bool:
    """Whether a node's table may hold rows of earlier code: what is added to, except the history of a dbt snapshot."""
    return node.resource_type == "model" and node.config.materialized not in _MADE_WHOLE


def state_of(session: Session, node: Any, noted: Node, base: Table | None) -> TableState:
    """The state of a table that is written now, on top of what made the rows of its base."""
    now = Definition(
        key=noted.definition_key or "",
        commit=session.code.commit,
        dirty=session.code.dirty,
        run_id=session.request.run_id,
    )
    made_by = made_under_new_name(
        session.manifest, node, session.pinned.renamed, now.key, read_state(base).made_by, session.vars
    )
    return TableState(noted.node_key or "", noted.inputs, definition=now, made_by=made_by, kept=keep_of(node))


def judged(session: Session, manifest: Any, nodes: Iterable[Node]) -> list[Node]:
    """Nodes of a run, each with what made the rows of its table as the run leaves it."""
    return [_judged(session, manifest, node) for node in nodes]


def _judged(session: Session, manifest: Any, noted: Node) -> Node:
    node = manifest_node(manifest, noted.unique_id) if manifest else None
    if node is None or noted.table is None or noted.change in (Change.PINNED, Change.NONE):
        return noted
    table = TableName.parse(noted.table)
    staged = session.candidate.staged.get(table)
    made_by = read_state(staged.table if staged else session.pinned.base(table)).made_by
    made = {"made_by": list(made_by)}
    if not may_be_stale(node):
        return noted.model_copy(update=made)
    key = noted.definition_key
    if noted.unique_id not in session.nodes:  # a retry took it over, and the code may have changed since
        key = definition_key(manifest, noted.unique_id, session.vars)
    stale, kept = why_stale(others(made_by, key)), keep_of(node)
    fix = fix_of(node, session.environment.name)
    return noted.model_copy(
        update={
            **made,
            "definition_key": key,
            "stale": f"{stale}; {fix}" if stale and not kept else "",
            "kept": f"{stale}; kept: {kept}" if stale and kept else "",
        }
    )


def fix_of(node: Any, target: str) -> str:
    """What to do about a stale table, in words that go on from what is wrong with it."""
    keep = f"declare {KEY}: {{keep: <the reason>}} in its config if they are to stay"
    if node.config.get("full_refresh") is False:
        return f"it is never rebuilt (full_refresh: false): {keep}"
    return f"rebuild it with slipway run --target {target} --full-refresh --select {node.name}+, or {keep}"
