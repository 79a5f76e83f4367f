"""``merge``, ``delete+insert`` and ``insert_overwrite``: which rows of the table go, and which come.

``merge`` updates, deletes and inserts rows as DuckDB's MERGE INTO does it. ``delete+insert`` removes rows whose key occurs in the query, and
all rows of the query come. ``insert_overwrite`` replaces whole partitions of the table by those of the query, and empties them if it has none for them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Self

import duckdb
from pyiceberg import types as ice
from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.types import DateType

from slipway.counts import plural
from slipway.engines.duckdb import unique_keys
from slipway.engines.duckdb.merge_clauses import DEST, SOURCE, MergeClauses, any_of, listed, merge_clauses
from slipway.engines.duckdb.metrics import partition_value
from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.rewrite import NotCarriedError, Part, Rewrite, Scratch, explained
from slipway.engines.duckdb.scan import FILE, files_holding, files_relation, named, readable_files
from slipway.errors import ConfigError
from slipway.iceberg.partitioning import PartitionColumn
from slipway.iceberg.schema import find_column, top_level
from slipway.iceberg.types import duckdb_type
from slipway.sql_text import quote
from slipway.storage.locations import duckdb_path


class MergeTerms:
    """What a merge is by its configuration: its key, the rows that match, and what becomes of each.

    Args:
        scratch: where temporary tables go.
        schema: of the table.
        query: the schema of the model's query.
        select: the query, columns it shares with the table in the table's types.
        request: keys, clauses and predicates.

    Raises:
        ConfigError: no key, or clauses that cannot be carried out.
    """

    def __init__(
        self, scratch: Scratch, schema: Schema, query: Schema, select: str, request: WriteRequest
    ) -> None:
        self.scratch, self.schema, self.request = scratch, schema, request
        self.using = listed(request.merge.get("merge_on_using_columns"))
        self.keys = self._keys(query)
        names = {field.name.lower() for field in query.fields}
        self.shared = shared = [field.name for field in schema.fields if field.name.lower() in names]
        complete = len(shared) == len(schema.fields)
        self.clauses: MergeClauses = merge_clauses(
            request.merge, shared, complete=complete, model=request.model
        )
        self.join = self._join()
        self.source = scratch.table(f"as {select}")

    def bind(self) -> None:
        """Have DuckDB carry out the merge on a table without rows.

        Raises:
            duckdb.Error: it does not know a name, or a clause has another number of values than of columns.
        """
        self.carry_out(self.empty_copy(), self.source)

    def empty_copy(self) -> str:
        """A temporary table with the columns of the table."""
        columns = ", ".join(f"{quote(f.name)} {duckdb_type(f.field_type)}" for f in self.schema.fields)
        return self.scratch.table(f"({columns})")

    def carry_out(self, dest: str, source: str) -> None:
        """Run MERGE INTO on a temporary table."""
        self.scratch.cursor.execute(
            f"merge into {dest} as {DEST} using {source} as {SOURCE} {self.join}\n{self.clauses.sql}"
        )

    def _keys(self, query: Schema) -> list[ice.NestedField]:
        what, chosen = chosen_key(self.request, "merge")
        found = unique_keys.key_columns(self.schema, chosen, what, self.request.model)
        unique_keys.key_columns(query, [field.name for field in found], what, self.request.model)
        return found

    def _join(self) -> str:
        columns = [quote(field.name) for field in self.keys]
        if self.using and not self.request.predicates:
            return f"using ({', '.join(columns)})"
        return f"on {_equal(columns, self.request.predicates)}"


class Merge(MergeTerms):
    """A merge that is planned.

    Files without a row that is changed are left as they are; the rows of the others go through MERGE INTO itself, or
    through a join where every matching row is replaced as a whole.

    Args:
        scratch: where temporary tables go.
        table: the base.
        schema: the schema the new files get; the base's rows are read into it.
        query: the schema of the model's query.
        select: the query, columns it shares with the table in the table's types.
        request: keys, clauses and predicates.
        part: the query and the inputs that it reads a part of, None when it reads them whole.

    Raises:
        ConfigError: no key, or clauses that cannot be carried out.
    """

    def __init__(
        self,
        scratch: Scratch,
        table: Table,
        schema: Schema,
        query: Schema,
        select: str,
        request: WriteRequest,
        part: Part | None,
    ) -> None:
        super().__init__(scratch, schema, query, select, request)
        self.table, self.part = table, part

    def plan(self) -> Rewrite:
        """The files that go, and what is written instead.

        Raises:
            ContractError: the source has NULL keys, or a key twice.
            NotCarriedError: rows are gone from the query's result that the table has.
        """
        columns = [quote(field.name) for field in self.keys]
        rows = unique_keys.check_keys(
            self.scratch.cursor, self.source, columns, distinct=True, model=self.request.model
        )
        if self.part:
            self.part.check_keys(self.scratch, self.source, columns)
        cursor, predicates = self.scratch.cursor, self.request.predicates
        candidates = (
            unique_keys.candidates(cursor, self.table, self.schema, self.source, self.keys, predicates)
            if rows
            else []
        )
        if self.clauses.upsert:
            return self._upsert(candidates)
        return self._merge(candidates)

    def _hits(self, candidates: Sequence[DataFile], condition: str) -> str:
        """A table of file, key and whether the condition holds, one row per row of the table that matches."""
        columns = ", ".join(f"{SOURCE}.{quote(field.name)} as key_{at}" for at, field in enumerate(self.keys))
        scan = files_relation(candidates, self.schema, filename=True)
        return self.scratch.table(
            f"as select {DEST}.{FILE} as file, {columns}, coalesce({condition}, false) as touched "
            f"from {scan} as {DEST} join {self.source} as {SOURCE} {self.join}"
        )

    def _touched(self, candidates: Sequence[DataFile], hits: str) -> list[DataFile]:
        found = self.scratch.cursor.execute(f"select distinct file from {hits} where touched").fetchall()
        return named(candidates, {row[0] for row in found})

    def _key_equal(self, other: str) -> str:
        return " and ".join(
            f"{SOURCE}.{quote(field.name)} = {other}.key_{at}" for at, field in enumerate(self.keys)
        )

    def _upsert(self, candidates: Sequence[DataFile]) -> Rewrite:
        """A new row for each row that matches, the source's rows that match none, and what is left of the files."""
        if not candidates:
            return Rewrite([], f"from {self.source}")
        hits = self._hits(candidates, "true")
        removed = self._touched(candidates, hits)
        if not removed:
            return Rewrite([], f"from {self.source}")
        self._check_replaced(removed)
        kept = (
            f"select {DEST}.* from {files_relation(removed, self.schema)} as {DEST} "
            f"anti join {self.source} as {SOURCE} {self.join}"
        )
        new = f"select {SOURCE}.* from {self.source} as {SOURCE} left join {hits} as hits on {self._key_equal('hits')}"
        return Rewrite(removed, f"({kept}) union all by name ({new})")

    def _check_replaced(self, files: Sequence[DataFile]) -> None:
        if not self.part or not files:
            return
        columns = ", ".join(quote(name) for name in self.shared)
        rows = f"select {columns} from {files_relation(files, self.schema)} as {DEST}"
        keys = [quote(field.name) for field in self.keys]
        matched = f"{rows} semi join {self.source} as {SOURCE} {self.join}"
        self.part.check_matched(self.scratch, matched, keys, f"select {columns} from {self.source}")

    def _merge(self, candidates: Sequence[DataFile]) -> Rewrite:
        """MERGE INTO a copy of the rows of the files that it changes."""
        touched: dict[str, DataFile] = {}
        source = self.source
        if candidates:
            hits = self._hits(candidates, any_of(self.clauses.matched))
            touched = {file.file_path: file for file in self._touched(candidates, hits)}
            self._check_replaced(list(touched.values()))
            if self.clauses.by_source:
                touched |= {file.file_path: file for file in self._without_source()}
            source = self._source_of(hits, candidates, touched)
        elif self.clauses.by_source:
            touched = {file.file_path: file for file in self._without_source()}
        dest = self.empty_copy()
        if touched:
            rows = files_relation(touched.values(), self.schema)
            self.scratch.cursor.execute(f"insert into {dest} by name from {rows}")
        self.carry_out(dest, source)
        return Rewrite(list(touched.values()), f"from {dest}")

    def _without_source(self) -> list[DataFile]:
        """Files with a row that no row of the source matches and that a clause changes."""
        files = readable_files(self.scratch.cursor, self.table)
        if not files:
            return []
        scan = files_relation(files, self.schema, filename=True)
        found = self.scratch.cursor.execute(
            f"select distinct {DEST}.{FILE} from {scan} as {DEST} "
            f"anti join {self.source} as {SOURCE} {self.join} where {any_of(self.clauses.by_source)}"
        ).fetchall()
        return named(files, {row[0] for row in found})

    def _source_of(self, hits: str, candidates: Sequence[DataFile], touched: dict[str, DataFile]) -> str:
        """The source without rows that match only in files which are not rewritten: MERGE would take them for new."""
        left = [file for file in candidates if file.file_path not in touched]
        if not left:
            return self.source
        columns = ", ".join(f"key_{at}" for at in range(len(self.keys)))
        staying = self.scratch.table("(file varchar)")
        self.scratch.cursor.execute(
            f"insert into {staying} select unnest($1)", [[duckdb_path(f.file_path) for f in left]]
        )
        only_there = f"select {columns} from {hits} group by all having bool_and(file in (from {staying}))"
        return self.scratch.table(
            f"as select {SOURCE}.* from {self.source} as {SOURCE} "
            f"anti join ({only_there}) as known on {self._key_equal('known')}"
        )


