"""Contracts of products: what a model promises, compared with what dbt's YAML says of it, and written from it.

dbt's YAML is the source of a model's columns; a contract repeats them for those who read the data, so the two have to agree in both directions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.contracts.model import Column, Contract, Table
from slipway.contracts.problems import Problem, unknown
from slipway.contracts.standard import NEWEST
from slipway.errors import ConfigError

_SAME_TYPE = {
    **dict.fromkeys(("tinyint", "int1"), "tinyint"),
    **dict.fromkeys(("smallint", "int2", "short"), "smallint"),
    **dict.fromkeys(("integer", "int", "int4", "signed"), "integer"),
    **dict.fromkeys(("bigint", "int8", "long"), "bigint"),
    **dict.fromkeys(("decimal", "numeric", "dec"), "decimal"),
    **dict.fromkeys(("real", "float", "float4"), "real"),
    **dict.fromkeys(("double", "float8", "double precision"), "double"),
    **dict.fromkeys(("varchar", "string", "text", "char", "bpchar"), "varchar"),
    **dict.fromkeys(("boolean", "bool", "logical"), "boolean"),
    **dict.fromkeys(("timestamp", "datetime", "timestamp without time zone"), "timestamp"),
    **dict.fromkeys(("timestamptz", "timestamp with time zone"), "timestamp with time zone"),
    **dict.fromkeys(("blob", "bytea", "binary", "varbinary"), "blob"),
}
"""Names of types to the one that is compared; source: DuckDB's documentation, section "Data Types"."""
_LOGICAL = {
    **dict.fromkeys(("tinyint", "smallint", "integer", "bigint", "hugeint"), "integer"),
    **dict.fromkeys(("utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"), "integer"),
    **dict.fromkeys(("decimal", "real", "double"), "number"),
    **dict.fromkeys(("varchar", "uuid", "json", "blob"), "string"),
    **dict.fromkeys(("timestamp", "timestamp with time zone"), "timestamp"),
    **dict.fromkeys(("timestamp_s", "timestamp_ms", "timestamp_ns"), "timestamp"),
    **{name: name for name in ("boolean", "date", "time", "map")},
    "struct": "object",
    "list": "array",
}


@dataclass(frozen=True)
class ModelColumn:
    """A column as dbt's YAML describes it.

    Args:
        name: of the column.
        data_type: of the engine; None where dbt does not say it.
        is_required: whether a constraint keeps NULL out.
        is_unique: whether a constraint keeps each value to one row.
        values: those that an ``accepted_values`` test allows; None where there is no such test.
        refers_to: ``table.column`` of ``relationships`` tests.
    """

    name: str
    data_type: str | None = None
    description: str = ""
    is_required: bool = False
    is_unique: bool = False
    values: tuple[Any, ...] | None = None
    refers_to: tuple[str, ...] = ()


@dataclass(frozen=True)
class PromisedModel:
    """A model as dbt's YAML describes it.

    Args:
        name: of the model in dbt.
        layer: namespace of its table.
        table: name of its table.
        file: of the YAML.
        is_enforced: whether dbt or Slipway holds the result to the columns.
        columns: in dbt's order.
        key: columns of the primary key.
        partitioned_by: columns by which files are divided, without a transform.
        consumers: names of the exposures that read it.
        rules_tested: severities of the rules that its ``meets_contract`` tests look at.
    """

    name: str
    layer: str
    table: str
    file: str = ""
    description: str = ""
    is_enforced: bool = False
    columns: tuple[ModelColumn, ...] = ()
    key: tuple[str, ...] = ()
    partitioned_by: tuple[str, ...] = ()
    consumers: tuple[str, ...] = ()
    rules_tested: tuple[str, ...] = ()

    @property
    def qualified(self) -> str:
        """``layer.table``."""
        return f"{self.layer}.{self.table}"


def is_product(contract: Contract) -> bool:
    """Whether a contract describes tables of the project, and no landed files."""
    return contract.landing is None


