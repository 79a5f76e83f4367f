"""AWS Glue: the pointer of one table is moved if Glue still holds the version that was read."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Any, cast

from pyiceberg.catalog import METADATA_LOCATION, Catalog
from pyiceberg.catalog.glue import GlueCatalog, _construct_table_input
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.table import Table

from slipway.errors import ConfigError
from slipway.iceberg.catalogs.kinds import CatalogKind
from slipway.iceberg.catalogs.movers import CatalogTables, UpdateMover, on_top, undone
from slipway.iceberg.snapshots import StagedTable
from slipway.names import TableName
from slipway.write_limits import WRITES_BELOW, check_write


def only_read(catalog: Catalog) -> None:
    """Refuse whatever Glue would be asked to change, before it is asked."""

    def asked(model: Any, **_: object) -> None:
        if not model.name.startswith(("Get", "List", "BatchGet")):
            check_write({WRITES_BELOW: ""}, f"Glue ({model.name})")

    cast("GlueCatalog", catalog).glue.meta.events.register("before-call.glue", asked)


class GlueKind(CatalogKind):
    """AWS Glue."""

    keeps_staged_metadata = True

    def locations(self, only: Collection[TableName] | None) -> dict[TableName, str]:  # noqa: ARG002 - a listing has all
        """What the listing of each database says; Glue holds tables of other formats and tools, too."""
        catalog = cast("GlueCatalog", self._catalog)
        found = {}
        for (database,) in catalog.list_namespaces():
            for page in catalog.glue.get_paginator("get_tables").paginate(DatabaseName=database):
                for table in page["TableList"]:
                    parameters = table.get("Parameters", {})
                    location = parameters.get("metadata_location")
                    if location and parameters.get("table_type", "").lower() == "iceberg":
                        found[TableName(database, table["Name"])] = location
        return found

    def check_name(self, table: TableName) -> None:
        """Refuse what Glue would fold, or has for something that is no Iceberg table.

        Raises:
            ConfigError: it would be kept under another name, or not at all.
        """
        name = str(table)
        if name != name.lower():
            raise ConfigError(
                f"{name} cannot be a table in Glue",
                "Glue keeps names in lower case",
                "Give the model an alias and a schema in lower case",
            )
        with suppress(NoSuchTableError):
            held = cast("GlueCatalog", self._catalog)._get_glue_table(*table)
            if held.get("Parameters", {}).get("table_type", "").lower() != "iceberg":
                raise ConfigError(
                    f"{name} cannot be a table in Glue",
                    "Glue has something else under this name, which is no Iceberg table",
                    "Give the model another alias, or remove what is there",
                )

    def mover(self, tables: CatalogTables) -> UpdateMover:
        """By the version that Glue keeps of each table."""
        return GlueMover(tables)


class GlueMover(UpdateMover):
    """Moves single tables by their version; Glue cannot guard by it what is dropped."""

    def __init__(self, tables: CatalogTables) -> None:
        super().__init__(tables)
        self._catalog = cast("GlueCatalog", tables.catalog)

    def _register(self, item: StagedTable) -> bool:
        database, name = item.identifier
        described = _construct_table_input(
            name, item.table.metadata_location, item.table.properties, item.table.metadata
        )
        try:
            self._catalog._create_glue_table(database, name, described)
        except TableAlreadyExistsError:
            return False
        return True

    def _advance(self, item: StagedTable) -> bool:
        if self._from_base(item):
            return True
        (again,) = on_top(self._tables, [item])
        return again is not item and self._from_base(again)

    def _return(self, item: StagedTable, tag: str) -> bool:
        assert item.base is not None
        if self._move(item.identifier, item.table, self._tables.load(item.identifier, item.base)):
            return True
        location = self._tables.locations({item.identifier}).get(item.identifier)
        goal = undone(self._tables, item, location, tag) if location else None
        if location is None or goal is None:
            return False
        return self._move(item.identifier, self._tables.load(item.identifier, location), goal)

    def _shows(self, item: StagedTable) -> bool:
        return self._holding(item.identifier, item.table.metadata_location) is not None

    def _from_base(self, item: StagedTable) -> bool:
        assert item.base is not None
        return self._move(item.identifier, self._tables.load(item.identifier, item.base), item.table)

    def _move(self, identifier: TableName, origin: Table, to: Table) -> bool:
        held = self._holding(identifier, origin.metadata_location)
        if held is None:
            return False
        # Glue shows the table's properties among its parameters: those of the state that is left go
        held["Parameters"] = {
            key: value for key, value in held["Parameters"].items() if key not in origin.properties
        }
        described = _construct_table_input(
            identifier[1], to.metadata_location, to.properties, to.metadata, held, origin.metadata_location
        )
        try:
            self._catalog._update_glue_table(*identifier, described, held["VersionId"])
        except (CommitFailedException, NoSuchTableError):
            return False
        return True

    def _holding(self, identifier: TableName, location: str) -> Any:
        """What Glue holds of a table, None unless it names this metadata file."""
        try:
            held = self._catalog._get_glue_table(*identifier)
        except NoSuchTableError:
            return None
        return held if held.get("Parameters", {}).get(METADATA_LOCATION) == location else None
