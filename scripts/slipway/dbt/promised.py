"""What dbt's manifest says of models that a contract can describe, and contracts compared with it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from slipway.contracts.contract_files import Reading, first_error, look_at_all, read_contracts
from slipway.contracts.model import Contract, Severity
from slipway.contracts.nested_values import NESTED
from slipway.contracts.problems import nearest
from slipway.contracts.products import ModelColumn, PromisedModel, differences, is_product, plain_type
from slipway.contracts.quarantine_retention import AS_OF, Retention, retention_of
from slipway.contracts.released_rows import check_released, read_released
from slipway.contracts.row_checks import checks_of, limits_of
from slipway.contracts.table_rules import broken_rules_sql
from slipway.contracts.typed_rows import quarantined_sql, typed_sql
from slipway.contracts.typed_values import type_sql
from slipway.dbt.readers import tables_read
from slipway.errors import ConfigError, NotFoundError, UsageError
from slipway.landing.feeds import Feed
from slipway.records.conservation import Limit

_KINDS = ("model", "seed", "snapshot")
_TYPED = "macro.dbt_slipway.typed"
_ALIAS = re.compile(r"""\bas\s+["`]?(\w+)""", re.IGNORECASE)
_JINJA = re.compile(r"\{[{%#].*?[}%#]\}", re.DOTALL)
_WORD = re.compile(r"\w+")
_OF_TYPED = ("rule_id", "reason")
_CALL = re.compile(r"""\btyped\(\s*['"]([^'"]+)['"]""")


def check_contracts(project: Path, manifest: Any) -> None:
    """Refuse contracts that cannot be read, those of products that are not as the models are, and released rows of no rule.

    Raises:
        ConfigError: there is one.
    """
    readings = look_at_all(project)
    first_error(compared(readings, manifest))
    feeds = _feeds([one.contract for one in readings if one.contract])
    check_released(project, {name: [one.id for one in checks_of(feed)] for name, feed in feeds.items()})


def left_out(project: Path, manifest: Any) -> list[str]:
    """A line for each model with typed rows of a feed that lacks columns which came to the contract later.

    Those are ``optional`` or have ``since``. A model whose columns are not enforced may have more than its YAML says, and is passed over.
    """
    feeds = _feeds(read_contracts(project))
    found = []
    for node in manifest.nodes.values():
        contract = node.config.get("contract") if node.resource_type == "model" else None
        if not (contract and contract.enforced) or _TYPED not in node.depends_on_macros:
            continue
        there = {name.lower() for name in node.columns}
        for name in sorted(set(_CALL.findall(node.raw_code)) & feeds.keys()):
            lacks = [
                column.name
                for column in feeds[name].tables[0].columns
                if (column.settings.optional or column.settings.since) and column.name.lower() not in there
            ]
            if lacks:
                found.append(
                    f"{node.schema}.{node.alias} does not have {', '.join(lacks)} of the contract of {name}: add to {node.original_file_path} and its YAML"
                    " what its readers are to see"
                )
    return found


class Otherwise(NamedTuple):
    """What a model with the typed rows of a feed says otherwise than the contract.

    Args:
        contract: of the feed.
        line: a sentence with what to write.
        fails: whether the next run of the model fails, whatever rows there are.
    """

    contract: Contract
    line: str
    fails: bool


def typed_otherwise(contracts: Sequence[Contract], manifest: Any) -> Iterator[Otherwise]:
    """What models with typed rows of feeds, and their YAML, say otherwise than the contracts.

    Only columns that the model takes as they are: one that its code names behind ``as`` or in Jinja is its own.
    """
    feeds = _feeds(contracts)
    for node in manifest.nodes.values():
        contract = node.config.get("contract") if node.resource_type == "model" else None
        if not (contract and contract.enforced) or _TYPED not in node.depends_on_macros:
            continue
        file = str(node.patch_path or "").partition("://")[2] or str(node.original_file_path)
        own = {name.lower() for name in _ALIAS.findall(node.raw_code)}
        own |= {word.lower() for jinja in _JINJA.findall(node.raw_code) for word in _WORD.findall(jinja)}
        required = _constraints(node)[1]
        for name in sorted(set(_CALL.findall(node.raw_code)) & feeds.keys()):
            promised = {column.name.lower(): column for column in feeds[name].tables[0].columns}
            for column in node.columns.values():
                here = f"{file}: {column.name} of {node.schema}.{node.alias}"
                if column.name.lower() in own:
                    continue
                if (given := promised.get(column.name.lower())) is None:
                    if _is_taken_from(node, column.name):
                        left = promised.keys() - {one.lower() for one in node.columns}
                        near = next(iter(left)) if len(left) == 1 else nearest(column.name, left)
                        other = f"; it has {promised[near].name}, which the model does not" if near else ""
                        said = f"is no property of this contract{other}: write the name of the property in the model and in its YAML"
                        yield Otherwise(feeds[name], f"{here} {said}, or a query that makes it", fails=True)
                    continue
                # a type of several parts has many spellings; a build compares it with the enforced contract of the model
                wanted = "" if given.logical_type in NESTED else type_sql(given, feeds[name].origin)
                if wanted and column.data_type and plain_type(column.data_type) != plain_type(wanted):
                    said = f"has the data_type {column.data_type}, and this contract makes it {wanted}: write data_type: {wanted}"
                    yield Otherwise(feeds[name], f"{here} {said}", fails=True)
                if column.name in required and not (given.required or given.primary_key):
                    said = "has the constraint not_null, which this contract does not require: a row without it would fail the run"
                    line = f"{here} {said}; remove the constraint, or write required: true"
                    yield Otherwise(feeds[name], line, fails=False)


