"""Compare two versions of a table inside DuckDB, and the tables of two builds, as each model declares it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from pyiceberg.manifest import DataFile

from slipway.comparison.consequences import (
    Definitions,
    other_code,
    parents_of,
    same_code,
    with_origins,
)
from slipway.comparison.costs import Cost
from slipway.comparison.former_names import former_columns, former_tables, renamed_columns, renamed_tables
from slipway.comparison.masking import masked, without_rows
from slipway.comparison.matching import compare_as_multiset, compare_by_key
from slipway.comparison.moved_rows import quarantines_of, with_moves
from slipway.comparison.origins import is_differing
from slipway.comparison.policy import ComparisonPolicy, Tolerance, keys_of_tests, parse_policy
from slipway.comparison.relations import NOTHING_SHARED, Column, Pair, Shared, common_type, count_rows
from slipway.comparison.results import (
    Coverage,
    FilesRead,
    Method,
    RowCounts,
    SchemaChanges,
    Side,
    TableComparison,
    TypeChange,
    judge,
    not_compared,
)
from slipway.comparison.shared_files import Differing, TableState, differing, known_same, size_of
from slipway.engines.duckdb.engine import connect
from slipway.environments.environment import Environment
from slipway.errors import DamagedError, NotFoundError, first_line
from slipway.governance.classified_columns import classifications_of, with_lineage
from slipway.governance.column_lineage import Columns, columns_of_schema, lineages
from slipway.governance.recorded_lineage import run_of
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.records.node_results import Node
from slipway.records.record_files import read_dbt_manifest
from slipway.records.run_manifest import RunManifest
from slipway.records.store import Records
from slipway.sql_text import quote
from slipway.storage.objects import object_store

if TYPE_CHECKING:
    from pyiceberg.table import Table

Types = dict[str, str]


def compare_relations(
    con: duckdb.DuckDBPyConnection,
    name: str,
    base: str | None,
    head: str | None,
    key: Sequence[str],
    *,
    ignore_columns: Collection[str] = (),
    tolerances: Mapping[str, Tolerance] | None = None,
    examples: int = 5,
    shared: Shared = NOTHING_SHARED,
    sample: float | None = None,
    needs_key: bool = False,
    any_types: bool = False,
    identifiers: Collection[str] = (),
    is_unique: bool = False,
    former: Mapping[str, str] | None = None,
) -> TableComparison:
    """Compare two relations and judge the result without any expected change.

    Both are read for their counts, for the uniqueness of the key, and in one join; only rows that differ
    are kept, in a temporary table of this connection. Names from the configuration match in any case.

    Args:
        con: a connection on which both relations can be read.
        name: the table's name in the result.
        base: SQL of the relation before the change, as it stands after ``from``; None when there is no table.
        head: the same after the change.
        key: columns that identify a row; empty compares whole rows as a multiset.
        ignore_columns: columns to leave out, unless they are part of the key.
        tolerances: by column name; they need a key.
        examples: how many examples to keep per column and per kind of row difference.
        shared: rows that both sides have and that are in neither relation.
        sample: compare this share of the rows, chosen by a hash of their key, or of the whole row where there is none.
        needs_key: do not compare whole rows when a side lacks a column of the key.
        any_types: another type is no difference where values of both compare without loss, as of files.
        identifiers: columns, in small letters, whose sums mean nothing.
        is_unique: the key is known to be unique and without NULL on both sides, so that it need not be counted.
        former: columns to the names that they had before; a column that has its former name in base is compared with it.

    Whatever keeps the tables from being compared, a query that DuckDB refuses included, becomes the verdict
    ``not_compared`` with the reason, so that one table never hides the results of the others.
    """
    try:
        if base is None or head is None:
            facts = _one_sided(con, name, base, head)
        else:
            wanted = _Wanted(
                key,
                ignore_columns,
                tolerances or {},
                examples,
                shared,
                sample,
                needs_key,
                any_types,
                identifiers,
                is_unique,
                former or {},
            )
            facts = _two_sided(con, name, (base, head), wanted)
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        facts = not_compared(name, first_line(error))
    return judge(facts)


def _one_sided(
    con: duckdb.DuckDBPyConnection, name: str, base: str | None, head: str | None
) -> TableComparison:
    sides = {
        side: Side(exists=relation is not None, rows=None if relation is None else count_rows(con, relation))
        for side, relation in (("base", base), ("head", head))
    }
    there = [which for which, side in sides.items() if side.exists]
    reason = f"only {there[0]} has the table" if there else "neither side has the table"
    return not_compared(name, reason).model_copy(update=sides)


@dataclass(frozen=True)
class _Wanted:
    """The arguments of ``compare_relations`` that say how to compare."""

    key: Sequence[str]
    ignore_columns: Collection[str]
    tolerances: Mapping[str, Tolerance]
    examples: int
    shared: Shared
    sample: float | None
    needs_key: bool
    any_types: bool
    identifiers: Collection[str]
    is_unique: bool
    former: Mapping[str, str]


def _two_sided(
    con: duckdb.DuckDBPyConnection, name: str, relations: tuple[str, str], wanted: _Wanted
) -> TableComparison:
    key, tolerances = wanted.key, wanted.tolerances
    base_types, head_types = (
        {row[0]: row[1] for row in con.execute(f"describe select * from {relation}").fetchall()}
        for relation in relations
    )
    names = renamed_columns(base_types, head_types, wanted.former)
    if names:
        listed = ", ".join(f"{quote(then)} as {quote(now)}" for then, now in names.items())
        relations = (f"(select * rename ({listed}) from {relations[0]})", relations[1])
        base_types = {names.get(column, column): type_ for column, type_ in base_types.items()}
    unknown = _unknown_columns(key, tolerances, base_types | head_types)
    if unknown:
        return not_compared(name, unknown)
    ignored = {column.casefold() for column in wanted.ignore_columns} - {column.casefold() for column in key}
    schema, columns, left_out = _match_columns(base_types, head_types, ignored, tolerances)
    schema = schema.model_copy(update={"renamed": {now: then for then, now in names.items()}})
    refusals = [refusal for column in columns if (refusal := column.refusal())]
    if refusals:
        return not_compared(name, "; ".join(refusals))
    pair = Pair(con, *relations, columns, wanted.examples, wanted.shared, frozenset(wanted.identifiers))
    # values of another type are cast, after which two that differ may be equal
    ours, theirs = (
        {name.casefold(): type_ for name, type_ in one.items()} for one in (base_types, head_types)
    )
    is_unique = wanted.is_unique and all(
        ours.get(name) == theirs.get(name) for name in map(str.casefold, key)
    )
    keys, note = _usable_key(pair, key, is_unique=is_unique)
    if wanted.needs_key and _lacking(pair, key):
        return not_compared(name, f"there is no common key, because {_lacking(pair, key)}")
    if wanted.sample is not None and columns:
        pair = pair.sampled(keys or columns, wanted.sample)
    facts = compare_by_key(name, pair, keys) if keys else compare_as_multiset(name, pair)
    found = facts.coverage.notes
    if wanted.sample is not None and columns and not (facts.base.rows or facts.head.rows):
        found = ("no row that was to be compared is in the sample",)
    coverage = facts.coverage.model_copy(
        update={
            "not_compared": left_out,
            "notes": (*note, *found),
            "sample": wanted.sample,
        }
    )
    if wanted.any_types:
        compared = {column.name for column in columns}
        kept = tuple(change for change in schema.type_changed if change.column not in compared)
        schema = schema.model_copy(update={"type_changed": kept})
    return facts.model_copy(update={"schema_changes": schema, "coverage": coverage})


def _usable_key(pair: Pair, key: Sequence[str], *, is_unique: bool) -> tuple[list[Column], tuple[str, ...]]:
    """The key's columns, or none and a note that says why rows cannot be matched by it."""
    columns = {column.name.casefold(): column for column in pair.columns}
    if missing := _lacking(pair, key):
        return [], (f"{missing}: compared whole rows",)
    keys = [columns[name.casefold()] for name in key]
    repeated = pair.repeated_keys(keys) if keys and not is_unique else ""
    if repeated:
        return [], (f"the key ({', '.join(key)}) is not unique, {repeated}: compared whole rows",)
    return keys, ()