def by_delete_insert(
    scratch: Scratch,
    table: Table,
    schema: Schema,
    select: str,
    request: WriteRequest,
    part: Part | None,
) -> Rewrite:
    """Plan the deletion of the rows that the query brings anew.

    The key may have columns and SQL expressions; predicates spare rows of the table. For the arguments see ``Merge``.

    Raises:
        ConfigError: no key.
        ContractError: the source has NULL keys.
        NotCarriedError: rows are gone from the query's result that the table has.
    """
    chosen_key(request, "delete+insert")
    cursor, source = scratch.cursor, scratch.table(f"as {select}")
    columns, ours = parts_of_key(schema, request.unique_key)
    rows = unique_keys.check_keys(cursor, source, ours, distinct=False, model=request.model)
    if part:
        part.check_keys(scratch, source, ours)
    candidates = (
        unique_keys.candidates(cursor, table, schema, source, columns, request.predicates) if rows else []
    )
    if not candidates:
        return Rewrite([], f"from {source}")
    added = _added(ours)
    other, condition = _match(source, len(ours), added, request.predicates)
    scan = files_relation(candidates, schema, filename=True)
    hits = cursor.execute(
        f"select distinct {DEST}.{FILE} from (select *, {added} from {scan}) as {DEST} semi join {other} on {condition}"
    ).fetchall()
    removed = named(candidates, {row[0] for row in hits})
    if not removed:
        return Rewrite([], f"from {source}")
    columns_of_table = ", ".join(f"{DEST}.{quote(field.name)}" for field in schema.fields)
    rows_of_table = f"(select *, {added} from {files_relation(removed, schema)}) as {DEST}"
    if part:
        matched = f"select {columns_of_table} from {rows_of_table} semi join {other} on {condition}"
        part.check_matched(scratch, matched, ours)
    kept = f"select {columns_of_table} from {rows_of_table} anti join {other} on {condition}"
    return Rewrite(removed, f"({kept}) union all by name (from {source})")


