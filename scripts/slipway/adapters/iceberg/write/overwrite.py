"""``insert_overwrite``: whole partitions of the table are replaced by those of the query."""

from __future__ import annotations

from collections.abc import Sequence

from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table

from slipway.adapters.iceberg.partitioning import PartitionColumn
from slipway.adapters.iceberg.write.partition_values import partition_value
from slipway.adapters.iceberg.write.rewrite import (
    FILE,
    Rewrite,
    Scratch,
    files_relation,
    named,
    readable_files,
)


def by_partition(
    scratch: Scratch,
    table: Table,
    schema: Schema,
    select: str,
    partition: Sequence[PartitionColumn],
    spec: PartitionSpec,
) -> Rewrite:
    """Plan the replacement of every partition that occurs in the query.

    Files of another partition spec lose the rows of these partitions and keep the others.

    Args:
        scratch: where temporary tables go.
        table: the base.
        schema: the schema the new files get; the base's rows are read into it.
        select: the query, in the columns and types of the table.
        partition: partition columns; without any the whole table is replaced.
        spec: the partition spec they make.
    """
    files = readable_files(scratch.cursor, table)
    if not partition:
        return Rewrite(files, select)
    source = scratch.table(f"as {select}")
    values = ", ".join(f"{column.expression} as value_{at}" for at, column in enumerate(partition))
    wanted = scratch.table(f"as select distinct {values} from {source}")
    texts = ", ".join(f"value_{at}::varchar" for at in range(len(partition)))
    rows = scratch.cursor.execute(f"select {texts} from {wanted}").fetchall()
    if not rows:
        return Rewrite([], f"from {source}")
    tuples = {
        tuple(partition_value(text, column.result_type) for text, column in zip(row, partition, strict=True))
        for row in rows
    }
    specs = table.specs()
    alike = {number for number, known in specs.items() if known.compatible_with(spec)}
    removed = [
        file
        for file in files
        if file.spec_id in alike and tuple(file.partition[at] for at in range(len(partition))) in tuples
    ]
    others = [file for file in files if file.spec_id not in alike]
    mixed = _mixed(scratch, others, schema, partition, wanted)
    if not mixed:
        return Rewrite(removed, f"from {source}")
    kept = f"select rows.* from {files_relation(mixed, schema)} as rows anti join {wanted} as wanted on {_equal(partition)}"
    return Rewrite([*removed, *mixed], f"({kept}) union all by name (from {source})")


def _mixed(
    scratch: Scratch,
    files: Sequence[DataFile],
    schema: Schema,
    partition: Sequence[PartitionColumn],
    wanted: str,
) -> list[DataFile]:
    """Files of other specs with a row of the wanted partitions."""
    if not files:
        return []
    scan = files_relation(files, schema, filename=True)
    found = scratch.cursor.execute(
        f"select distinct rows.{FILE} from {scan} as rows semi join {wanted} as wanted on {_equal(partition)}"
    ).fetchall()
    return named(files, {row[0] for row in found})


def _equal(partition: Sequence[PartitionColumn]) -> str:
    return " and ".join(
        f"({column.expression}) is not distinct from wanted.value_{at}" for at, column in enumerate(partition)
    )
