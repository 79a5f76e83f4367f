"""Column lineage as the site tells it, and as an earlier build found it: a query is bound again only if it, or a table that it reads, is another one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from slipway.contracts.classification import classifications, described_columns, strictest
from slipway.contracts.model import EXTRA, Contract
from slipway.contracts.typed_rows import LINEAGE
from slipway.governance.classified_columns import with_derived
from slipway.governance.column_lineage import TableLineage, lineages
from slipway.governance.query_plan import FORM
from slipway.landing.feeds import feeds_of
from slipway.site.tables_shown import LANDING, TableShown


@dataclass
class ColumnLineage:
    """The lineage of columns, by ``layer.table``, and a digest of what each was found from."""

    tables: dict[str, TableLineage] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    def record(self) -> list[dict[str, Any]]:
        """As the documented JSON has it."""
        return [
            {**one.model_dump(exclude={"schema_version"}), "made_from": self.digests[name]}
            for name, one in sorted(self.tables.items())
        ]

    def shown(self) -> dict[str, list[Any]]:
        """As the script of the lineage page takes it: parents, columns, rows and why nothing is known, by table."""
        return {
            name: [one.parents, one.columns, one.rows, one.unknown]
            for name, one in sorted(self.tables.items())
        }


def column_lineage(
    manifest: Mapping[str, Any],
    tables: Sequence[TableShown],
    contracts: Iterable[Contract],
    earlier: Any,
) -> ColumnLineage:
    """Which columns each column is made from.

    Args:
        manifest: dbt's manifest.json, with compiled queries.
        tables: with their columns, as they are published or declared.
        contracts: say which columns a feed has.
        earlier: what an earlier build wrote down, None for nothing.
    """
    schemas = {table.name: {one.name: one.type for one in table.columns if one.type} for table in tables}
    for feed in feeds_of(contracts):
        columns = [*feed.columns, *([EXTRA] if feed.keeps_extra else [])]
        schemas[f"{LANDING}.{feed.name}"] = {**dict.fromkeys(columns, "varchar"), **LINEAGE}
    nodes = manifest.get("nodes", {})
    views = [
        str(node.get("compiled_code"))
        for node in nodes.values()
        if (node.get("config") or {}).get("materialized") == "view"
    ]
    digests = {
        table.name: _digest(
            FORM,
            [nodes[table.node].get("compiled_code"), nodes[table.node].get("config", {}).get("unique_key")],
            [[name, schemas.get(name)] for name in (table.name, *table.reads)],
            views,
        )
        for table in tables
    }
    known = {one["table"]: one for one in earlier or () if digests.get(one["table"]) == one["made_from"]}
    found = {
        name: TableLineage.model_validate({key: value for key, value in one.items() if key != "made_from"})
        for name, one in known.items()
    }
    if missing := digests.keys() - found.keys():
        found |= lineages(manifest, schemas, missing)
    return ColumnLineage({name: one for name, one in found.items() if name in digests}, digests)


def with_derived_classes(
    tables: Sequence[TableShown],
    lineage: Mapping[str, TableLineage],
    contracts: Iterable[Contract],
    manifest: Mapping[str, Any],
) -> list[TableShown]:
    """Tables whose columns also have the classification of what they are made from, the strictest one, where their own table declares none.

    Args:
        tables: with what is declared.
        lineage: ``layer.table`` to its column lineage.
        contracts: of the project.
        manifest: dbt's manifest.json.
    """
    given = classifications(contracts, described_columns(manifest))
    columns = {table.name: {one.name: one.type for one in table.columns} for table in tables}
    derived = with_derived(given, lineage, columns).derived
    return [_classified(table, made) if (made := derived.get(table.name)) else table for table in tables]


def _classified(table: TableShown, made: Mapping[str, frozenset[str]]) -> TableShown:
    columns = [
        one
        if one.classification
        else replace(one, classification=strictest(made.get(one.name.casefold(), ())))
        for one in table.columns
    ]
    classes = {one.classification for one in columns if one.classification}
    return replace(table, columns=columns, classification=", ".join(sorted(classes)))


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]