def _match(source: str, keys: int, added: str, predicates: Sequence[str]) -> tuple[str, str]:
    """What the table is joined with, and on what; unqualified names of predicates are the table's."""
    predicates, names_source = spared_rows(predicates)
    other = (
        f"(select *, {added} from {source})" if names_source else f"(select distinct {added} from {source})"
    )
    return f"{other} as {SOURCE}", _equal([f"__slipway_key_{at}" for at in range(keys)], predicates)


def spared_rows(predicates: Sequence[str]) -> tuple[list[str], bool]:
    """The predicates of ``delete+insert`` with the table by one name, and whether they name the source."""
    found = [re.sub(r"\bDBT_INCREMENTAL_TARGET\b", DEST, text, flags=re.IGNORECASE) for text in predicates]
    return found, any(SOURCE.lower() in text.lower() for text in found)


def _equal(keys: Sequence[str], predicates: Sequence[str]) -> str:
    """The condition under which a row of the source meets one of the table."""
    parts = [f"{SOURCE}.{key} = {DEST}.{key}" for key in keys]
    return " and ".join(f"({part})" for part in (*parts, *predicates))


def chosen_key(request: WriteRequest, strategy: str) -> tuple[str, Sequence[str]]:
    """The setting that names the key of a strategy, and what it names.

    Raises:
        ConfigError: there is none.
    """
    using = listed(request.merge.get("merge_on_using_columns"))
    what, chosen = ("merge_on_using_columns", using) if using else ("unique_key", request.unique_key)
    if not chosen:
        raise ConfigError(
            f"{request.model}: {strategy} needs unique_key", "none is set", "Set it or use append"
        )
    return what, chosen