def differences(contract: Contract, models: Sequence[PromisedModel]) -> Iterator[Problem]:
    """What of a product's contract is not as dbt's YAML says, in the order of the contract."""
    for index, table in enumerate(contract.tables):
        path = ("schema", index)
        model = _found(table, models)
        if isinstance(model, PromisedModel):
            yield from _of_table(path, table, model)
        elif model:
            named = " and ".join(one.qualified for one in model)
            yield Problem(path, f"may be {named}", f"Write `physicalName: {model[0].qualified}`")
        else:
            yield unknown(
                path, table.physical_name or table.name, "schema", (one.qualified for one in models), "table"
            )


def document_of(model: PromisedModel) -> dict[str, Any]:
    """A contract in the newest version of the standard with all that dbt's YAML says of a model, as plain values.

    Raises:
        ConfigError: a column has no data type, or there is none.
    """
    without = [column.name for column in model.columns if column.data_type is None]
    if without or not model.columns:
        raise ConfigError(
            f"No contract can be written of {model.qualified}",
            f"{', '.join(without)} has no data_type" if without else "dbt's YAML describes no columns",
            f"Describe the columns ({model.file})",
        )
    table: dict[str, Any] = {
        "name": model.table,
        "physicalName": model.qualified,
        "logicalType": "object",
        "physicalType": "table",
    }
    if model.description:
        table["description"] = model.description
    if grain := re.search(r"One row per [^.]*\.", model.description):
        table["dataGranularityDescription"] = grain.group()
    table["properties"] = [_property(column, model) for column in model.columns]
    contract: dict[str, Any] = {
        "apiVersion": NEWEST,
        "kind": "DataContract",
        "id": model.qualified,
        "name": model.table,
        "version": "1.0.0",
        "status": "active",
    }
    if model.description:
        contract["description"] = {"purpose": model.description}
    contract["schema"] = [table]
    if model.consumers:
        contract["customProperties"] = [{"property": "consumers", "value": list(model.consumers)}]
    return contract


def yaml_of(model: PromisedModel) -> str:
    """A contract of a model as YAML, written by the standard's own library.

    Raises:
        ConfigError: a column has no data type.
    """
    from open_data_contract_standard.model import OpenDataContractStandard

    return OpenDataContractStandard.model_validate(document_of(model)).to_yaml()


