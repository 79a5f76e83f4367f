"""``merge``: rows of the table are updated, deleted and inserted as DuckDB's MERGE INTO does it."""

from __future__ import annotations

from collections.abc import Sequence

from pyiceberg import types as ice
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table

from slipway.engines.duckdb import unique_keys
from slipway.engines.duckdb.carry import Part
from slipway.engines.duckdb.merge_clauses import DEST, SOURCE, MergeClauses, any_of, listed, merge_clauses
from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.rewrite import FILE, Rewrite, Scratch, files_relation, named, readable_files
from slipway.errors import ConfigError
from slipway.iceberg.tables import duckdb_path
from slipway.iceberg.types import duckdb_type, quote


class Merge:
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
        part: Part | None = None,
    ) -> None:
        self.part = part
        self.scratch, self.table, self.schema, self.request = scratch, table, schema, request
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
        candidates = (
            unique_keys.candidates(
                self.scratch.cursor,
                self.table,
                self.schema,
                self.source,
                self.keys,
                self.request.predicates,
            )
            if rows
            else []
        )
        if self.clauses.upsert:
            return self._upsert(candidates)
        return self._merge(candidates)

    def _keys(self, query: Schema) -> list[ice.NestedField]:
        request = self.request
        what = "merge_on_using_columns" if self.using else "unique_key"
        chosen = self.using or request.unique_key
        if not chosen:
            raise ConfigError(
                f"{request.model}: merge needs unique_key", "none is set", "Set it or use append"
            )
        found = unique_keys.key_columns(self.schema, chosen, what, request.model)
        unique_keys.key_columns(query, [field.name for field in found], what, request.model)
        return found

    def _join(self) -> str:
        columns = [quote(field.name) for field in self.keys]
        if self.using and not self.request.predicates:
            return f"using ({', '.join(columns)})"
        parts = [f"{SOURCE}.{column} = {DEST}.{column}" for column in columns]
        return "on " + " and ".join(f"({part})" for part in (*parts, *self.request.predicates))

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
        source, run = self.source, self.scratch.cursor.execute
        if candidates:
            hits = self._hits(candidates, any_of(self.clauses.matched))
            touched = {file.file_path: file for file in self._touched(candidates, hits)}
            self._check_replaced(list(touched.values()))
            if self.clauses.by_source:
                touched |= {file.file_path: file for file in self._without_source()}
            source = self._source_of(hits, candidates, touched)
        elif self.clauses.by_source:
            touched = {file.file_path: file for file in self._without_source()}
        columns = ", ".join(f"{quote(f.name)} {duckdb_type(f.field_type)}" for f in self.schema.fields)
        dest = self.scratch.table(f"({columns})")
        if touched:
            run(f"insert into {dest} by name from {files_relation(touched.values(), self.schema)}")
        run(f"merge into {dest} as {DEST} using {source} as {SOURCE} {self.join}\n{self.clauses.sql}")
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
