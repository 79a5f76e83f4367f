"""``slipway diff``: compare whatever names tables, as their models declare it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from slipway.comparison.compare import LINEAGE, compare_relations, compare_states, policies_of
from slipway.comparison.consequences import definitions_of, other_code, parents_of, same_code, with_origins
from slipway.comparison.external_files import read_file
from slipway.comparison.former_names import former_columns_of, former_tables
from slipway.comparison.masking import masked
from slipway.comparison.moved_rows import quarantines_of, with_moves
from slipway.comparison.policy import ComparisonPolicy
from slipway.comparison.references import Named, NamedFile, NamedTables, Pairing, described_by, pair, resolve
from slipway.comparison.report import ComparisonReport, make_report
from slipway.comparison.results import TableComparison, Verdict, judge, not_compared
from slipway.comparison.shared_files import TableState
from slipway.engines.duckdb.engine import connect
from slipway.environments.profiles import Profile, find_project
from slipway.errors import ContractError, DamagedError, NotFoundError
from slipway.governance.classified_columns import classifications_of, with_lineage
from slipway.governance.column_lineage import TableLineage
from slipway.governance.recorded_lineage import TablesOfCut, lineages_of_runs
from slipway.storage.s3 import is_s3


@dataclass(frozen=True)
class How:
    """How tables are compared.

    Args:
        key: columns that identify a row, in place of those that the models declare.
        sample: the share of the rows that is compared, None for all of them.
        whole: read also data files that both sides have.
        show_classified: show values of columns that a contract classifies.
    """

    key: Sequence[str] = ()
    sample: float | None = None
    whole: bool = False
    show_classified: bool = False


def diff(
    project_dir: Path | None,
    target: str | None,
    sides: tuple[str, str],
    tables: Sequence[str],
    how: How,
    *,
    now: datetime | None = None,
) -> ComparisonReport:
    """Compare two sides table by table.

    Args:
        project_dir: folder of dbt_project.yml, None to look for it.
        target: the environment of references that name none.
        sides: references to base and head, as ``references.resolve`` takes them.
        tables: which tables, or patterns; none for all.
        how: how.
        now: the present moment.

    Raises:
        NotFoundError: a reference or a table names nothing.
        UsageError: a reference cannot be understood, or one table stands against several.
        UnavailableError: the catalog or the store cannot be reached.
    """
    profile, now = Profile(find_project(project_dir)), now or datetime.now(UTC)
    base, head = (resolve(profile, target, text, now) for text in sides)
    manifests = _described((base, head))
    described = manifests[0] if manifests else None
    # either side may be the newer one, whose models say what was called otherwise
    former = {new: old for manifest in reversed(manifests) for new, old in former_tables(manifest).items()}
    former_columns: dict[str, dict[str, str]] = {}
    for manifest in reversed(manifests):
        for table, names in former_columns_of(manifest).items():
            former_columns.setdefault(table, {}).update(names)
    pairing = pair(base, head, tables, former)
    policies = policies_of(described) if described else {}
    con = _connect(profile, target, (base, head))
    classified = classifications_of(profile.project, described, show_classified=how.show_classified)
    found = []
    for name, then, here in pairing.names:
        policy = policies.get(here or then or name, ComparisonPolicy())
        known = {**former_columns.get(then or "", {}), **former_columns.get(here or "", {})}
        policy = policy.model_copy(update={"former": known})
        if how.key:
            policy = policy.model_copy(update={"key": tuple(how.key)})
        one = _Pair(name, (base, head), (then, here))
        facts = _compare(con, one, policy, how, now, classified.hidden)
        is_of_one = any(isinstance(side, NamedFile) or side.single for side in (base, head))
        if then and here and then != here and not is_of_one:
            facts = facts.model_copy(update={"was": then, "was_declared": name in pairing.said})
            facts = judge(facts, policy.expected, today=now.date())
        found.append(facts)
    side = head if isinstance(head, NamedTables) else base
    if isinstance(side, NamedTables):
        columns, asked_for = TablesOfCut(side.published, side.cut), [one.name for one in found]
        records = side.published.records
        classified = with_lineage(classified, described, asked_for, columns, records, columns.made)
    found = [masked(one, classified) for one in found]
    remarks: list[str] = []
    if described:
        differing = [one.name for one in found if one.verdict is not Verdict.IDENTICAL]
        before, after = (_definitions(side, differing) for side in (base, head))
        found = with_moves(con, found, quarantines_of(described), _States(pairing, (base, head)))
        parents = parents_of(described)
        asked = {name for name in differing if set(parents.get(name, ())) & set(differing)}
        lineage = _lineage(base, head, asked) if asked else {}
        found = with_origins(found, parents, other_code(before, after), same_code(before, after), lineage)
    if pairing.left_out:
        few, more = pairing.left_out[:5], len(pairing.left_out) - 5
        listed = ", ".join(few) + (f" and {more} more" if more > 0 else "")
        remarks.append(f"Not compared, because the run did not build it: {listed}")
    if how.sample is not None:
        remarks.append(
            f"A sample of {100 * how.sample:g} % of the rows was compared: what differs in the others is not found"
        )
    return make_report(found, title="Difference", base=base.label, head=head.label, remarks=remarks)


@dataclass(frozen=True)
class _Pair:
    name: str
    sides: tuple[Named, Named]
    tables: tuple[str | None, str | None]


def _compare(
    con: duckdb.DuckDBPyConnection,
    one: _Pair,
    policy: ComparisonPolicy,
    how: How,
    now: datetime,
    hidden: Collection[str],
) -> TableComparison:
    try:
        base, head = (_state(side, table) for side, table in zip(one.sides, one.tables, strict=True))
        if not any(isinstance(side, NamedFile) for side in one.sides):
            found = compare_states(
                con,
                one.name,
                base,
                head,
                policy,
                whole=how.whole,
                sample=how.sample,
                needs_key=bool(how.key),
                today=now.date(),
            )
            why = _expired(one) if found.verdict is Verdict.NOT_COMPARED else ""
            return judge(not_compared(one.name, why)) if why else found
        relations = _relations(con, one, (base, head), hidden)
    except (DamagedError, NotFoundError, ContractError) as error:
        return judge(not_compared(one.name, _expired(one) or error.line()))
    facts = compare_relations(
        con,
        one.name,
        *relations,
        policy.key,
        ignore_columns=LINEAGE,
        tolerances=policy.tolerances,
        sample=how.sample,
        needs_key=bool(how.key),
        any_types=True,
        identifiers=policy.identifiers,
        former=policy.former,
    )
    return judge(facts, policy.expected, today=now.date())


def _state(side: Named, table: str | None) -> TableState | None:
    if isinstance(side, NamedFile) or table is None:
        return None
    return TableState(*side.published.load(table, side.cut.tables[table]))


def _relations(
    con: duckdb.DuckDBPyConnection, one: _Pair, states: Sequence[TableState | None], hidden: Collection[str]
) -> tuple[str | None, str | None]:
    """SQL of both sides, of which at least one is a file: a file is read in the types of the other side."""
    known = [state.relation if state else None for state in states]
    types: Mapping[str, str] = {}
    for relation in known:
        if relation is not None:
            types = {row[0]: row[1] for row in con.execute(f"describe from {relation}").fetchall()}
    for at, side in enumerate(one.sides):
        if isinstance(side, NamedFile):
            rows = read_file(con, side.path, types, hidden)
            known[at] = rows.relation
            types = types or {
                row[0]: row[1] for row in con.execute(f"describe from {rows.relation}").fetchall()
            }
    return known[0], known[1]


def _expired(one: _Pair) -> str:
    """The sentence about a snapshot that is not kept any more; empty when something else is wrong."""
    for side, table in zip(one.sides, one.tables, strict=True):
        if isinstance(side, NamedTables) and table is not None:
            version = side.cut.tables[table]
            if side.published.has_expired(table, version):
                return (
                    f"{table} of {side.cut.label} is not kept any more: snapshot {version.snapshot_id} has expired."
                    " Compare with a later release."
                )
    return ""


class _States(Mapping[str, tuple[TableState | None, TableState | None]]):
    """The states of tables that were compared, loaded when they are asked for."""

    def __init__(self, pairing: Pairing, sides: tuple[Named, Named]) -> None:
        self._tables = {name: tables for name, *tables in pairing.names}
        self._sides = sides

    def __getitem__(self, name: str) -> tuple[TableState | None, TableState | None]:
        base, head = map(_state, self._sides, self._tables[name])
        return base, head

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)


def _described(sides: Sequence[Named]) -> list[dict[str, Any]]:
    """dbt's manifests of the sides, of head first, as far as they are known."""
    found = (records.dbt_manifest(run_id) for records, run_id in described_by(sides))
    return [one for one in found if one is not None]


