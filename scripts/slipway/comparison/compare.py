"""Compare two versions of a table inside DuckDB, and the tables of two builds, as each model declares it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from slipway.comparison.matching import compare_as_multiset, compare_by_key
from slipway.comparison.policy import ComparisonPolicy, Tolerance, parse_policy
from slipway.comparison.relations import Column, Pair, common_type, count_rows
from slipway.comparison.results import SchemaChanges, Side, TableComparison, TypeChange, judge, not_compared
from slipway.engines.duckdb.engine import connect
from slipway.engines.duckdb.scan import whole_scan
from slipway.environments.environment import Environment
from slipway.errors import first_line
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.records.record_files import read_dbt_manifest
from slipway.records.run_manifest import Node, RunManifest
from slipway.storage.objects import object_store

Types = dict[str, str]


def compare_relations(
    con: duckdb.DuckDBPyConnection,
    name: str,
    base: str | None,
    head: str | None,
    key: Sequence[str],
    *,
    ignore_columns: Collection[str] = (),
    tolerances: Mapping[str, Tolerance] | None = None,
    examples: int = 5,
) -> TableComparison:
    """Compare two relations and judge the result without any expected change.

    Both are read for their counts, for the uniqueness of the key, and in one join; only rows that differ
    are kept, in a temporary table of this connection. Names from the configuration match in any case.

    Args:
        con: a connection on which both relations can be read.
        name: the table's name in the result.
        base: SQL of the relation before the change, as it stands after ``from``; None when there is no table.
        head: the same after the change.
        key: columns that identify a row; empty compares whole rows as a multiset.
        ignore_columns: columns to leave out, unless they are part of the key.
        tolerances: by column name; they need a key.
        examples: how many examples to keep per column and per kind of row difference.

    Whatever keeps the tables from being compared, a query that DuckDB refuses included, becomes the verdict
    ``not_compared`` with the reason, so that one table never hides the results of the others.
    """
    try:
        if base is None or head is None:
            facts = _one_sided(con, name, base, head)
        else:
            facts = _two_sided(con, name, (base, head), key, ignore_columns, tolerances or {}, examples)
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        facts = not_compared(name, first_line(error))
    return judge(facts)


def _one_sided(
    con: duckdb.DuckDBPyConnection, name: str, base: str | None, head: str | None
) -> TableComparison:
    sides = {
        side: Side(exists=relation is not None, rows=None if relation is None else count_rows(con, relation))
        for side, relation in (("base", base), ("head", head))
    }
    there = [which for which, side in sides.items() if side.exists]
    reason = f"only {there[0]} has the table" if there else "neither side has the table"
    return not_compared(name, reason).model_copy(update=sides)


def _two_sided(
    con: duckdb.DuckDBPyConnection,
    name: str,
    relations: tuple[str, str],
    key: Sequence[str],
    ignore_columns: Collection[str],
    tolerances: Mapping[str, Tolerance],
    examples: int,
) -> TableComparison:
    base_types, head_types = (
        {row[0]: row[1] for row in con.execute(f"describe select * from {relation}").fetchall()}
        for relation in relations
    )
    unknown = _unknown_columns(key, tolerances, base_types | head_types)
    if unknown:
        return not_compared(name, unknown)
    ignored = {column.casefold() for column in ignore_columns} - {column.casefold() for column in key}
    schema, columns, left_out = _match_columns(base_types, head_types, ignored, tolerances)
    refusals = [refusal for column in columns if (refusal := column.refusal())]
    if refusals:
        return not_compared(name, "; ".join(refusals))
    pair = Pair(con, *relations, columns, examples)
    keys, note = _usable_key(pair, key)
    facts = compare_by_key(name, pair, keys) if keys else compare_as_multiset(name, pair)
    coverage = facts.coverage.model_copy(
        update={"not_compared": left_out, "notes": (*note, *facts.coverage.notes)}
    )
    return facts.model_copy(update={"schema_changes": schema, "coverage": coverage})


def _usable_key(pair: Pair, key: Sequence[str]) -> tuple[list[Column], tuple[str, ...]]:
    """The key's columns, or none and a note that says why rows cannot be matched by it."""
    columns = {column.name.casefold(): column for column in pair.columns}
    missing = [name for name in key if name.casefold() not in columns]
    if missing:
        return [], (f"key column {', '.join(missing)} cannot be matched on both sides: compared whole rows",)
    keys = [columns[name.casefold()] for name in key]
    repeated = pair.repeated_keys(keys) if keys else ""
    if repeated:
        return [], (f"the key ({', '.join(key)}) is not unique, {repeated}: compared whole rows",)
    return keys, ()


def _unknown_columns(key: Sequence[str], tolerances: Mapping[str, Tolerance], types: Types) -> str | None:
    known = {column.casefold() for column in types}
    unknown = sorted(column for column in {*key, *tolerances} if column.casefold() not in known)
    return f"neither side has the configured column {', '.join(unknown)}" if unknown else None


def _match_columns(
    base: Types, head: Types, ignored: Collection[str], tolerances: Mapping[str, Tolerance]
) -> tuple[SchemaChanges, list[Column], dict[str, str]]:
    """What happened to the schema, the columns to compare, and the others with the reason why not."""
    by_name = {column.casefold(): tolerance for column, tolerance in tolerances.items()}
    changes: list[TypeChange] = []
    columns: list[Column] = []
    left_out: dict[str, str] = {}
    for name in {**base, **head}:
        if name.casefold() in ignored:
            left_out[name] = "ignored"
        elif name not in base or name not in head:
            left_out[name] = f"only in {'head' if name in head else 'base'}"
        else:
            if base[name] != head[name]:
                changes.append(TypeChange(column=name, base=base[name], head=head[name]))
            type_ = common_type(base[name], head[name])
            if type_ is None:
                left_out[name] = f"{base[name]} and {head[name]} have no common type"
            else:
                tolerance = by_name.get(name.casefold())
                columns.append(Column(len(columns), name, base[name], head[name], type_, tolerance))
    schema = SchemaChanges(
        added={name: head[name] for name in left_out if name not in base and left_out[name] != "ignored"},
        removed={name: base[name] for name in left_out if name not in head and left_out[name] != "ignored"},
        type_changed=tuple(changes),
    )
    return schema, columns, left_out


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

    @classmethod
    def all_of(cls, manifest: RunManifest | None) -> dict[str, BuiltTable]:
        """``schema.table`` to the table, of those that a run built or found unchanged."""
        return {
            node.table: cls.of(node)
            for node in (manifest.nodes if manifest else ())
            if node.table and node.metadata_location and node.change != "pinned"
        }


def compare_builds(
    base: Mapping[str, BuiltTable],
    head: Mapping[str, BuiltTable],
    dbt_manifest: bytes,
    environment: Environment,
) -> list[TableComparison]:
    """Compare every table that either side has.

    Args:
        base: ``schema.table`` to the table before the change.
        head: the same after it.
        dbt_manifest: dbt's manifest of the head, which declares keys, tolerances and expected changes.
        environment: gives access to the object store.
    """
    policies, today = _policies(json.loads(dbt_manifest)), datetime.now(UTC).date()
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
    root = scratch / "warehouse" / "_slipway"
    kept = next(root.glob(f"runs/*/{run_id}/dbt/manifest.json"))
    found = read_dbt_manifest(object_store(str(root), {}), kept.relative_to(root).as_posix())
    return json.dumps(found).encode()


def _policies(manifest: Mapping[str, Any]) -> dict[str, ComparisonPolicy]:
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
    if table is None:
        return None
    return whole_scan(tables.load_to_read(TableName.parse(name), table.metadata_location))