def _lacking(pair: Pair, key: Sequence[str]) -> str:
    """Which columns of the key cannot be compared; empty when all of them can."""
    columns = {column.name.casefold() for column in pair.columns}
    missing = [name for name in key if name.casefold() not in columns]
    return f"key column {', '.join(missing)} cannot be matched on both sides" if missing else ""


def _unknown_columns(key: Sequence[str], tolerances: Mapping[str, Tolerance], types: Types) -> str | None:
    known = {column.casefold() for column in types}
    unknown = sorted(column for column in {*key, *tolerances} if column.casefold() not in known)
    return f"neither side has the configured column {', '.join(unknown)}" if unknown else None


def _match_columns(
    base: Types, head: Types, ignored: Collection[str], tolerances: Mapping[str, Tolerance]
) -> tuple[SchemaChanges, list[Column], dict[str, str]]:
    """What happened to the schema, the columns to compare, and the others with the reason why not."""
    by_name = {column.casefold(): tolerance for column, tolerance in tolerances.items()}
    changes: list[TypeChange] = []
    columns: list[Column] = []
    left_out: dict[str, str] = {}
    for name in {**base, **head}:
        if name.casefold() in ignored:
            left_out[name] = "ignored"
        elif name not in base or name not in head:
            left_out[name] = f"only in {'head' if name in head else 'base'}"
        else:
            if base[name] != head[name]:
                changes.append(TypeChange(column=name, base=base[name], head=head[name]))
            type_ = common_type(base[name], head[name])
            if type_ is None:
                left_out[name] = f"{base[name]} and {head[name]} have no common type"
            else:
                tolerance = by_name.get(name.casefold())
                columns.append(Column(len(columns), name, base[name], head[name], type_, tolerance))
    schema = SchemaChanges(
        added={name: head[name] for name in left_out if name not in base and left_out[name] != "ignored"},
        removed={name: base[name] for name in left_out if name not in head and left_out[name] != "ignored"},
        type_changed=tuple(changes),
    )
    return schema, columns, left_out


