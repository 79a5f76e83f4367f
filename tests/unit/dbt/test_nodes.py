"""What is read of dbt's manifest: mypy proves by the annotations here that dbt's own classes have it."""

from __future__ import annotations

import pytest
from dbt.artifacts.resources.base import FileHash
from dbt.artifacts.resources.types import NodeType
from dbt.artifacts.resources.v1.components import DependsOn
from dbt.artifacts.resources.v1.config import NodeConfig
from dbt.artifacts.resources.v1.seed import SeedConfig
from dbt.contracts.graph.manifest import Manifest
from dbt.contracts.graph.nodes import (
    FunctionNode,
    GenericTestNode,
    HookNode,
    ModelNode,
    SeedNode,
    SingularTestNode,
    SnapshotNode,
    SourceDefinition,
)

from slipway.dbt.nodes import (
    DbtManifest,
    DbtNode,
    DbtSource,
    find,
    has_jinja,
    is_inlined,
    is_python,
    relation_of,
    table_of,
)


def of_manifest(manifest: Manifest) -> DbtManifest:
    return manifest


def of_node(
    node: ModelNode | SeedNode | SnapshotNode | SingularTestNode | GenericTestNode | HookNode | FunctionNode,
) -> DbtNode:
    return node


def of_source(source: SourceDefinition) -> DbtSource:
    return source


def model(materialized: str = "table", language: str = "sql") -> ModelNode:
    return ModelNode(
        database="dev",
        schema="curated",
        name="orders",
        resource_type=NodeType.Model,
        package_name="shop",
        path="orders.sql",
        original_file_path="models/orders.sql",
        unique_id="model.shop.orders",
        fqn=["shop", "orders"],
        alias="all_orders",
        checksum=FileHash.from_contents(""),
        config=NodeConfig(materialized=materialized),  # type: ignore[arg-type]  # dbt's is one of it
        language=language,
        depends_on=DependsOn(nodes=["source.shop.landing.orders"]),
    )


def seed() -> SeedNode:
    return SeedNode(
        database="dev",
        schema="reference",
        name="days",
        resource_type=NodeType.Seed,
        package_name="shop",
        path="days.csv",
        original_file_path="seeds/days.csv",
        unique_id="seed.shop.days",
        fqn=["shop", "days"],
        alias="days",
        checksum=FileHash.from_contents(""),
        config=SeedConfig(),
    )


def source() -> SourceDefinition:
    return SourceDefinition(
        database="dev",
        schema="landing",
        name="orders",
        resource_type=NodeType.Source,
        package_name="shop",
        path="sources.yml",
        original_file_path="models/sources.yml",
        unique_id="source.shop.landing.orders",
        fqn=["shop", "landing", "orders"],
        source_name="landing",
        source_description="",
        loader="",
        identifier="orders_in",
    )


def test_a_source_goes_by_its_identifier_and_a_node_by_its_alias() -> None:
    assert relation_of(of_source(source())) == ("dev", "landing", "orders_in")
    assert relation_of(of_node(model())) == ("dev", "curated", "all_orders")
    assert str(table_of(of_node(seed()))) == "reference.days"


def test_nodes_and_sources_are_found() -> None:
    manifest = of_manifest(
        Manifest(nodes={"model.shop.orders": model()}, sources={source().unique_id: source()})
    )
    (read,) = manifest.nodes["model.shop.orders"].depends_on_nodes
    found = find(manifest, read)
    assert found is not None
    assert found.unique_id == read
    assert find(manifest, "model.shop.gone") is None


@pytest.mark.parametrize("kind", ["table", "incremental", "view", "ephemeral"])
def test_what_has_no_table_counts_as_code_of_its_readers(kind: str) -> None:
    assert is_inlined(of_node(model(kind))) == (kind in ("view", "ephemeral"))
    assert not is_inlined(of_node(seed()))
    assert not is_inlined(of_source(source()))


def test_jinja_is_in_sql_only() -> None:
    assert has_jinja(of_node(model()))
    assert not has_jinja(of_node(seed()))
    assert is_python(of_node(model(language="python")))
    assert not has_jinja(of_node(model(language="python")))