def parts_of_key(schema: Schema, entries: Sequence[str]) -> tuple[list[ice.NestedField], list[str]]:
    """The columns of a key that may have SQL expressions as well, and SQL of all its parts."""
    fields = [find_column(schema, entry) for entry in entries]
    parts = [
        quote(field.name) if field else f"({entry})" for field, entry in zip(fields, entries, strict=True)
    ]
    return [field for field in fields if field], parts


def _added(keys: Sequence[str]) -> str:
    """The parts of a key as columns that are added to rows."""
    return ", ".join(f"{key} as __slipway_key_{at}" for at, key in enumerate(keys))


def check_later(
    cursor: duckdb.DuckDBPyConnection, request: WriteRequest, target: Schema, select: str
) -> None:
    """Refuse keys and predicates of ``merge`` and ``delete+insert`` that the table will not have; the query, in its columns, is bound and not run.

    Raises:
        ConfigError: a key or a predicate cannot be used.
    """
    if request.later not in ("merge", "delete+insert"):
        return
    what, chosen = chosen_key(request, request.later)
    if request.later == "merge":
        keys = [quote(field.name) for field in unique_keys.key_columns(target, chosen, what, request.model)]
    else:
        for entry in chosen:
            if find_column(target, entry) is None and unique_keys.is_list(target, entry):
                unique_keys.key_columns(target, [entry], what, request.model)
        keys = parts_of_key(target, chosen)[1]
    added = _added(keys)
    rows = f"(select *, {added} from ({select}))"
    if request.later == "merge":
        joined = f"join {rows} as {SOURCE} on {_equal(keys, request.predicates)}"
    else:
        other, condition = _match(f"({select})", len(keys), added, request.predicates)
        joined = f"semi join {other} on {condition}"
    with explained(replace(request, strategy=request.later)):
        cursor.execute(f"explain select 1 from {rows} as {DEST} {joined}")