def plain_type(data_type: str) -> str:
    """A type in the one spelling that is compared: ``DECIMAL (18,4)`` and ``numeric(18, 4)`` are ``decimal(18,4)``."""
    text = " ".join(data_type.lower().split())
    text = re.sub(r"\s*([(),\[\]])\s*", r"\1", text)
    base, bracket, rest = re.match(r"([^(\[]*)([(\[]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    base = _SAME_TYPE.get(base.strip(), base.strip())
    if base == "varchar" and bracket == "(":  # DuckDB keeps no length
        rest = rest.partition(")")[2]
        return f"varchar{rest}"
    if base == "decimal" and not bracket:
        return "decimal(18,3)"
    return f"{base}{bracket}{rest}"


def logical_type(data_type: str) -> str | None:
    """The standard's logical type of an engine's type; None for one that is not known."""
    plain = plain_type(data_type)
    if plain.endswith("]"):
        return "array"
    return _LOGICAL.get(re.split(r"[(\[]", plain)[0])


def _found(table: Table, models: Sequence[PromisedModel]) -> PromisedModel | Sequence[PromisedModel]:
    name = table.physical_name or table.name
    found = [model for model in models if name in (model.qualified, model.table, model.name)]
    return found[0] if len(found) == 1 else found


def _of_table(path: tuple[str | int, ...], table: Table, model: PromisedModel) -> Iterator[Problem]:
    where = f"the model {model.name}"
    if not model.is_enforced:
        yield Problem(
            path,
            f"is of {where}, whose columns are not enforced",
            f"Write `contract: {{enforced: true}}` in its config ({model.file})",
        )
    for severity in dict.fromkeys(rule.severity for rule in table.rules):
        if severity not in model.rules_tested:
            asked = (
                "meets_contract"
                if severity == "error"
                else f"meets_contract: {{arguments: {{rules: {severity}}}}}"
            )
            yield Problem(
                path,
                f"has rules of the severity {severity}, which no data test of {where} looks at",
                f"Write `data_tests: [{asked}]` ({model.file})",
            )
    by_name = {column.name.lower(): column for column in model.columns}
    for index, column in enumerate(table.columns):
        inside = (*path, "properties", index)
        found = by_name.pop(column.header.lower(), None)
        if found is None:
            known = [one.name for one in model.columns]
            problem = unknown(inside, column.header, where, known, "column")
            yield problem
        else:
            yield from _of_column(inside, column, found, model)
    for missing in by_name.values():
        yield Problem(
            (*path, "properties"),
            f"lacks the column {missing.name} of {where}",
            f"Write `- name: {missing.name}`, or take slipway contracts export {model.name}",
        )
    if [name.lower() for name in table.key] != [name.lower() for name in model.key]:
        theirs = ", ".join(model.key) or "none"
        ours = ", ".join(table.key) or "none"
        yield Problem(
            (*path, "properties"),
            f"have the primary key {ours}, and the one of {where} is {theirs}",
            _write_both(model),
        )


def _of_column(
    path: tuple[str | int, ...], column: Column, found: ModelColumn, model: PromisedModel
) -> Iterator[Problem]:
    if found.data_type is None:
        yield Problem(
            path, f"has no data_type in the model {model.name}", f"Write `data_type:` ({model.file})"
        )
    else:
        if column.physical_type and plain_type(column.physical_type) != plain_type(found.data_type):
            yield Problem(
                (*path, "physicalType"),
                f"is {column.physical_type}, and data_type is {found.data_type}",
                _write_both(model),
            )
        logical = logical_type(found.data_type)
        if column.logical_type and logical and column.logical_type != logical:
            yield Problem(
                (*path, "logicalType"),
                f"is {column.logical_type}, and data_type is {found.data_type}",
                f"Write `logicalType: {logical}`",
            )
    is_required = found.is_required or column.header.lower() in (name.lower() for name in model.key)
    if column.required and not is_required:
        yield Problem(
            path, "is required, and the model has no not_null constraint", f"Add one ({model.file})"
        )
    elif is_required and not column.required:
        yield Problem(
            path, "is not required, and the model has a not_null constraint", "Write `required: true`"
        )
    yield from _of_enum(path, column, found, model)
    if column.unique is not (found.is_unique or (column.unique and list(model.key) == [column.header])):
        says = "unique" if column.unique else "not unique"
        yield Problem(path, f"is {says}, and the model says otherwise in its constraints", _write_both(model))


def _of_enum(
    path: tuple[str | int, ...], column: Column, found: ModelColumn, model: PromisedModel
) -> Iterator[Problem]:
    allowed, tested = (
        {str(value) for value in column.enum or ()},
        {str(value) for value in found.values or ()},
    )
    if column.enum is not None and "error" not in model.rules_tested and allowed != tested:
        yield Problem(
            (*path, "enum"),
            f"is what no data test of the model {model.name} looks at",
            f"Write `data_tests: [meets_contract]`, or accepted_values with these values ({model.file})",
        )


def _write_both(model: PromisedModel) -> str:
    return f"Write the same in both{f' ({model.file})' if model.file else ''}"


def _property(column: ModelColumn, model: PromisedModel) -> dict[str, Any]:
    given: dict[str, Any] = {"name": column.name}
    if kind := logical_type(column.data_type or ""):
        given["logicalType"] = kind
    given["physicalType"] = column.data_type
    if column.is_required or column.name in model.key:
        given["required"] = True
    if column.is_unique:
        given["unique"] = True
    if column.name in model.key:
        given |= {"primaryKey": True, "primaryKeyPosition": model.key.index(column.name) + 1}
    if column.name in model.partitioned_by:
        given |= {"partitioned": True, "partitionKeyPosition": model.partitioned_by.index(column.name) + 1}
    if column.description:
        given["description"] = column.description
    if column.values:
        given["enum"] = [{"value": value} for value in column.values]
    if column.refers_to:
        given["relationships"] = [{"to": to} for to in column.refers_to]
    return given