def _is_taken_from(node: Any, column: str) -> bool:
    """Whether a model can have a column only of the typed rows: it reads nothing else, and its code takes the column as it is or leaves it to ``*``."""
    if column.lower() in _OF_TYPED or column.startswith("_") or len(node.depends_on.nodes) > 1:
        return False
    code = _JINJA.sub(" ", node.raw_code)
    name = re.escape(column)
    uses = len(re.findall(rf"\b{name}\b", code, re.IGNORECASE))
    taken = len(re.findall(rf'(?:,|\bselect\b)\s*"?{name}"?\s*(?:,|\bfrom\b)', code, re.IGNORECASE))
    return uses == taken


def unnamed_readers(contracts: Sequence[Contract], manifest: Any) -> Iterator[tuple[Contract, str]]:
    """Contracts of products, and the exposures that read one of their tables and are not among ``consumers``, a sentence each with what to write.

    An exposure is named by its name, its label, or the name or address of its owner.
    """
    tables = {
        f"{node.schema}.{node.alias}": node.unique_id
        for node in manifest.nodes.values()
        if node.resource_type in _KINDS
    }
    exposures = sorted(manifest.exposures.values(), key=lambda one: str(one.name))
    reads = {exposure.name: set(tables_read(manifest, exposure.depends_on.nodes)) for exposure in exposures}
    for contract in contracts:
        if not is_product(contract):
            continue
        named = {one.casefold() for one in contract.settings.consumers}
        own = {
            tables.get(one.physical_name or one.name) or tables.get(contract.id) for one in contract.tables
        }
        for exposure in exposures:
            names = (exposure.name, exposure.label, exposure.owner.name, exposure.owner.email)
            if not reads[exposure.name] & own or named & {str(name).casefold() for name in names if name}:
                continue
            file = exposure.original_file_path
            yield (
                contract,
                f"exposure {exposure.name} ({file}) reads it, and is not among its consumers: add {exposure.name} to the custom property consumers",
            )


def compared(readings: Sequence[Reading], manifest: Any) -> list[Reading]:
    """Readings of contracts with what is not as dbt's YAML says added to their problems."""
    models: list[PromisedModel] = []
    found = []
    for reading in readings:
        contract = reading.contract
        if contract is not None and is_product(contract):
            models = models or promised_models(manifest)
            found.append(reading.with_problems(differences(contract, models)))
        else:
            found.append(reading)
    return found


def chosen(manifest: Any, names: Sequence[str]) -> list[PromisedModel]:
    """Models by dbt's name or by ``layer.table``; without names all whose columns are enforced, by name.

    Raises:
        NotFoundError: there is no such model.
        UsageError: a name is that of several.
    """
    models = promised_models(manifest)
    if not names:
        return sorted((one for one in models if one.is_enforced), key=lambda one: one.qualified)
    found = []
    for name in names:
        fitting = [one for one in models if name in (one.name, one.table, one.qualified)]
        if not fitting:
            near = nearest(name, [word for one in models for word in (one.name, one.qualified)])
            raise NotFoundError(
                f"No model {name}", "dbt knows none of this name", f"Did you mean {near}?" if near else ""
            )
        if len(fitting) > 1:
            raise UsageError(
                f"{name} may be {' and '.join(one.qualified for one in fitting)}", "", "Write layer.table"
            )
        found += fitting
    return found