def by_partition(
    scratch: Scratch,
    table: Table,
    schema: Schema,
    select: str,
    partition: Sequence[PartitionColumn],
    spec: PartitionSpec,
    part: Part | None,
) -> Rewrite:
    """Plan the replacement of every partition that occurs in the query.

    Where the query reads the changed partitions of an input, those of the table that they made before and make no
    more are emptied. Files of another partition spec lose the rows of these partitions and keep the others.

    Without partition columns the whole table is replaced. For the other arguments see ``Merge``.

    Raises:
        NotCarriedError: a partition of the table would be replaced by a part of its rows, or it cannot be said whether
            it is to be emptied.
    """
    if not partition:
        if part:
            raise NotCarriedError("the whole table would be replaced by a part of its rows")
        return Rewrite(readable_files(scratch.cursor, table), select, carries=False)
    source = scratch.table(f"as {select}")
    found = partitions_replaced(scratch, table, schema, source, partition, spec, part)
    removed, mixed = found.removed, found.mixed
    if not mixed:
        return Rewrite(removed, f"from {source}", carries=False)
    kept = f"select {DEST}.* from {files_relation(mixed, schema)} as {DEST} where not {found.condition}"
    return Rewrite([*removed, *mixed], f"({kept}) union all by name (from {source})")


@dataclass(frozen=True)
class PartitionsReplaced:
    """What goes of a table whose partitions are replaced.

    Args:
        removed: data files that go as a whole.
        mixed: files of another partition spec, of which some rows go.
        condition: for these rows.
        emptied: partitions that go, whether the query has rows for them or not; None where all have rows.
    """

    removed: Sequence[DataFile]
    mixed: Sequence[DataFile]
    condition: str
    emptied: Emptied | None


def partitions_replaced(
    scratch: Scratch,
    table: Table,
    schema: Schema,
    source: str,
    partition: Sequence[PartitionColumn],
    spec: PartitionSpec,
    part: Part | None,
) -> PartitionsReplaced:
    """Which partitions of a table a query replaces, if it may.

    Args:
        scratch: where temporary tables go.
        table: as it is.
        schema: as it is going to be.
        source: rows of the query; one row of each partition, and of each value of the columns of ``part`` in it, is enough.
        partition: what the table is partitioned by; one column at least.
        spec: the same as a spec of the table.
        part: what the query reads of its inputs.

    Raises:
        NotCarriedError: a partition of the table would be replaced by a part of its rows, or it cannot be said whether
            it is to be emptied.
    """
    files = readable_files(scratch.cursor, table)
    wanted, tuples = _partitions_of(scratch, source, partition)
    emptied = Emptied.of(scratch, table, files, partition, tuples, part) if part else None
    equal = " and ".join(
        f"({column.expression}) is not distinct from wanted.value_{at}" for at, column in enumerate(partition)
    )
    condition = f"exists (from {wanted} as wanted where {equal})"
    if not tuples and not emptied:
        return PartitionsReplaced([], [], condition, None)
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
    if emptied:
        condition = f"({condition} or ({emptied.condition}) is true)"
    mixed = [file for file, _ in files_holding(scratch.cursor, others, schema, condition)]
    if part:
        replaced = [*removed, *mixed]
        _check_whole_partitions(scratch, part, source, replaced, schema, condition, partition)
    return PartitionsReplaced(removed, mixed, condition, emptied)


@dataclass(frozen=True)
class Emptied:
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
        before = _partitions_of(scratch, earlier, partition)[1] if earlier else set()
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
                f"{plural(len(gone), 'partition', 'have', 'has')} no row any more, or only rows that did not change"
            )
        return None


def _holds(table: Table, file: DataFile, column: PartitionColumn, values: Collection[object]) -> bool:
    """Whether a file may have rows of partitions, as far as its own partition says."""
    fields = table.specs()[file.spec_id].fields
    at = next((at for at, field in enumerate(fields) if field.name == column.name), None)
    return at is None or file.partition[at] in values


def _partitions_of(
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


def _check_whole_partitions(
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
