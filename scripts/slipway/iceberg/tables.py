"""Tables of one environment: what the catalog names, and metadata that it does not know yet.

A candidate table is ordinary Iceberg metadata in the warehouse that no catalog points to. Until it is
published nobody who asks the catalog can see any of it.

Asking the catalog which tables there are takes nothing of pyiceberg's tables, which are slow to import.
"""

from __future__ import annotations

import hashlib
import re
import threading
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from slipway.environments.environment import Environment
from slipway.errors import SlipwayError, UnavailableError, first_line
from slipway.iceberg.catalogs.kinds import CatalogKind
from slipway.iceberg.catalogs.opening import connectable, kind_of, open_catalog
from slipway.names import TableName
from slipway.write_limits import WRITES_BELOW

if TYPE_CHECKING:
    import duckdb
    from pyiceberg.catalog import Catalog
    from pyiceberg.io import FileIO
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.sorting import SortOrder

    from slipway.iceberg.snapshots import StagedTable, Staging

_FILE_IO = "slipway.iceberg.file_io.StoreFileIO"

FORMAT_VERSION = 2
"""What is written; readers take an older one, too."""


class Tables:
    """The tables of one environment, as its catalog and its warehouse hold them.

    Args:
        environment: whose they are.
        renew: gives a connection of DuckDB the store's keys of the moment; called before statements that may come
            long after the ones before.
    """

    def __init__(
        self, environment: Environment, renew: Callable[[duckdb.DuckDBPyConnection], None] = lambda _: None
    ) -> None:
        self.environment, self.renew = environment, renew
        self._lock = threading.RLock()
        self._loaded: dict[str, Table] = {}
        self._failure: UnavailableError | None = None

    @cached_property
    def catalog(self) -> Catalog:
        """The pyiceberg catalog, opened on first use.

        Raises:
            UnavailableError: it cannot be opened.
        """
        if self._failure:  # every thread asks, and each attempt may take its time
            raise self._failure
        environment = self.environment
        try:
            return open_catalog(environment, self._properties)
        except SlipwayError:
            raise
        except Exception as error:
            self._failure = UnavailableError(
                f"Catalog of {environment.name} cannot be opened",
                first_line(error),
                f"Check profiles.yml and PYICEBERG_CATALOG__{environment.name.upper()}__*",
            )
            raise self._failure from error

    @cached_property
    def kind(self) -> CatalogKind:
        """What the catalog can do; raises as ``catalog`` does."""
        return kind_of(self.environment.name, self.environment.catalog_properties, lambda: self.catalog)

    def locations(self, only: Collection[TableName] | None = None) -> dict[TableName, str]:
        """Current metadata location of every table, or of those that are asked for, in one consistent query where the catalog can.

        No metadata file is opened, except by REST catalogs, whose answer to a name is the whole table.

        Raises:
            UnavailableError: the catalog cannot be read.
        """
        with self._lock, self._reading():
            return self.kind.locations(only)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except SlipwayError:
            raise
        except Exception as error:
            raise UnavailableError(
                f"Catalog of {self.environment.name} cannot be read",
                first_line(error),
                "Check that it is running and the credentials are right",
            ) from error

    def load(self, identifier: TableName, metadata_location: str) -> Table:
        """The table as one metadata file describes it; the catalog is not asked, and not opened where the environment may only be read.

        Raises:
            DamagedTableError: the metadata file is missing or damaged.
            UnavailableError: it cannot be read.
        """
        with self._lock:
            if metadata_location not in self._loaded:
                self._loaded[metadata_location] = self._read(identifier, metadata_location, self._of_loaded)
            found = self._loaded[metadata_location]
            if found.name() != identifier:  # a table that is renamed has the metadata file of its old name
                from pyiceberg.table import Table

                return Table(identifier, found.metadata, metadata_location, found.io, self._of_loaded)
            return found

    @property
    def _of_loaded(self) -> Catalog:
        """The catalog that a table could be changed by; where nothing may be, it need not be reachable."""
        from pyiceberg.catalog.noop import NoopCatalog

        only_read = self.environment.catalog_properties.get(WRITES_BELOW) == ""
        return NoopCatalog(self.environment.name) if only_read else self.catalog

    def load_to_read(self, identifier: TableName, metadata_location: str) -> Table:
        """The same without a catalog, which need not be reachable then; raises as ``load`` does."""
        from pyiceberg.catalog.noop import NoopCatalog

        return self._read(identifier, metadata_location, NoopCatalog(self.environment.name))

    def _read(self, identifier: TableName, metadata_location: str, catalog: Catalog) -> Table:
        from pyiceberg.table import Table

        from slipway.iceberg.metadata_files import read_metadata, reading

        io = self.io(metadata_location)
        with reading(f"metadata of {identifier}", metadata_location):
            metadata = read_metadata(io, metadata_location)
        return Table(identifier, metadata, metadata_location, io, catalog)

    def new(
        self,
        identifier: TableName,
        schema: Schema,
        spec: PartitionSpec,
        order: SortOrder,
        properties: dict[str, str],
    ) -> Table:
        """A table that exists nowhere yet: fresh field ids, a location, and no metadata file.

        Raises:
            ConfigError: the catalog could not keep it under its name.
            UnavailableError: the catalog cannot be read.
        """
        from pyiceberg.table.metadata import new_table_metadata

        return self.begin(
            identifier, lambda location: new_table_metadata(schema, spec, order, location, properties)
        )

    def begin(self, identifier: TableName, described: Callable[[str], TableMetadata]) -> Table:
        """A table that exists nowhere yet, by what makes its metadata for a location; raises as ``new`` does."""
        from pyiceberg.table import Table

        with self._reading():
            self.kind.check_name(identifier)
        location = self.location_of(identifier)
        unwritten = f"{location}/metadata/00000-{uuid.uuid4()}.metadata.json"
        return Table(identifier, described(location), unwritten, self.io(location), self.catalog)

    def location_of(self, identifier: TableName) -> str:
        """The folder that a new table gets."""
        return f"{self.environment.warehouse}/{_folder(identifier[0])}/{_folder(identifier[1])}"

    def stage(self, table: Table, transaction: Staging, *, new: bool) -> StagedTable:
        """Write the metadata file that a transaction leads to, without telling the catalog."""
        from pyiceberg.table import Table

        from slipway.iceberg.metadata_files import write_metadata
        from slipway.iceberg.snapshots import StagedTable

        metadata = transaction.metadata_after(None if new else table.metadata_location)
        version = 0 if new else _version(table.metadata_location) + 1
        wanted = f"{metadata.location}/metadata/{version:05d}-{{}}.metadata.json"
        location = write_metadata(table.io, wanted, metadata)
        staged = Table(table.name(), metadata, location, table.io, self.catalog)
        with self._lock:
            self._loaded[location] = staged
        return StagedTable(
            TableName.of(table.name()),
            staged,
            None if new else table.metadata_location,
            transaction._updates,
        )

    def io(self, location: str) -> FileIO:
        """File access for a location with the catalog's credentials."""
        from pyiceberg.io import load_file_io

        return load_file_io(self._properties, location)

    @property
    def _properties(self) -> dict[str, str]:
        """The environment's properties, with what pyiceberg and SQLAlchemy leave open."""
        given = connectable(self.environment.catalog_properties)
        return {"py-io-impl": _FILE_IO, **given}


def _folder(name: str) -> str:
    """A name as a folder: signs that a location could not have are replaced, and the name's hash keeps it apart.

    Never one that leads elsewhere (``..``), that programs take for hidden (``.x``, ``_x``), or that is slipway's own.
    """
    plain = re.sub(r"^[._]+|[^\w .+=@-]", "_", name)[:100]
    if not plain or plain.startswith("_"):
        plain = f"x{plain}"
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _version(metadata_location: str) -> int:
    head = metadata_location.rsplit("/", 1)[-1].split("-", 1)[0]
    return int(head) if head.isdigit() else 0
