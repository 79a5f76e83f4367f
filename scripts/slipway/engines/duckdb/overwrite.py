"""``insert_overwrite``: whole partitions of the table are replaced by those of the query, and emptied if it has none for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.types import DateType

from slipway.engines.duckdb.carry import NotCarriedError, Part
from slipway.engines.duckdb.merge_clauses import DEST
from slipway.engines.duckdb.partition_values import partition_value
from slipway.engines.duckdb.rewrite import Rewrite, Scratch, files_holding, files_relation, readable_files
from slipway.iceberg.partitioning import PartitionColumn
from slipway.iceberg.schema import top_level
from slipway.iceberg.types import quote


def by_partition(
    scratch: Scratch,
    table: Table,
    schema: Schema,
    select: str,
    partition: Sequence[PartitionColumn],
    spec: PartitionSpec,
    part: Part | None = None,
) -> Rewrite:
    """Plan the replacement of every partition that occurs in the query.

    Where the query reads the changed partitions of an input, those of the table that they made before and make no
    more are emptied. Files of another partition spec lose the rows of these partitions and keep the others.

    Without partition columns the whole table is replaced. For the other arguments see ``merge.Merge``.

    Raises:
        NotCarriedError: a partition of the table would be replaced by a part of its rows, or it cannot be said whether
            it is to be emptied.
    """
    files = readable_files(scratch.cursor, table)
    if not partition:
        if part:
            raise NotCarriedError("the whole table would be replaced by a part of its rows")
        return Rewrite(files, select, carries=False)
    source = scratch.table(f"as {select}")
    wanted, tuples = _partitions(scratch, source, partition)
    emptied = _Emptied.of(scratch, table, files, partition, tuples, part) if part else None
    if not tuples and not emptied:
        return Rewrite([], f"from {source}", carries=False)
    alike = {number for number, known in table.specs().items() if known.compatible_with(spec)}
    removed = [
        file
        for file in files
        if file.spec_id in alike
        and (
            tuple(file.partition[at] for at in range(len(partition))) in tuples
            or (emptied and emptied.holds(file.partition))
        )
    ]
    others = [file for file in files if file.spec_id not in alike]
    equal = " and ".join(
        f"({column.expression}) is not distinct from wanted.value_{at}" for at, column in enumerate(partition)
    )
    condition = f"exists (from {wanted} as wanted where {equal})"
    if emptied:
        condition = f"({condition} or ({emptied.condition}) is true)"
    mixed = [file for file, _ in files_holding(scratch.cursor, others, schema, condition)]
    if part:
        replaced = [*removed, *mixed]
        _check_whole(scratch, part, source, replaced, schema, condition, partition)
    if not mixed:
        return Rewrite(removed, f"from {source}", carries=False)
    kept = f"select {DEST}.* from {files_relation(mixed, schema)} as {DEST} where not {condition}"
    return Rewrite([*removed, *mixed], f"({kept}) union all by name (from {source})")


@dataclass(frozen=True)
class _Emptied:
    """Partitions of the table that go, whether the query has rows for them or not.

    Args:
        at: the field of the partition that identifies them.
        values: its values.
        condition: the same for rows.
    """

    at: int
    values: Collection[object]
    condition: str

    def holds(self, partition: Record) -> bool:
        """Whether a data file is in one of them."""
        return partition[self.at] in self.values

    @classmethod
    def of(
        cls,
        scratch: Scratch,
        table: Table,
        files: Sequence[DataFile],
        partition: Sequence[PartitionColumn],
        tuples: set[tuple[object, ...]],
        part: Part,
    ) -> Self | None:
        """The partitions that a query was asked for by the column that they are made of; None when it was not.

        That a column of the table is the input's, and not another one of its name, is known from what the query gives for the
        partitions it was asked for, now and on what the input was before.

        Raises:
            NotCarriedError: rows of the table may have to go, and which cannot be said.
        """
        earlier = part.earlier_result(scratch)
        before = _partitions(scratch, earlier, partition)[1] if earlier else set()
        for at, column in enumerate(partition):
            exact = isinstance(column.transform, IdentityTransform) or isinstance(
                column.source_type, DateType
            )
            one = part.asked(column.source)
            if one is None or not exact or str(column.transform) not in ("identity", "day"):
                continue
            given = {values[at] for values in before | tuples}
            if given and given <= one.values:
                return cls(at, one.values, one.predicate)
            if not given and any(_holds(table, file, column, one.values) for file in files):
                raise NotCarriedError("the partitions that changed have no row any more")
        if gone := before - tuples:
            raise NotCarriedError(
                f"{len(gone)} partitions have no row any more, or only rows that did not change"
            )
        return None


def _holds(table: Table, file: DataFile, column: PartitionColumn, values: Collection[object]) -> bool:
    """Whether a file may have rows of partitions, as far as its own partition says."""
    fields = table.specs()[file.spec_id].fields
    at = next((at for at, field in enumerate(fields) if field.name == column.name), None)
    return at is None or file.partition[at] in values


def _partitions(
    scratch: Scratch, relation: str, partition: Sequence[PartitionColumn]
) -> tuple[str, set[tuple[object, ...]]]:
    """The partitions of a relation's rows: as a temporary table, and as Iceberg keeps their values."""
    values = ", ".join(f"{column.expression} as value_{at}" for at, column in enumerate(partition))
    found = scratch.table(f"as select distinct {values} from {relation}")
    texts = ", ".join(f"value_{at}::varchar" for at in range(len(partition)))
    rows = scratch.cursor.execute(f"select {texts} from {found}").fetchall()
    return found, {
        tuple(partition_value(text, column.result_type) for text, column in zip(row, partition, strict=True))
        for row in rows
    }


def _check_whole(
    scratch: Scratch,
    part: Part,
    source: str,
    replaced: Sequence[DataFile],
    schema: Schema,
    condition: str,
    partition: Sequence[PartitionColumn],
) -> None:
    """Refuse to replace a partition by a part of its rows.

    Raises:
        NotCarriedError: the query has only rows that were added, or what it reads its input by is finer than the partition.
    """
    if not replaced:
        return
    if added := part.added:
        raise NotCarriedError(f"partitions have rows that rows_added of {added.name} leaves out")
    if part.several:
        raise NotCarriedError("partitions may have rows of one input that did not change when the other did")
    sources = {column.source.lower() for column in partition if str(column.transform) in ("identity", "day")}
    for one in part.increments:
        field = top_level(schema, one.column) if one.column and one.is_part else None
        if field is None and one.is_part and part.direct:
            raise NotCarriedError(f"partitions have rows of {one.name} that the query does not read")
        if field is None or field.name.lower() in sources:
            continue
        name = quote(field.name)
        lost = (
            f"select 1 from {files_relation(replaced, schema)} as {DEST} where {condition} "
            f"and ({one.predicate}) is not true and not exists "
            f"(from {source} as new where new.{name} is not distinct from {DEST}.{name}) limit 1"
        )
        if scratch.cursor.execute(lost).fetchone():
            raise NotCarriedError(
                f"partitions have rows of other values of {field.name} than those that changed"
            )