def promised_models(manifest: Any) -> list[PromisedModel]:
    """Models, seeds and snapshots of a manifest that become tables."""
    tests = _tests(manifest)
    return [
        _model(manifest, node, tests.get(node.unique_id, []))
        for node in manifest.nodes.values()
        if node.resource_type in _KINDS and node.config.get("materialized") not in ("ephemeral", "view")
    ]


@dataclass(frozen=True)
class Question:
    """What a macro asks of contracts.

    Args:
        form: ``typed`` or ``quarantined`` rows of a feed, the condition for those ``retained``, or ``broken`` rules of a table.
        name: of the feed, or ``layer.table``, or the contract's id.
        relation: the table in SQL.
        severity: of the rules that ``broken`` looks at.
    """

    form: str
    name: str
    relation: str
    severity: str = "error"


def contract_query(
    project: Path,
    asked: Question,
    variables: Mapping[str, Any],
    newest: Callable[[str], datetime | None],
) -> tuple[str, str]:
    """SQL of a contract for a macro.

    Args:
        project: folder of dbt_project.yml.
        asked: by the macro.
        variables: dbt's vars as the run has them.
        newest: when the newest row of a table in SQL landed; None where that is not known before the query runs.

    Returns:
        The SQL, and an expression for the time before which rows have expired; empty where none of them expires.

    Raises:
        NotFoundError: no contract describes it.
        ConfigError: the contract does not say enough.
    """
    name, relation = asked.name, asked.relation
    contracts = read_contracts(project)
    if asked.form == "broken":
        for contract in contracts:
            for table in contract.tables:
                if (
                    name in (contract.id, table.physical_name, table.name)
                    or name.partition(".")[2] == table.name
                ):
                    return broken_rules_sql(table, relation, Severity(asked.severity), contract.origin), ""
        raise NotFoundError(
            f"No contract of {name}", "none in contracts/ describes it", "slipway contracts export writes one"
        )
    feeds = _feeds(contracts)
    if name not in feeds:
        known = ", ".join(sorted(feeds)) or "no feed"
        raise NotFoundError(f"No feed {name}", f"contracts/ describes {known}", "Add its contract")
    contract, released = feeds[name], read_released(project, name)
    if asked.form == "typed":
        return typed_sql(contract, relation, released), ""
    retention = retention_of(contract, variables, released)
    if retention and retention.as_of is None:  # a query that reads raw twice cannot be built in increments
        retention = replace(retention, as_of=newest(relation))
    cutoff = retention.cutoff_sql(relation) if retention else ""
    kept = retention.kept_sql(relation) if retention else "true"
    if asked.form == "retained":
        return kept, cutoff
    rows = quarantined_sql(contract, relation, released)
    return (f"select * from (\n{rows}\n) where {kept}" if retention else rows), cutoff


def retentions(project: Path, variables: Mapping[str, Any]) -> dict[str, Retention]:
    """How long rows of feeds stay in quarantine, by feed; without those that stay for ever.

    Raises:
        ConfigError: a contract cannot be read, or the var ``as_of`` is no time.
    """
    found = {
        name: retention_of(contract, variables, read_released(project, name))
        for name, contract in _feeds(read_contracts(project)).items()
    }
    return {name: one for name, one in found.items() if one is not None}


def quarantine_limits(project: Path) -> dict[str, list[Limit]]:
    """How many rows rules may put into quarantine, as contracts say, by feed."""
    found: dict[str, list[Limit]] = {}
    for name, contract in _feeds(read_contracts(project)).items():
        for rule, limit in limits_of(contract):
            less = limit.must_be_less_than is not None
            value = limit.must_be_less_than if less else limit.must_be_less_or_equal_to
            found.setdefault(name, []).append(
                Limit(
                    rule=rule,
                    operator="mustBeLessThan" if less else "mustBeLessOrEqualTo",
                    value=value or 0,
                    unit=limit.unit,
                    severity=limit.severity,
                    contract=contract.origin,
                )
            )
    return found


def contract_digests(project: Path) -> dict[str, str]:
    """Digests of contracts as a whole, with their released rows, by the names that macros call them by."""
    contracts = read_contracts(project)
    by_id = {contract.id: contract.digest for contract in contracts}
    return by_id | {
        name: " ".join([contract.digest, *(one.model_dump_json() for one in read_released(project, name))])
        for name, contract in _feeds(contracts).items()
    }


def typed_digests(project: Path, names: Collection[str]) -> dict[str, str]:
    """What typed and quarantined rows of feeds depend on: their query. What else a contract says, such as limits and descriptions, changes no row.

    Args:
        project: folder of dbt_project.yml.
        names: of feeds; what is no feed is left out.
    """
    found = {}
    for name, contract in _feeds(read_contracts(project)).items():
        if name in names:
            try:
                sql = typed_sql(contract, "raw", read_released(project, name))
            except ConfigError:  # there is no such query, which the model says when it is compiled
                sql = contract.digest
            found[name] = hashlib.sha256(sql.encode()).hexdigest()[:16]
    return found