LINEAGE = ("_source_file", "_source_line", "_file_sha256", "_landed_at", "_run_id")
"""Columns that say where a row came from: they differ between equal runs, and are not compared."""


def compare_states(
    con: duckdb.DuckDBPyConnection,
    name: str,
    base: TableState | None,
    head: TableState | None,
    policy: ComparisonPolicy,
    *,
    whole: bool = False,
    sample: float | None = None,
    needs_key: bool = False,
    today: date | None = None,
) -> TableComparison:
    """Compare two states of a table and judge them by what the table's model declares, reading as little as that takes.

    One snapshot, or one content digest, is not read at all. Of states that share data files only the other files are read.

    Args:
        con: a connection that can read both.
        name: the table's name in the result.
        base: the state before, None where there is no table.
        head: the state after.
        policy: key, tolerances and expected changes.
        whole: read all data files.
        sample: as for ``compare_relations``.
        needs_key: as for ``compare_relations``.
        today: as for ``judge``.

    Returns:
        The comparison; a state that is damaged or gone is ``not_compared``, with the reason.

    Raises:
        UnavailableError: the store cannot be reached.
    """
    try:
        facts = _compare_states(
            con, name, base, head, policy, whole=whole, sample=sample, needs_key=needs_key
        )
    except (DamagedError, NotFoundError) as error:
        facts = not_compared(name, error.line())
    return judge(facts, policy.expected, today=today)


def _compare_states(
    con: duckdb.DuckDBPyConnection,
    name: str,
    base: TableState | None,
    head: TableState | None,
    policy: ComparisonPolicy,
    *,
    whole: bool,
    sample: float | None,
    needs_key: bool,
) -> TableComparison:
    found: Differing | None = None
    if base is not None and head is not None and not whole:
        if method := known_same(base, head):
            return _same(name, method, base, head)
        found = differing(con, base, head)
    compare = partial(
        compare_relations,
        con,
        name,
        key=policy.key,
        ignore_columns=LINEAGE,
        tolerances=policy.tolerances,
        shared=found.shared if found else NOTHING_SHARED,
        sample=sample,
        needs_key=needs_key,
        identifiers=policy.identifiers,
        former=policy.former,
        is_unique=all(state is not None and state.is_unique(policy.key) for state in (base, head)),
    )
    if base is None or head is None:
        return compare(base=base.relation if base else None, head=head.relation if head else None)
    relations = (found.base, found.head) if found else (base.relation, head.relation)
    files = _files_read(
        [*base.files, *head.files], found.shared.others if found else [*base.files, *head.files]
    )
    try:
        with ExitStack() as stack:
            if files.bytes_read <= _READ_ONCE:
                then, now = (stack.enter_context(_held(con, one)) for one in relations)
                relations = (then, now)
            facts = compare(base=relations[0], head=relations[1])
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        facts = not_compared(name, first_line(error))
    return facts.model_copy(update={"coverage": facts.coverage.model_copy(update={"files": files})})


