"""The contract of a table that batches are written to: rows are looked at once, keys when no batch is to come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import duckdb
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema

from slipway.adapters.iceberg.types import duckdb_type, quote
from slipway.adapters.iceberg.write.constraints import Held, check_unique, check_written
from slipway.adapters.iceberg.write.metrics import WrittenFile
from slipway.adapters.iceberg.write.request import WriteRequest
from slipway.adapters.iceberg.write.rewrite import files_relation

Files = Callable[[], Sequence[DataFile]]


class BatchContract:
    """What was looked at so far.

    Args:
        before: what held for the rows that are there; None for those of an earlier part of the run, of which nothing
            is taken for granted.
    """

    def __init__(self, before: Held | None) -> None:
        self._before = before or Held()
        self._held: Held | None = None
        self._keys_known = before is not None

    def check_rows(
        self,
        cursor: duckdb.DuckDBPyConnection,
        request: WriteRequest,
        target: Schema,
        written: Sequence[WrittenFile],
        added: Sequence[DataFile],
        stays: Files,
    ) -> None:
        """Check what concerns rows alone: of the whole table with the first batch, then of what each one writes.

        Args:
            cursor: the thread's connection.
            request: holds the contract.
            target: the table's schema.
            written: the batch's files.
            added: the same, as the table is going to name them.
            stays: the table's other files.

        Raises:
            ContractError: one message with every violation.
        """
        self._keys_known = False
        if request.contract is None:
            return
        new = _relation(added, target)
        held, whole = self._held or self._before, new
        if self._held is None and not held.everything:
            whole = _relation([*stays(), *added], target)
        alone = replace(request.contract, unique=())
        check_written(cursor, request.model, alone, written, new, whole, held)
        self._held = Held.by(request.contract)

    def check_keys(
        self, cursor: duckdb.DuckDBPyConnection, request: WriteRequest, target: Schema, files: Files
    ) -> None:
        """Check keys on the whole table, unless nothing was written since they were.

        Args:
            cursor: the thread's connection.
            request: holds the contract.
            target: the table's schema.
            files: the table's files.

        Raises:
            ContractError: a key is there twice.
        """
        if request.contract is not None and request.contract.unique and not self._keys_known:
            whole = _relation(files(), target)
            check_unique(cursor, request.model, request.contract, whole)
        self._keys_known = True

    def kept_by(self, request: WriteRequest) -> WriteRequest:
        """The request with the part of its contract that the table is known to keep."""
        if request.contract is None or self._keys_known:
            return request
        return replace(request, contract=replace(request.contract, unique=()))


def _relation(files: Sequence[DataFile], target: Schema) -> str:
    if files:
        return files_relation(files, target)
    columns = (f"null::{duckdb_type(field.field_type)} as {quote(field.name)}" for field in target.fields)
    return f"(select {', '.join(columns)} where false)"
