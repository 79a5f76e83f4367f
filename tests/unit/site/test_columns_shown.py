"""Column lineage of the site: queries are bound again only where they, or what they read, are others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from slipway.governance.column_lineage import lineages
from slipway.site import columns_shown
from slipway.site.columns_shown import column_lineage, with_derived_classes
from slipway.site.tables_shown import ColumnShown, Project, TableShown

Query = tuple[str, list[str], dict[str, str]]


def node(name: str, query: str, reads: list[str]) -> dict[str, Any]:
    return {
        "unique_id": f"model.shop.{name}",
        "name": name,
        "alias": name,
        "schema": "serving",
        "database": "dev",
        "resource_type": "model",
        "language": "sql",
        "config": {"materialized": "table"},
        "depends_on": {"nodes": [f"model.shop.{one}" for one in reads]},
        "columns": {},
        "compiled_code": query,
    }


def made(**queries: Query) -> tuple[dict[str, Any], list[TableShown]]:
    manifest = {
        "nodes": {
            f"model.shop.{name}": node(name, query, reads) for name, (query, reads, _) in queries.items()
        }
    }
    tables = Project(manifest, {}, [], {}).tables()
    columns = {f"serving.{name}": given for name, (_, _, given) in queries.items()}
    return manifest, [
        replace(table, columns=[ColumnShown(name, kind) for name, kind in columns[table.name].items()])
        for table in tables
    ]


ORDERS: Query = ("select 1 as id, 2 as amount", [], {"id": "INTEGER", "amount": "INTEGER"})
SUMS: Query = (
    "select sum(amount) as total from dev.serving.orders where id > 0",
    ["orders"],
    {"total": "HUGEINT"},
)


def test_only_what_changed_is_bound_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[str]] = []

    def noted(manifest: Any, schemas: Any, only: Any = None) -> Any:  # noqa: ANN401
        asked.append(set(only))
        return lineages(manifest, schemas, only)

    monkeypatch.setattr(columns_shown, "lineages", noted)
    first = column_lineage(*made(orders=ORDERS, sums=SUMS), [], None)
    assert first.tables["serving.sums"].columns == {"total": {"serving.orders": ["amount"]}}
    assert first.tables["serving.sums"].rows == {"serving.orders": ["id"]}
    again = column_lineage(*made(orders=ORDERS, sums=SUMS), [], first.record())
    assert again == first
    other = ("select sum(id) as total from dev.serving.orders", ["orders"], {"total": "HUGEINT"})
    changed = column_lineage(*made(orders=ORDERS, sums=other), [], first.record())
    assert changed.tables["serving.sums"].columns == {"total": {"serving.orders": ["id"]}}
    wider: Query = (ORDERS[0], [], {"id": "BIGINT", "amount": "INTEGER"})
    column_lineage(*made(orders=wider, sums=SUMS), [], first.record())
    assert asked == [{"serving.orders", "serving.sums"}, {"serving.sums"}, {"serving.orders", "serving.sums"}]
    gone = column_lineage(*made(orders=ORDERS), [], first.record())
    assert gone.tables.keys() == {"serving.orders"}


def test_what_is_made_from_classified_columns_is_classified() -> None:
    manifest, tables = made(orders=ORDERS, sums=SUMS)
    nodes = manifest["nodes"]
    nodes["model.shop.orders"]["columns"] = {
        "amount": {"meta": {"classification": "confidential"}},
        "id": {"meta": {"classification": "internal"}},
    }
    lineage = column_lineage(manifest, tables, [], None).tables

    def shown() -> dict[str, tuple[str, dict[str, str]]]:
        found = with_derived_classes(tables, lineage, [], manifest)
        return {
            one.name: (one.classification, {each.name: each.classification for each in one.columns})
            for one in found
        }

    # rows are chosen by an internal column, which gives no value to the sum
    assert shown()["serving.sums"] == ("confidential", {"total": "confidential"})
    nodes["model.shop.sums"]["columns"] = {"total": {"meta": {"classification": "public"}}}
    assert shown()["serving.sums"][1] == {"total": ""}
