"""What the site tells of a table: what dbt, the catalog and its contract say of it. Rules without input or output.

Sources: dbt's schemas of manifest.json (v12) and catalog.json (v1); the Open Data Contract Standard 3.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slipway.alerts.lineage import table_of
from slipway.contracts.model import Column, Contract, Sla, Table
from slipway.landing.feeds import Feed

LANDING = "landing"
_KINDS = ("model", "seed", "snapshot")
_INSIDE = ("ephemeral", "view")
_NAMED = ("singular", "unit test")


@dataclass(frozen=True)
class ColumnShown:
    """A column: its type as the catalog has it, or else as YAML declares it, and what is promised of it."""

    name: str
    type: str
    description: str = ""
    key: bool = False
    required: bool = False
    classification: str = ""
    tests: list[str] = field(default_factory=list)
    refers_to: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TableTest:
    """A test that reads the table; ``column`` is empty for one of the whole table."""

    unique_id: str
    name: str
    kind: str
    column: str

    @property
    def label(self) -> str:
        """What distinguishes it from the other tests of its table: of a generic test its kind, as its column is shown next to it, of others the name."""
        return self.name if self.kind in _NAMED else self.kind


@dataclass(frozen=True)
class ContractShown:
    """A contract of the table: its file, version and service levels (property, value, unit, what it is about)."""

    file: str
    version: str
    status: str
    domain: str
    levels: list[list[str]]
    roles: list[str]
    consumers: list[str]
    regions: list[str]


@dataclass(frozen=True)
class TableShown:
    """A table of the project; figures are those of its current snapshot, None where nothing is published.

    ``node`` is dbt's unique id. ``reads`` and ``read_by`` are ids of the lineage: tables, feeds (``landing.feed``) and exposures.
    """

    name: str
    node: str
    kind: str
    materialized: str
    description: str
    file: str
    owners: list[str]
    group: str
    access: str
    tags: list[str]
    version: str
    deprecation_date: str
    columns: list[ColumnShown]
    key: list[str]
    partitioned_by: list[str]
    tests: list[TableTest]
    contract: ContractShown | None
    classification: str
    reads: list[str]
    read_by: list[str]
    rows: int | None = None
    bytes: int | None = None
    files: int | None = None
    snapshot: str = ""
    written_at: str = ""
    run_id: str = ""
    engine: str = ""

    @property
    def layer(self) -> str:
        """The namespace of the table."""
        return self.name.rpartition(".")[0]

    @property
    def is_published(self) -> bool:
        """Whether readers see it."""
        return self.snapshot != ""


@dataclass(frozen=True)
class LineageNode:
    """A table, feed or exposure in the lineage; ``kind`` is ``feed``, ``exposure`` or the resource type of dbt."""

    id: str
    kind: str
    label: str
    layer: str
    reads: list[str]


@dataclass(frozen=True)
class ExposureShown:
    """A dashboard, notebook or application that reads tables."""

    name: str
    kind: str
    label: str
    description: str
    owner: str
    url: str
    reads: list[str]


class Project:
    """Tables, lineage and exposures of a project.

    Args:
        manifest: dbt's manifest.json.
        catalog: dbt's catalog.json.
        contracts: of the project.
        owners: names of the owners by ``layer.table``.
    """

    def __init__(
        self,
        manifest: Mapping[str, Any],
        catalog: Mapping[str, Any],
        contracts: Sequence[Contract],
        owners: Mapping[str, list[str]],
    ) -> None:
        self._nodes: Mapping[str, Any] = manifest.get("nodes", {})
        self._manifest, self._catalog, self._owners = manifest, catalog.get("nodes", {}), owners
        self._contracts = {
            table.physical_name or contract.id: (contract, table)
            for contract in contracts
            for table in contract.tables
        }
        self._feeds = {feed.name: contract for contract in contracts if (feed := Feed.of(contract))}
        self._tests, self._references = self._tests_by_node(), self._all_references()
        self.exposures = [self._exposure(one) for one in _sorted(manifest.get("exposures", {}))]
        self.lineage = {node.id: node for node in self._lineage()}
        self._read_by: dict[str, list[str]] = {}
        for node in self.lineage.values():
            for parent in node.reads:
                self._read_by.setdefault(parent, []).append(node.id)

    def tables(self) -> list[TableShown]:
        """All tables of the project, by name."""
        found = [self._table(node) for node in _sorted(self._nodes) if _is_table(node)]
        return sorted(found, key=lambda table: table.name)

    def feed(self, name: str) -> Contract | None:
        """The contract of a feed."""
        return self._feeds.get(name)

    def read_by(self, name: str) -> list[str]:
        """What reads a table or feed."""
        return sorted(self._read_by.get(name, ()))

    def _table(self, node: Mapping[str, Any]) -> TableShown:
        name, config = table_of(node), node["config"]
        contract, promised = self._contracts.get(name, (None, None))
        described = self._catalog.get(node["unique_id"], {})
        stats = {key: one.get("value") for key, one in described.get("stats", {}).items()}
        key = list(promised.key) if promised and promised.key else _declared_key(node)
        columns = list(self._columns(node, described, promised, key))
        classes = {column.classification for column in columns if column.classification}
        return TableShown(
            name=name,
            node=node["unique_id"],
            kind=node["resource_type"],
            materialized=str(config.get("materialized") or ""),
            description=str(node.get("description") or "").strip(),
            file=str(node.get("original_file_path") or ""),
            owners=self._owners.get(name, []),
            group=str(node.get("group") or ""),
            access=str(node.get("access") or ""),
            tags=sorted(map(str, node.get("tags") or ())),
            version=str(node.get("version") or ""),
            deprecation_date=str(node.get("deprecation_date") or ""),
            columns=columns,
            key=key,
            partitioned_by=[str(one) for one in config.get("partitioned_by") or ()],
            tests=self._tests.get(node["unique_id"], []),
            contract=_contract(contract) if contract else None,
            classification=", ".join(sorted(classes)),
            reads=self.lineage[name].reads,
            read_by=self.read_by(name),
            rows=_number(stats.get("row_count")),
            bytes=_number(stats.get("size")),
            files=_number(stats.get("files")),
            snapshot=str(stats.get("snapshot") or "").lstrip("#"),
            written_at=_iso(stats.get("written")),
            run_id=str(stats.get("run") or ""),
            engine=str(stats.get("engine") or ""),
        )

    def _columns(
        self,
        node: Mapping[str, Any],
        described: Mapping[str, Any],
        promised: Table | None,
        key: Sequence[str],
    ) -> Iterator[ColumnShown]:
        declared = {name.lower(): one for name, one in (node.get("columns") or {}).items()}
        in_contract = {one.header.lower(): one for one in (promised.columns if promised else ())}
        there = sorted((described.get("columns") or {}).values(), key=lambda one: one.get("index") or 0)
        names = [(str(one["name"]), str(one.get("type") or "")) for one in there] or [
            (str(one["name"]), str(one.get("data_type") or "")) for one in declared.values()
        ]
        tests: dict[str, list[str]] = {}
        for test in self._tests.get(node["unique_id"], ()):
            if test.column:
                tests.setdefault(test.column.lower(), []).append(test.kind)
        refers = self._references.get(node["unique_id"], {})
        for name, kind in names:
            yaml, contract = declared.get(name.lower(), {}), in_contract.get(name.lower())
            yield ColumnShown(
                name=name,
                type=kind,
                description=str(yaml.get("description") or (contract.description if contract else "") or ""),
                key=name in key,
                required=(contract.required if contract else False) or name in key or _is_required(yaml),
                classification=_classification(yaml, contract),
                tests=sorted(set(tests.get(name.lower(), ()))),
                refers_to=refers.get(name.lower(), []),
            )

    def _tests_by_node(self) -> dict[str, list[TableTest]]:
        found: dict[str, list[TableTest]] = {}
        for node in _sorted(self._nodes):
            if node.get("resource_type") != "test":
                continue
            kind = str((node.get("test_metadata") or {}).get("name") or "singular")
            attached = node.get("attached_node")
            test = TableTest(node["unique_id"], node["name"], kind, str(node.get("column_name") or ""))
            for one in [attached] if attached else (node.get("depends_on") or {}).get("nodes") or ():
                found.setdefault(one, []).append(test)
        for unit in _sorted(self._manifest.get("unit_tests", {})):
            test = TableTest(unit["unique_id"], unit["name"], "unit test", "")
            for one in (unit.get("depends_on") or {}).get("nodes") or ():
                found.setdefault(one, []).append(test)
        return found

    def _all_references(self) -> dict[str, dict[str, list[str]]]:
        """Columns to what ``relationships`` tests hold them to, by node."""
        found: dict[str, dict[str, list[str]]] = {}
        for node in self._nodes.values():
            metadata, unique_id = node.get("test_metadata") or {}, node.get("attached_node")
            if metadata.get("name") == "relationships" and unique_id and node.get("column_name"):
                others = [one for one in node["depends_on"]["nodes"] if one != unique_id]
                if others and others[0] in self._nodes:
                    column = str((metadata.get("kwargs") or {}).get("field") or "")
                    target = f"{table_of(self._nodes[others[0]])}.{column}"
                    columns = found.setdefault(unique_id, {})
                    columns.setdefault(str(node["column_name"]).lower(), []).append(target)
        return found

    def _lineage(self) -> Iterator[LineageNode]:
        for source in _sorted(self._manifest.get("sources", {})):
            name = f"{source['schema']}.{source.get('identifier') or source['name']}"
            kind = "feed" if source["schema"] == LANDING else "source"
            yield LineageNode(name, kind, source["name"], source["schema"], [])
        for node in _sorted(self._nodes):
            if _is_table(node):
                name = table_of(node)
                label = name.rpartition(".")[2]
                yield LineageNode(
                    name, node["resource_type"], label, node["schema"], self._parents(node, name)
                )
        for one in self.exposures:
            yield LineageNode(
                f"exposure.{one.name}", "exposure", one.label or one.name, "exposure", one.reads
            )

    def _parents(self, node: Mapping[str, Any], itself: str) -> list[str]:
        """What a node reads, through models that are no tables."""
        found: set[str] = set()
        waiting, seen = list((node.get("depends_on") or {}).get("nodes") or ()), set[str]()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            source = self._manifest.get("sources", {}).get(name)
            if source:
                found.add(f"{source['schema']}.{source.get('identifier') or source['name']}")
            elif (parent := self._nodes.get(name)) is not None:
                if _is_table(parent):
                    found.add(table_of(parent))
                else:
                    waiting += (parent.get("depends_on") or {}).get("nodes") or ()
        return sorted(found - {itself})

    def _exposure(self, one: Mapping[str, Any]) -> ExposureShown:
        owner = one.get("owner") or {}
        return ExposureShown(
            name=one["name"],
            kind=str(one.get("type") or "exposure"),
            label=str(one.get("label") or ""),
            description=str(one.get("description") or "").strip(),
            owner=str(owner.get("name") or owner.get("email") or ""),
            url=str(one.get("url") or ""),
            reads=self._parents(one, ""),
        )


def _sorted(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [found[name] for name in sorted(found)]


def _is_table(node: Mapping[str, Any]) -> bool:
    return node.get("resource_type") in _KINDS and node["config"].get("materialized") not in _INSIDE


def _declared_key(node: Mapping[str, Any]) -> list[str]:
    for name, column in (node.get("columns") or {}).items():
        if any(one.get("type") == "primary_key" for one in column.get("constraints") or ()):
            return [name]
    for one in node.get("constraints") or ():
        if one.get("type") == "primary_key":
            return list(one.get("columns") or ())
    unique = node["config"].get("unique_key") or []
    return [unique] if isinstance(unique, str) else list(unique)


def _is_required(yaml: Mapping[str, Any]) -> bool:
    return any(one.get("type") in ("not_null", "primary_key") for one in yaml.get("constraints") or ())


def _classification(yaml: Mapping[str, Any], contract: Column | None) -> str:
    meta = {**(yaml.get("meta") or {}), **((yaml.get("config") or {}).get("meta") or {})}
    return str(meta.get("classification") or (contract.classification if contract else "") or "")


def _contract(contract: Contract) -> ContractShown:
    return ContractShown(
        file=f"contracts/{contract.origin}",
        version=contract.version,
        status=contract.status or "",
        domain=contract.domain or "",
        levels=list(map(_level, contract.sla)),
        roles=[one.role for one in contract.roles],
        consumers=list(contract.settings.consumers),
        regions=list(contract.settings.regions),
    )


def _level(sla: Sla) -> list[str]:
    return [sla.property, str(sla.value), sla.unit or "", sla.element or ""]


def _number(value: object) -> int | None:
    try:
        return int(float(str(value)))
    except ValueError:
        return None


def _iso(value: object) -> str:
    text = str(value or "")
    return f"{text.replace(' ', 'T')}Z" if text[:4].isdigit() else ""
