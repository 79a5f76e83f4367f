"""Where the files of a write go, and what they are to be like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pyiceberg.io import FileIO
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Transaction

from slipway.adapters.iceberg import partitioning
from slipway.adapters.iceberg.tables import duckdb_path
from slipway.adapters.iceberg.write import sorting
from slipway.adapters.iceberg.write.layout import Layout
from slipway.adapters.iceberg.write.request import WriteRequest


@dataclass(frozen=True)
class Destination:
    """A table that rows are written to.

    Args:
        location: the table's root URI.
        io: removes what is not part of the table.
        schema: gives the field ids.
        spec: how the table is partitioned.
        partition: the same as SQL; files are split by it.
        sort: columns that rows are ordered by inside a file.
        sort_order_id: the Iceberg sort order of these columns.
        layout: size and compression.
        run_id: becomes part of the file names, so that left-overs can be told.
    """

    location: str
    io: FileIO
    schema: Schema
    spec: PartitionSpec
    partition: Sequence[partitioning.PartitionColumn]
    sort: Sequence[sorting.SortColumn]
    sort_order_id: int
    layout: Layout
    run_id: str

    @classmethod
    def of(cls, transaction: Transaction, request: WriteRequest) -> Self:
        """What a transaction leads to.

        Raises:
            ConfigError: it cannot be partitioned or sorted as asked for, or a table property has no meaning.
        """
        metadata = transaction.table_metadata
        schema = metadata.schema()
        return cls(
            location=metadata.location,
            io=transaction._table.io,
            schema=schema,
            spec=metadata.spec(),
            partition=partitioning.parse(request.partitioned_by, schema, request.model),
            sort=sorting.parse(request.sorted_by, schema, request.model),
            sort_order_id=metadata.default_sort_order_id,
            layout=Layout.of(metadata.properties, request.model),
            run_id=request.run_id,
        )

    @property
    def folder(self) -> str:
        """The folder of the data files as DuckDB takes it."""
        return duckdb_path(f"{self.location}/data")
