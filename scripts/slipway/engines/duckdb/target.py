"""What a write aims at: the table's schema, partition spec and properties after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import (
    AddPartitionSpecUpdate,
    AddSchemaUpdate,
    SetCurrentSchemaUpdate,
    SetDefaultSpecUpdate,
    SetPropertiesUpdate,
    TableUpdate,
    UpgradeFormatVersionUpdate,
)

from slipway.engines.duckdb.request import WriteRequest
from slipway.errors import ConfigError, ContractError
from slipway.iceberg import evolution, partitioning, schema, sorting
from slipway.iceberg.tables import FORMAT_VERSION, Tables
from slipway.names import TableName


def check_readable(table: Table) -> None:
    """Refuse a table in a format that is newer than what readers here are tested with.

    Raises:
        ContractError: it is.
    """
    if table.format_version > FORMAT_VERSION:
        raise ContractError(
            f"{TableName.of(table.name())} has format version {table.format_version}",
            f"another tool made it, and tables are read up to version {FORMAT_VERSION}",
            "Have that tool write version 2",
        )


def new_table(tables: Tables, request: WriteRequest, query: Schema) -> Table:
    """A table for a query, that exists nowhere yet.

    Raises:
        ConfigError: it cannot be partitioned as asked for, or the catalog cannot hold its name.
    """
    partition = partitioning.parse(request.partitioned_by, query, request.model)
    spec = partitioning.spec_for(partition, query, [])
    properties = {"format-version": str(FORMAT_VERSION), **_properties(request)}
    described = schema.documented(query, request.column_docs)
    order = sorting.order_for(sorting.parse(request.sorted_by, query, request.model))
    return tables.new(request.identifier, described, spec, order, properties)


def target_updates(
    base: TableMetadata, request: WriteRequest, query: Schema, *, full: bool
) -> tuple[TableUpdate, ...]:
    """The updates that give a table the schema, partition spec and properties of a write.

    Raises:
        ConfigError: it cannot be partitioned as asked for.
        ContractError: the schema cannot change as asked for.
    """
    if full:
        wanted = evolution.replaced(base.schema(), query, base.last_column_id, base.schemas)
    else:
        wanted = evolution.evolved(
            base.schema(),
            query,
            base.last_column_id,
            request.on_schema_change,
            request.model,
            base.schemas,
        )
        _check_partition_sources(base, wanted, request.model)
        _check_partition_names(base, wanted, request.model)
        if request.contract:
            _check_declared(wanted, request.contract.columns, request.model)
    wanted = schema.documented(wanted, request.column_docs)
    updates: list[TableUpdate] = _format_updates(base, request.model, full=full)
    if not schema.same_schema(base.schema(), wanted):
        numbered = Schema(
            *wanted.fields,
            schema_id=1 + max(known.schema_id for known in base.schemas),
            identifier_field_ids=_identifiers(base.schema(), wanted),
        )
        updates.append(AddSchemaUpdate(schema=numbered))  # type: ignore[call-arg]
        updates.append(SetCurrentSchemaUpdate(schema_id=-1))
    partition = partitioning.parse(request.partitioned_by, wanted, request.model)
    spec = partitioning.spec_for(partition, wanted, base.specs().values())
    if not base.spec().compatible_with(spec):
        updates += _spec_updates(spec, base.specs())
    updates += sorting.order_updates(base, sorting.parse(request.sorted_by, wanted, request.model))
    changed = {k: v for k, v in _properties(request).items() if base.properties.get(k) != v}
    if changed:
        updates.append(SetPropertiesUpdate(updates=changed))
    return tuple(updates)


def _check_declared(wanted: Schema, declared: Iterable[str], model: str) -> None:
    """Refuse to add to a table that spells a column otherwise than its contract: an increment keeps the table's names."""
    spelled = {name.lower(): name for name in declared}
    other = [one.name for one in wanted.fields if spelled.get(one.name.lower(), one.name) != one.name]
    if other:
        raise ContractError(
            f"{model} breaks its contract",
            f"its table has the column {other[0]}, declared as {spelled[other[0].lower()]}, and other readers tell upper from"
            " lower case",
            f"Declare it as {other[0]}, or rename it in the table by one run with --full-refresh",
        )


def _identifiers(base: Schema, wanted: Schema) -> list[int]:
    """The row identifiers that another tool gave the table, while all of them are still columns that are never NULL."""
    still = {one.field_id for one in wanted.fields if one.required}
    return base.identifier_field_ids if still.issuperset(base.identifier_field_ids) else []


def _check_partition_sources(base: TableMetadata, wanted: Schema, model: str) -> None:
    """Refuse to remove a column that files are partitioned by: DuckDB's reader ends the process on them."""
    kept = {field.field_id for field in wanted.fields}
    sources = {field.source_id for spec in base.specs().values() for field in spec.fields}
    gone = [field.name for field in base.schema().fields if field.field_id in sources - kept]
    if gone:
        raise ContractError(
            f"{model}: column {', '.join(gone)} is gone from the query",
            "the table is or was partitioned by it, and older files cannot be read without",
            "Keep it or run with --full-refresh",
        )


def _check_partition_names(base: TableMetadata, wanted: Schema, model: str) -> None:
    """Refuse a new column with the name of a partition field: not every reader opens such a table."""
    known = {field.name.lower() for field in base.schema().fields}
    parts = {field.name.lower() for spec in base.specs().values() for field in spec.fields}
    taken = [field.name for field in wanted.fields if field.name.lower() in parts - known]
    if taken:
        raise ContractError(
            f"{model}: column {', '.join(taken)} is new and has the name of a partition field",
            "the table is or was partitioned by it, and Iceberg wants different names",
            "Rename the column or run with --full-refresh",
        )


def _properties(request: WriteRequest) -> dict[str, str]:
    wanted = request.table_properties.get("format-version", str(FORMAT_VERSION))
    if wanted != str(FORMAT_VERSION):
        raise ConfigError(
            f"{request.model}: table_properties format-version {wanted}",
            f"tables are written as version {FORMAT_VERSION}",
            "Leave it out",
        )
    return {key: value for key, value in request.table_properties.items() if key != "format-version"}


def _format_updates(base: TableMetadata, model: str, *, full: bool) -> list[TableUpdate]:
    """Raise a table of format version 1 to 2, which only a full build can do: old partition fields have no ids there."""
    if base.format_version == FORMAT_VERSION:
        return []
    if base.format_version < FORMAT_VERSION and full:
        return [UpgradeFormatVersionUpdate(format_version=FORMAT_VERSION)]
    raise ContractError(
        f"{model} has format version {base.format_version}",
        f"another tool made it, and tables are written as version {FORMAT_VERSION}",
        "Run with --full-refresh"
        if base.format_version < FORMAT_VERSION
        else "Give the model another alias or drop the table",
    )


def _spec_updates(spec: PartitionSpec, known: Mapping[int, PartitionSpec]) -> list[TableUpdate]:
    """Make a spec the default: one that the table had before, or a new one."""
    for number, other in known.items():
        if other.compatible_with(spec):
            return [SetDefaultSpecUpdate(spec_id=number)]
    numbered = PartitionSpec(*spec.fields, spec_id=max(known) + 1)
    return [AddPartitionSpecUpdate(spec=numbered), SetDefaultSpecUpdate(spec_id=-1)]
