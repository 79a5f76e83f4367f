"""Compare the tables of two builds, as each model declares it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.domain.manifest import Node

if TYPE_CHECKING:
    from slipway.adapters.iceberg.tables import Tables
    from slipway.domain.comparison.policy import ComparisonPolicy
    from slipway.domain.comparison.records import TableComparison
    from slipway.domain.environment import Environment

_LINEAGE = ("_source_file", "_source_line", "_file_sha256", "_landed_at", "_run_id")


@dataclass(frozen=True)
class BuiltTable:
    """A table of one side: where its metadata is, and what it cost."""

    metadata_location: str
    seconds: float | None = None
    bytes: int | None = None

    @classmethod
    def of(cls, node: Node) -> BuiltTable:
        """The table a run built for a node."""
        return cls(node.metadata_location or "", node.seconds, node.bytes_total)


def compare_builds(
    base: Mapping[str, BuiltTable],
    head: Mapping[str, BuiltTable],
    dbt_manifest: bytes,
    environment: Environment,
    today: date,
) -> list[TableComparison]:
    """Compare every table that either side has.

    Args:
        base: ``schema.table`` to the table before the change.
        head: the same after it.
        dbt_manifest: dbt's manifest of the head, which declares keys, tolerances and expected changes.
        environment: gives access to the object store.
        today: decides which expected changes ran out.
    """
    from slipway.adapters.comparison.relations import compare_relations
    from slipway.adapters.engine import connect
    from slipway.adapters.iceberg.tables import Tables
    from slipway.domain.comparison.records import Side
    from slipway.domain.comparison.verdict import judge

    policies = _policies(json.loads(dbt_manifest))
    connection, tables = connect(environment), Tables(environment)
    found = []
    for name in sorted(base.keys() | head.keys()):
        policy = policies.get(name)
        facts = compare_relations(
            connection,
            name,
            _scan(tables, name, base.get(name)),
            _scan(tables, name, head.get(name)),
            policy.key if policy else (),
            ignore_columns=_LINEAGE,
            tolerances=policy.tolerances if policy else {},
        )
        sides: dict[str, Side] = {
            side: getattr(facts, side).model_copy(update={"seconds": table.seconds, "bytes": table.bytes})
            for side, table in (("base", base.get(name)), ("head", head.get(name)))
            if table is not None
        }
        found.append(judge(facts.model_copy(update=sides), policy.expected if policy else (), today=today))
    return found


def scratch_manifest(scratch: Path, run_id: str) -> bytes:
    """dbt's manifest of the run that built a scratch environment."""
    from slipway.adapters.objects import object_store
    from slipway.adapters.record_files import read_dbt_manifest

    root = scratch / "warehouse" / "_slipway"
    kept = next(root.glob(f"runs/*/{run_id}/dbt/manifest.json"))
    found = read_dbt_manifest(object_store(str(root), {}), kept.relative_to(root).as_posix())
    return json.dumps(found).encode()


def _policies(manifest: Mapping[str, Any]) -> dict[str, ComparisonPolicy]:
    from slipway.domain.comparison.policy import parse_policy

    nodes: Sequence[Mapping[str, Any]] = [
        node for node in manifest["nodes"].values() if node["resource_type"] in ("model", "seed", "snapshot")
    ]
    return {
        f"{node['schema']}.{node['alias']}": parse_policy(
            node["name"], node["config"], constraints=node.get("constraints") or [], columns=node["columns"]
        )
        for node in nodes
    }


def _scan(tables: Tables, name: str, table: BuiltTable | None) -> str | None:
    from slipway.adapters.iceberg.scan import whole_scan

    if table is None:
        return None
    namespace, _, identifier = name.rpartition(".")
    return whole_scan(tables.load_to_read((namespace, identifier), table.metadata_location))