def _definitions(side: Named, tables: Collection[str]) -> dict[str, str | None]:
    """Tables of a side to the keys of their code."""
    if isinstance(side, NamedFile):
        return {}
    records, run_id = side.published.records, side.run_id
    if side.record is not None:
        return definitions_of(records, side.record, tables)
    manifest = records.manifest(run_id) if run_id else None
    return {node.table: node.definition_key for node in (manifest.nodes if manifest else ()) if node.table}


def _lineage(base: Named, head: Named, tables: Collection[str]) -> dict[str, TableLineage]:
    """Column lineage of tables of the head, or else of the base, by the runs that made them."""
    side = head if isinstance(head, NamedTables) else base
    if isinstance(side, NamedFile):
        return {}
    made: dict[str, str | None] = dict.fromkeys(tables, side.run_id)
    if side.record is not None:
        shown = side.record.tables
        made = {name: shown[name].run_id for name in tables if name in shown}
    return lineages_of_runs(side.published.records, made, TablesOfCut(side.published, side.cut))


def _connect(profile: Profile, target: str | None, sides: Sequence[Named]) -> duckdb.DuckDBPyConnection:
    """A connection that can read both sides."""
    environments = [side.published.environment for side in sides if isinstance(side, NamedTables)]
    own = environments or [profile.environment(target)]
    with_keys = any(isinstance(side, NamedFile) and is_s3(side.path) for side in sides)
    return connect(own[0], own[0].home, with_keys=with_keys, others=own[1:])
