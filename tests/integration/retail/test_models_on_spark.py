"""Every SQL model of the project, as dbt compiles it, on both engines with the bundled sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.integration.spark.translation.conftest import engines  # noqa: F401 - the fixture
from tests.integration.spark.translation.engines import BothEngines
from tests.unit.retail.conftest import (
    PROJECT,
    SAMPLE,
    Shop,
    compiled_nodes,  # noqa: F401 - the fixture
)

pytestmark = [
    pytest.mark.spark,
    # pyspark leaves closing to the collector of garbage
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]
MODELS = (
    *("invoice_lines", "quarantine_invoice_lines", "invoices", "products", "customers", "customer_history"),
    *("cancellations_matched", "trading_days", "daily_revenue", "product_performance", "customer_value"),
    *("customer_cohorts", "revenue_features"),
)


@pytest.fixture(scope="module")
def shop(compiled_nodes: dict[str, dict[str, Any]]) -> Shop:  # noqa: F811
    shop = Shop(compiled_nodes, PROJECT)
    shop.land(sorted(SAMPLE.glob("*.csv")))
    shop.seed("non_product_codes")
    shop.build(*MODELS)
    return shop


@pytest.fixture(scope="module")
def views(shop: Shop, engines: BothEngines) -> dict[str, str]:  # noqa: F811
    """Spark's views of all tables, by their names in the queries."""
    engines = BothEngines(shop.connection, engines.spark, engines.folder, engines.schemas)
    found = {}
    for name in ("online_retail", "non_product_codes", *MODELS):
        relation = shop.relation(name)
        view = relation.replace('"', "").replace(".", "__")
        engines.share(relation, view)
        found[relation.replace('"', "")] = view
    return found


def test_every_sql_model_is_compared(compiled_nodes: dict[str, dict[str, Any]]) -> None:  # noqa: F811
    sql = {
        node["name"]
        for node in compiled_nodes.values()
        if node["resource_type"] == "model"
        and node["language"] == "sql"
        and node["config"]["materialized"] != "ephemeral"
    }
    # raw reads files of the landing, which only DuckDB does
    assert sql - {"online_retail"} == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_a_model(name: str, shop: Shop, views: dict[str, str], engines: BothEngines) -> None:  # noqa: F811
    both = BothEngines(shop.connection, engines.spark, Path(), engines.schemas)
    expected, actual = both.by_duckdb(shop.sql(name)), both.by_spark(shop.sql(name), views)
    assert expected.rows
    assert not expected.error
    assert not actual.error, actual.error
    assert (actual.types, actual.rows) == (expected.types, expected.rows)