_READ_ONCE = 64 << 20
"""Bytes of data files up to which rows are read once and held: a comparison looks at them a dozen times."""


@contextmanager
def _held(con: duckdb.DuckDBPyConnection, relation: str) -> Iterator[str]:
    """A temporary table with all rows of a relation."""
    name = quote(f"slipway_rows_{uuid.uuid4().hex}")
    con.execute(f"create temporary table {name} as from {relation}")
    try:
        yield name
    finally:
        con.execute(f"drop table {name}")


def _same(name: str, method: Method, base: TableState, head: TableState) -> TableComparison:
    rows, sizes = head.rows, [size_of(state) for state in (base, head)]
    files = FilesRead(
        files=sum(number for number, _ in sizes),
        bytes=sum(size for _, size in sizes),
        files_read=0,
        bytes_read=0,
    )
    return TableComparison(
        name=name,
        coverage=Coverage(
            method=method, columns=tuple(field.name for field in head.schema.fields), files=files
        ),
        base=Side(rows=rows),
        head=Side(rows=rows),
        rows=RowCounts(identical=rows),
    )


def _files_read(files: Sequence[DataFile], read: Sequence[DataFile]) -> FilesRead:
    return FilesRead(
        files=len(files),
        bytes=sum(file.file_size_in_bytes for file in files),
        files_read=len(read),
        bytes_read=sum(file.file_size_in_bytes for file in read),
    )


def cost_of(node: Node) -> Cost:
    """What building a node took."""
    return Cost(
        seconds=node.seconds,
        cpu_seconds=node.cpu_seconds,
        bytes=node.bytes_total,
        bytes_read=node.bytes_read,
        bytes_written=node.bytes_written,
        peak_memory_bytes=node.peak_memory_bytes,
    )


@dataclass(frozen=True)
class BuiltTable:
    """A table of one side: where its metadata is, and what it cost."""

    metadata_location: str
    cost: Cost = field(default_factory=Cost)

    @classmethod
    def of(cls, node: Node) -> BuiltTable:
        """The table a run built for a node."""
        return cls(node.metadata_location or "", cost_of(node))

    @classmethod
    def all_of(cls, manifest: RunManifest | None) -> dict[str, BuiltTable]:
        """``schema.table`` to the table, of those that a run built or found unchanged."""
        return {
            node.table: cls.of(node)
            for node in (manifest.nodes if manifest else ())
            if node.table and node.metadata_location and node.change != "pinned"
        }