def retention_digests(project: Path, names: Collection[str], variables: Mapping[str, Any]) -> dict[str, str]:
    """What the rows that are left of feeds in quarantine depend on besides their query: how long they stay, and the var ``as_of``.

    Args:
        project: folder of dbt_project.yml.
        names: of feeds.
        variables: dbt's vars; without ``as_of`` where it does not count.
    """
    return {
        name: f"{given.duration} {variables.get(AS_OF, '')}"
        for name, contract in _feeds(read_contracts(project)).items()
        if name in names and (given := contract.settings.quarantine_retention)
    }


def _feeds(contracts: Sequence[Contract]) -> dict[str, Contract]:
    return {feed.name: contract for contract in contracts if (feed := Feed.of(contract)) is not None}


def _model(manifest: Any, node: Any, tests: Sequence[Any]) -> PromisedModel:
    contract = node.config.get("contract")
    key, required, unique = _constraints(node)
    partitions = node.config.get("partitioned_by") or []
    return PromisedModel(
        name=node.name if not getattr(node, "version", None) else f"{node.name}_v{node.version}",
        layer=node.schema,
        table=node.alias,
        file=str(node.patch_path or "").partition("://")[2] or str(node.original_file_path),
        description=" ".join((node.description or "").split()),
        is_enforced=bool((contract and contract.enforced) or node.config.get("slipway_contract")),
        columns=tuple(
            ModelColumn(
                name=column.name,
                data_type=column.data_type,
                description=" ".join((column.description or "").split()),
                is_required=column.name in required,
                is_unique=column.name in unique,
                values=_values(tests, column.name),
                refers_to=tuple(_referred(manifest, tests, column.name)),
            )
            for column in node.columns.values()
        ),
        key=key,
        partitioned_by=tuple(name for name in partitions if isinstance(name, str) and "(" not in name),
        rules_tested=tuple(
            str(test.test_metadata.kwargs.get("rules", "error"))
            for test in tests
            if test.test_metadata.name == "meets_contract"
        ),
        consumers=tuple(
            exposure.name
            for exposure in manifest.exposures.values()
            if node.unique_id
            in {*exposure.depends_on.nodes, *tables_read(manifest, exposure.depends_on.nodes)}
        ),
    )


def _constraints(node: Any) -> tuple[tuple[str, ...], set[str], set[str]]:
    """Columns of the primary key, columns without NULL, and columns that are unique by themselves."""
    declared = [((column.name,), one) for column in node.columns.values() for one in column.constraints]
    declared += [(tuple(one.columns), one) for one in getattr(node, "constraints", [])]
    key: tuple[str, ...] = ()
    required: set[str] = set()
    unique: set[str] = set()
    for columns, constraint in declared:
        kind = str(getattr(constraint.type, "value", constraint.type))
        if kind == "primary_key":
            key = columns
        if kind in ("primary_key", "not_null"):
            required.update(columns)
        if kind == "unique" and len(columns) == 1:
            unique.update(columns)
    return key, required, unique


def _tests(manifest: Any) -> Mapping[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for node in manifest.nodes.values():
        attached = getattr(node, "attached_node", None)
        if node.resource_type == "test" and attached and getattr(node, "test_metadata", None):
            found.setdefault(attached, []).append(node)
    return found


def _values(tests: Sequence[Any], column: str) -> tuple[Any, ...] | None:
    """What an ``accepted_values`` test of a column allows: one without conditions that fails."""
    for test in _of(tests, "accepted_values", column):
        given = test.test_metadata.kwargs
        if str(test.config.severity).lower() == "error" and test.config.where is None:
            values = given.get("values") or []
            return tuple(str(value) if given.get("quote", True) else value for value in values)
    return None


def _referred(manifest: Any, tests: Sequence[Any], column: str) -> Iterator[str]:
    for test in _of(tests, "relationships", column):
        others = [unique_id for unique_id in test.depends_on.nodes if unique_id != test.attached_node]
        if len(others) == 1 and (node := manifest.nodes.get(others[0])) is not None:
            yield f"{node.alias}.{test.test_metadata.kwargs['field']}"


def _of(tests: Sequence[Any], name: str, column: str) -> Iterator[Any]:
    for test in tests:
        if test.test_metadata.name == name and (test.column_name or "").lower() == column.lower():
            yield test
