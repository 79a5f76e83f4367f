"""dbt's manifest and what is in it, as far as it is read here. mypy proves that dbt's own classes have it all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from slipway.engines.writers import DUCKDB
from slipway.names import TableName

Relation = tuple[str, str, str]
"""Database, schema and name of a table."""


class Config(Protocol):
    """The configuration of a node. Keys that only some nodes have are asked for by ``get``."""

    @property
    def materialized(self) -> str:
        """How the node becomes a table."""

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, dbt's own or any other."""

    def to_dict(self, *, omit_none: bool = False) -> dict[str, Any]:
        """All keys with their values."""


class Column(Protocol):
    """A column that YAML declares."""

    name: str
    description: str
    data_type: str | None
    quote: bool | None
    meta: dict[str, Any]

    @property
    def constraints(self) -> Sequence[Any]:
        """Only those of the column."""


class Macro(Protocol):
    """A macro, of whichever package."""

    name: str
    unique_id: str
    package_name: str
    original_file_path: str
    macro_sql: str

    @property
    def depends_on_macros(self) -> Sequence[str]:
        """Unique ids of the macros that it calls."""


class DbtNode(Protocol):
    """A model, seed, snapshot, test, function or hook of the project."""

    unique_id: str
    name: str
    package_name: str
    original_file_path: str
    schema: str
    alias: str
    fqn: list[str]
    description: str
    raw_code: str

    @property
    def resource_type(self) -> str:
        """Which of them it is."""

    @property
    def database(self) -> str | None:
        """The database of its table."""

    @property
    def language(self) -> str:
        """``sql`` or ``python``; ``sql`` of a seed, too."""

    @property
    def config(self) -> Config:
        """What is configured for it."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """What YAML declares, by name."""

    @property
    def extra_ctes(self) -> Sequence[Any]:
        """The ephemeral models that stand in front of its compiled query, each with ``id`` and ``sql``."""

    @property
    def tags(self) -> Sequence[str]:
        """For selection."""

    @property
    def depends_on_nodes(self) -> Sequence[str]:
        """Unique ids of the nodes and sources that it reads."""

    @property
    def depends_on_macros(self) -> Sequence[str]:
        """Unique ids of the macros that it calls."""


class DbtSource(Protocol):
    """A table that the project reads and does not make."""

    unique_id: str
    name: str
    schema: str
    identifier: str

    @property
    def resource_type(self) -> str:
        """``source``."""

    @property
    def database(self) -> str | None:
        """The database of the table."""

    @property
    def config(self) -> Any:
        """What is configured for it."""

    @property
    def freshness(self) -> Any:
        """How old its newest data may be; None where nothing says so."""


class DbtManifest(Protocol):
    """The parsed project; what is in each mapping has its unique id as the key."""

    @property
    def nodes(self) -> Mapping[str, DbtNode]:
        """Models, seeds, snapshots, data tests and hooks."""

    @property
    def sources(self) -> Mapping[str, DbtSource]:
        """Tables that the project reads and does not make."""

    @property
    def functions(self) -> Mapping[str, DbtNode]:
        """Functions of the project."""

    @property
    def macros(self) -> Mapping[str, Macro]:
        """Macros of all packages."""

    @property
    def unit_tests(self) -> Mapping[str, Any]:
        """Unit tests, as YAML has them."""

    @property
    def files(self) -> Mapping[str, Any]:
        """Files that dbt has parsed, with their checksums."""

    @property
    def metadata(self) -> Any:
        """Among other things the name of the project."""

    def find_macro_by_name(self, name: str, root_project_name: str, package: str | None) -> Macro | None:
        """The macro that a name leads to, from a package."""

    def find_materialization_macro_by_name(
        self, project_name: str, materialization_name: str, adapter_type: str
    ) -> Macro | None:
        """The macro that makes tables of nodes with a materialization."""


def find(manifest: DbtManifest, unique_id: str) -> DbtNode | DbtSource | None:
    """A node, source or function of dbt's manifest, None when there is none."""
    return find_node(manifest, unique_id) or manifest.sources.get(unique_id)


def find_node(manifest: DbtManifest, unique_id: str) -> DbtNode | None:
    """A node or function of dbt's manifest, None when there is none."""
    return manifest.nodes.get(unique_id) or manifest.functions.get(unique_id)


def node_of(manifest: DbtManifest, unique_id: str) -> DbtNode:
    """A node or function that is in dbt's manifest."""
    return manifest.nodes.get(unique_id) or manifest.functions[unique_id]


def table_of(node: DbtNode | DbtSource) -> TableName:
    """The table of a model, seed, snapshot or source."""
    return TableName(node.schema, getattr(node, "identifier", "") or getattr(node, "alias", ""))


def relation_of(node: DbtNode | DbtSource) -> Relation:
    """The same with its database."""
    return (str(node.database), *table_of(node))


def is_inlined(node: DbtNode | DbtSource) -> bool:
    """Whether what a node does counts as code of those that read it: ephemeral models, views and functions."""
    inlined = node.resource_type == "model" and node.config.materialized in ("ephemeral", "view")
    return inlined or node.resource_type == "function"


def is_python(node: DbtNode) -> bool:
    """Whether a node is a Python model."""
    return node.language == "python"


def engine_of(node: DbtNode) -> str:
    """Which engine computes the table of a node."""
    return str(node.config.get("engine") or DUCKDB)


def has_jinja(node: DbtNode) -> bool:
    """Whether a node's code is SQL with Jinja; that of a seed is no code."""
    return node.language == "sql" and node.resource_type != "seed"