def compare_builds(
    base: Mapping[str, BuiltTable],
    head: Mapping[str, BuiltTable],
    dbt_manifest: bytes,
    environment: Environment,
    project: Path,
    *,
    definitions: tuple[Definitions, Definitions] = ({}, {}),
    inputs: Mapping[str, str] | None = None,
    whole: bool = False,
    samples: bool = True,
    show_classified: bool = False,
) -> list[TableComparison]:
    """Compare every table that either side has.

    Args:
        base: ``schema.table`` to the table before the change.
        head: the same after it.
        dbt_manifest: dbt's manifest of the head, which declares keys, tolerances and expected changes.
        environment: gives access to the object store.
        project: folder of dbt_project.yml; values of columns that its contracts classify are masked.
        definitions: keys of the code that made the tables of base, and of head, as far as they are known.
        inputs: ``schema.table`` to the metadata file of tables that were read and not built.
        whole: read all rows, whatever digests and data files say: the same code may have made other rows.
        samples: give examples of rows that differ.
        show_classified: show values of columns that a contract classifies.
    """
    described, today = json.loads(dbt_manifest), datetime.now(UTC).date()
    policies = policies_of(described)
    classified = classifications_of(project, described, show_classified=show_classified)
    connection, tables = connect(environment), Tables(environment)
    states: dict[str, tuple[TableState | None, TableState | None]] = {}
    columns = _Columns(tables, states, inputs or {})

    def state(name: str, table: BuiltTable | None) -> TableState | None:
        if table is None:
            return None
        return TableState(tables.load_to_read(TableName.parse(name), table.metadata_location))

    found = []
    base_files, head_files = (
        {name: table.metadata_location for name, table in side.items()} for side in (base, head)
    )
    renamed = renamed_tables(base_files, head_files, former_tables(described))
    olds = {old for old, _ in renamed.values()}
    for name in sorted((base.keys() | head.keys()) - olds):
        policy = policies.get(name, ComparisonPolicy())
        was, is_said = renamed.get(name, ("", False))
        then, now = base.get(was or name), head.get(name)
        states[name] = state(was or name, then), state(name, now)
        facts = compare_states(connection, name, *states[name], policy, whole=whole, today=today)
        if was:
            facts = facts.model_copy(update={"was": was, "was_declared": is_said})
            facts = judge(facts, policy.expected, today=today)
        sides: dict[str, Side] = {
            side: getattr(facts, side).model_copy(update=table.cost.model_dump())
            for side, table in (("base", then), ("head", now))
            if table is not None
        }
        facts = facts.model_copy(update=sides)
        found.append(facts if samples else without_rows(facts))
    names = [one.name for one in found]
    classified = with_lineage(classified, described, names, columns, Records(environment), columns.made)
    found = [masked(facts, classified) for facts in found]
    found = with_moves(connection, found, quarantines_of(described), states)
    same = set() if whole else same_code(*definitions)
    parents = parents_of(described)
    differing = [one.name for one in found if is_differing(one)]
    # where nothing above a table differs, nobody asks what its columns are made from
    asked = [name for name in differing if set(parents.get(name, ())) & set(differing)]
    lineage = lineages(described, columns, asked) if asked else {}
    return with_origins(found, parents, other_code(*definitions), same, lineage)


class _Columns(Mapping[str, Columns]):
    """Columns of tables as head has them, read when they are asked for."""

    def __init__(
        self,
        tables: Tables,
        states: Mapping[str, tuple[TableState | None, TableState | None]],
        inputs: Mapping[str, str],
    ) -> None:
        self._tables, self._states, self._inputs = tables, states, inputs

    def __getitem__(self, name: str) -> Columns:
        base, head = self._states.get(name, (None, None))
        if state := head or base:
            return columns_of_schema(state.schema)
        return columns_of_schema(self._input(name).schema())

    def made(self, name: str) -> str | None:
        """The run that made a table; None where that is not known."""
        base, head = self._states.get(name, (None, None))
        if state := head or base:
            return run_of(state.shown)
        return run_of(self._input(name).current_snapshot()) if name in self._inputs else None

    def _input(self, name: str) -> Table:
        return self._tables.load_to_read(TableName.parse(name), self._inputs[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._states.keys() | self._inputs.keys())

    def __len__(self) -> int:
        return len(self._states.keys() | self._inputs.keys())


def scratch_manifest(scratch: Path, run_id: str) -> bytes:
    """dbt's manifest of the run that built a scratch environment."""
    root = scratch / "warehouse" / "_slipway"
    kept = next(root.glob(f"runs/*/{run_id}/dbt/manifest.json"))
    found = read_dbt_manifest(object_store(str(root), {}), kept.relative_to(root).as_posix())
    return json.dumps(found).encode()


def policies_of(manifest: Mapping[str, Any]) -> dict[str, ComparisonPolicy]:
    """``schema.table`` to what its model declares, by dbt's manifest.

    Raises:
        ConfigError: a model declares something that cannot be understood.
    """
    nodes: Sequence[Mapping[str, Any]] = [
        node for node in manifest["nodes"].values() if node["resource_type"] in ("model", "seed", "snapshot")
    ]
    tested = keys_of_tests(manifest)
    found = {
        f"{node['schema']}.{node['alias']}": parse_policy(
            node["name"],
            node["config"],
            constraints=node.get("constraints") or [],
            columns=node["columns"],
            tested=tested.get(node.get("unique_id", ""), ()),
        )
        for node in nodes
    }
    keys = frozenset(column.casefold() for policy in found.values() for column in policy.key)
    former = {f"{node['schema']}.{node['alias']}": former_columns(node["columns"]) for node in nodes}
    return {
        name: policy.model_copy(update={"identifiers": keys, "former": former[name]})
        for name, policy in found.items()
    }
