"""The states of a table through the releases, and the release in which some of its rows changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
from pyiceberg.manifest import DataFile, DataFileContent
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import NestedField

from slipway.comparison.compare import LINEAGE, compare_relations, policies_of
from slipway.comparison.masking import masked
from slipway.comparison.policy import ComparisonPolicy
from slipway.comparison.references import Named, NamedTables, resolve
from slipway.comparison.report import ComparisonReport, make_report
from slipway.comparison.results import (
    Coverage,
    Method,
    RowCounts,
    Side,
    TableComparison,
    judge,
    not_compared,
)
from slipway.comparison.shared_files import TableState
from slipway.counts import plural
from slipway.engines.duckdb import engine
from slipway.engines.duckdb.digest import Digest, digests_by, recorded
from slipway.engines.duckdb.scan import FILE, check_read_by_id, files_relation
from slipway.environments.profiles import Profile, find_project
from slipway.errors import ContractError, DamagedError, NotFoundError, UsageError, first_line
from slipway.iceberg.metadata_files import locations_of
from slipway.iceberg.types import duckdb_type, promotable
from slipway.names import TableName
from slipway.query import sandbox
from slipway.query.classified_result import classified_in
from slipway.records.release_records import Release
from slipway.records.store import Records
from slipway.releases.cut import TableVersion
from slipway.releases.published import Published
from slipway.sql_text import quote
from slipway.storage.locations import duckdb_path


@dataclass(frozen=True)
class Found:
    """Where values of a sequence change.

    Args:
        changes: positions whose value is not that of the position before.
        every: whether all changes are among them; else the value changed there from the first to the last one.
    """

    changes: Sequence[int]
    every: bool


def find_changes(value: Callable[[int], Hashable], count: int) -> Found:
    """Find where a sequence changes, by bisection when only its two ends are seen.

    If another value is seen, or both ends are equal, one value after the other is looked at.

    Args:
        value: the value at a position.
        count: how many positions there are, at least one.
    """
    first, last = value(0), value(count - 1)
    low, high = 0, count - 1
    while first != last and high - low > 1:
        middle = (low + high) // 2
        seen = value(middle)
        if seen not in (first, last):
            break
        low, high = (middle, high) if seen == first else (low, middle)
    if first != last and high - low <= 1:
        return Found([high], every=count == 2)
    return Found([at for at in range(1, count) if value(at) != value(at - 1)], every=True)


@dataclass(frozen=True)
class Period:
    """Releases one after the other that show the same state of a table."""

    releases: Sequence[Release]
    state: TableState


@dataclass(frozen=True)
class History:
    """The states of a table, the oldest first.

    Args:
        name: ``layer.table``.
        published: the environment.
        periods: its states.
        lost: numbers of releases whose state of the table is not kept any more.
    """

    name: str
    published: Published
    periods: Sequence[Period]
    lost: Sequence[int]

    @property
    def newest(self) -> TableState:
        """The state that is shown last."""
        return self.periods[-1].state


def history_of(published: Published, name: str, among: Collection[int] | None = None) -> History:
    """The states that releases show of a table; releases with one snapshot or one content digest are one state.

    Args:
        published: the environment.
        name: ``layer.table``.
        among: numbers of the releases that are looked at; None for all.

    Raises:
        NotFoundError: no release has the table, or all its states have expired.
    """
    releases, _ = published.records.readable_releases()
    having = [one for one in releases if name in one.tables and (among is None or one.number in among)]
    if not having:
        cut = published.cut_of(releases[-1]) if releases else published.now()
        raise NotFoundError(
            f"No release of {published.environment.name} has a table {name}", fix=cut.hint(name)
        )
    load = _Loading(published, name)
    periods: list[Period] = []
    lost: list[int] = []
    content: str | None = None
    for release in having:
        shown = release.tables[name]
        if periods and content is not None and shown.content == content:
            periods[-1] = Period([*periods[-1].releases, release], periods[-1].state)
            continue
        try:
            state = load(TableVersion(shown.metadata_location, shown.snapshot_id))
            state.files  # noqa: B018 - so that what is gone is noticed here
        except (DamagedError, NotFoundError):
            lost.append(release.number)
            content = None
            continue
        content = shown.content
        if periods and _same(periods[-1].state, state):
            periods[-1] = Period([*periods[-1].releases, release], periods[-1].state)
        else:
            periods.append(Period([release], state))
    if not periods:
        raise NotFoundError(
            f"No state of {name} is kept", "its snapshots have expired or are damaged", "See slipway doctor"
        )
    return History(name, published, periods, lost)


class _Loading:
    """Loads states of a table, most of which its newest metadata file knows."""

    def __init__(self, published: Published, name: str) -> None:
        self._published, self._name = published, name
        self._newest: Table | None = None
        if now := published.locations.get(TableName.parse(name)):
            self._newest, _ = published.load(name, TableVersion(now))

    def __call__(self, version: TableVersion) -> TableState:
        known = self._newest and version.snapshot_id and self._newest.snapshot_by_id(int(version.snapshot_id))
        if self._newest and known:
            return TableState(self._newest, known)
        return TableState(*self._published.load(self._name, version))


def _same(one: TableState, other: TableState) -> bool:
    digest = recorded(one.shown)
    same_columns = one.schema.as_struct() == other.schema.as_struct()
    return digest is not None and digest == recorded(other.shown) and same_columns


class Rows:
    """Rows of several states of a table that meet a condition: each data file is read once, whatever states it is in.

    Args:
        history: the states.
        where: a condition in SQL, empty for all rows. It sees nothing but the row.

    Raises:
        UsageError: the condition is none.
    """

    def __init__(self, history: History, where: str) -> None:
        self.history, self.where = history, where
        if where:
            _check(where)
        environment = history.published.environment
        extensions = engine.extensions_of(environment, scans=False)
        self.con = engine.connect(environment, environment.home, once=sandbox.CONFIG, extensions=extensions)
        self.by_files = all(map(self._is_of_files, history.periods))
        if not self.by_files:
            engine.load_extensions(self.con, engine.OF_ICEBERG)
        locations: set[str] = set()
        for period in history.periods:
            if self.by_files:
                locations |= {file.file_path for file in period.state.files}
            else:
                locations |= set(locations_of(period.state.table, period.state.snapshot))
        sandbox.check_paths(where, locations)
        sandbox.shut(self.con, locations, files=False)
        self.columns = _common(history)
        self.files_read: set[str] = set()
        self._known: dict[tuple[Hashable, ...], Any] = {}

    def _is_of_files(self, period: Period) -> bool:
        try:
            check_read_by_id(self.con, period.state.table, period.state.files)
        except ContractError:
            return False
        return all(file.content == DataFileContent.DATA for file in period.state.files)

    def relation(self, state: TableState, files: Sequence[DataFile] | None = None) -> str:
        """SQL of the rows of a state, or of some of its files, in the columns and types of the newest state.

        Raises:
            DamagedTableError: a file of its metadata is missing or damaged.
        """
        own = {one.name for one in state.schema.fields}
        items = [
            f"{quote(one.name) if one.name in own else 'null'}::{duckdb_type(one.field_type)} as {quote(one.name)}"
            for one in self.columns.fields
        ]
        if self.by_files:
            scan = files_relation(
                state.files if files is None else files, state.schema, filename=files is not None
            )
            items += [FILE] if files else []
        else:
            scan = state.relation
        where = f" where ({self.where}\n)" if self.where else ""
        return f"(select {', '.join(items)} from {scan}{where})"

    def digest(self, state: TableState) -> Digest:
        """The content digest of the rows, in the columns that all states have."""
        if not self.by_files:
            self.files_read |= {file.file_path for file in state.files}
            return digests_by(self.con, self.relation(state), self.columns, None).get("", Digest())
        found = Digest()
        for digest in self._of_files(
            "digest", state, lambda relation: digests_by(self.con, relation, self.columns, FILE)
        ):
            found += digest or Digest()
        return found

    def sums(self, state: TableState, columns: Sequence[str]) -> tuple[int, list[Any]]:
        """How many rows there are, and the sums of columns, None for one without a value."""
        items = ", ".join(["count(*)", *(f"sum({quote(column)})" for column in columns)])

        def read(relation: str) -> dict[str, tuple[Any, ...]]:
            found = self.con.execute(f"select {FILE}, {items} from {relation} group by {FILE}").fetchall()
            return {path: tuple(values) for path, *values in found}

        if not self.by_files:
            rows, *values = self.con.execute(f"select {items} from {self.relation(state)}").fetchall()[0]
            return rows, values
        parts = [part for part in self._of_files(("sums", *columns), state, read) if part]
        totals = [[part[at] for part in parts if part[at] is not None] for at in range(len(columns) + 1)]
        return sum(totals[0]), [sum(values) if values else None for values in totals[1:]]

    def _of_files(
        self, what: Hashable, state: TableState, read: Callable[[str], Mapping[str, Any]]
    ) -> list[Any]:
        """What is known of each file of a state; files that have not been read for that yet are read."""
        ids = tuple((one.name, one.field_id) for one in state.schema.fields)
        unread = [file for file in state.files if (what, ids, file.file_path) not in self._known]
        if unread:
            found = read(self.relation(state, unread))
            for file in unread:
                self._known[what, ids, file.file_path] = found.get(duckdb_path(file.file_path))
                self.files_read.add(file.file_path)
        return [self._known[what, ids, file.file_path] for file in state.files]


def _check(where: str) -> None:
    try:
        duckdb.SQLExpression(where)
    except duckdb.Error as error:
        raise UsageError(
            f"--where {where} is not a condition",
            first_line(error).partition("Error: ")[2] or first_line(error),
            "Write what comes after WHERE, such as \"day = '2024-05-01'\"",
        ) from None
    sandbox.check_names(f"select 1 where {where}", files=False)


def _common(history: History) -> Schema:
    """Columns of the newest state whose type no other state has changed in a way that Iceberg does not promote; lineage is left out."""
    others = [{one.name: one for one in period.state.schema.fields} for period in history.periods]

    def fits(column: NestedField) -> bool:
        return column.name not in LINEAGE and all(
            column.name not in known or promotable(known[column.name].field_type, column.field_type)
            for known in others
        )

    return Schema(*(column for column in history.newest.schema.fields if fits(column)))


def _left_out(history: History) -> list[str]:
    """Columns that some state has and that are not looked at: the newest state has none of the name, or with a type that does not fit."""
    common = {one.name for one in _common(history).fields}
    known = {one.name for period in history.periods for one in period.state.schema.fields}
    return sorted(known - common - set(LINEAGE))


@dataclass(frozen=True)
class Search:
    """What is looked for.

    Args:
        table: ``layer.table``.
        where: which rows, as a condition in SQL; empty for all of them.
        key: columns that identify a row, in place of those that the model declares.
        show_classified: show values of columns that a contract classifies.
    """

    table: str
    where: str = ""
    key: Sequence[str] = ()
    show_classified: bool = False


def bisect(
    project_dir: Path | None,
    target: str | None,
    search: Search,
    between: tuple[str, str] | None = None,
) -> ComparisonReport:
    """Find the release in which rows of a table changed, and compare them before and after it.

    Args:
        project_dir: folder of dbt_project.yml, None to look for it.
        target: the environment.
        search: what is looked for.
        between: the first and last release that are looked at, as ``references.resolve`` takes them; None for all.

    Raises:
        NotFoundError: no release has the table.
        UsageError: the condition cannot be understood.
    """
    profile, now = Profile(find_project(project_dir)), datetime.now(UTC)
    numbers = [_number(resolve(profile, target, text, now)) for text in between or ()]
    history = _limited(history_of(Published(profile.environment(target)), search.table), numbers)
    rows = Rows(history, search.where)
    digests: dict[int, Digest] = {}

    def digest(at: int) -> Digest:
        if at not in digests:
            digests[at] = rows.digest(history.periods[at].state)
        return digests[at]

    with refused_conditions(search.where):
        found = find_changes(digest, len(history.periods))
        facts = _compared(rows, found, digests, search.key)
    classified = classified_in(
        profile.project,
        history.published,
        [search.table],
        history.published.now(),
        show_classified=search.show_classified,
    )
    facts = masked(facts, classified)
    return _report(rows, found, digests, facts)


def _number(named: Named) -> int:
    if isinstance(named, NamedTables) and named.record is not None:
        return named.record.number
    raise UsageError(
        f"{named.label} is no release", "a change is looked for between two of them", "Name releases"
    )


def _limited(history: History, between: Sequence[int]) -> History:
    if not between:
        return history
    numbers = [release.number for period in history.periods for release in period.releases]
    missing = [number for number in between if number not in numbers]
    if missing:
        raise NotFoundError(
            f"Release {missing[0]} has no {history.name} that could be looked at",
            "it was not published, does not have the table, or its snapshot has expired",
            f"Choose from release {numbers[0]} to {numbers[-1]}",
        )
    first, last = sorted(map(numbers.index, between))
    wanted = set(numbers[first : last + 1])
    periods = [
        Period([release for release in period.releases if release.number in wanted], period.state)
        for period in history.periods
    ]
    return History(history.name, history.published, [one for one in periods if one.releases], history.lost)


@contextmanager
def refused_conditions(where: str) -> Iterator[None]:
    """Turn errors of DuckDB about a condition into refusals."""
    try:
        yield
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ConversionException) as error:
        raise UsageError(
            f"--where {where} cannot be evaluated",
            first_line(error).partition("Error: ")[2],
            "It may use columns that the table has in every release that is looked at",
        ) from None


def _compared(rows: Rows, found: Found, digests: Mapping[int, Digest], key: Sequence[str]) -> TableComparison:
    history = rows.history
    if not found.changes and (names := _left_out(history)):
        return judge(not_compared(history.name, f"no other column changed, and {_not_looked_at(names)}"))
    if not found.changes:
        number = digests[0].rows
        return judge(
            TableComparison(
                name=history.name,
                coverage=Coverage(
                    method=Method.DIGEST, columns=tuple(one.name for one in rows.columns.fields)
                ),
                base=Side(rows=number),
                head=Side(rows=number),
                rows=RowCounts(identical=number),
            )
        )
    at = found.changes[0]
    before, after = (rows.relation(history.periods[one].state) for one in (at - 1, at))
    declared = policy_of(history.published.records, history.name).key
    known = {one.name.casefold() for one in rows.columns.fields}
    facts = compare_relations(
        rows.con,
        history.name,
        before,
        after,
        key or (declared if {name.casefold() for name in declared} <= known else ()),
        ignore_columns=LINEAGE,
        needs_key=bool(key),
    )
    return judge(facts)


def described_models(records: Records) -> dict[str, Any] | None:
    """dbt's manifest of the run behind the last release; None if there is none."""
    last = records.last_release()
    return records.dbt_manifest(last.run_id) if last else None


def policy_of(records: Records, name: str) -> ComparisonPolicy:
    """How the rows of a table are compared, by its model in the last release."""
    described = described_models(records)
    return policies_of(described).get(name, ComparisonPolicy()) if described else ComparisonPolicy()


def _report(
    rows: Rows, found: Found, digests: Mapping[int, Digest], facts: TableComparison
) -> ComparisonReport:
    history = rows.history
    releases = [release for period in history.periods for release in period.releases]
    context = {"rows": rows.where or "all"}
    if found.changes:
        at = found.changes[0]
        base, head = history.periods[at - 1].releases[-1], history.periods[at].releases[0]
        others = [str(history.periods[one].releases[0].number) for one in found.changes[1:]]
        code = f"commit {head.code.commit[:12]}" if head.code.commit else "without a commit"
        said = f"in release {head.number} ({head.note or f'run {head.run_id}, {code}'})"
        if others:
            said += f", and again in release{'s' if len(others) > 1 else ''} {', '.join(others)}"
        context["published"] = f"{head.published_at:%Y-%m-%d %H:%M:%S} UTC"
        context["run"] = head.run_id
        context["commit"] = head.code.commit or "none"
    else:
        base, head = releases[0], releases[-1]
        said = f"the same rows in {plural(len(releases), 'release')}"
    remarks = [_searched(rows, found, digests, len(releases))]
    if history.lost:
        remarks.append(f"Not looked at, because it is not kept: release {', '.join(map(str, history.lost))}")
    if found.changes and (names := _left_out(history)):
        remarks.append(f"N{_not_looked_at(names)[1:]}")
    name = history.published.environment.name
    return make_report(
        [facts],
        title=f"Change of {history.name}" if found.changes else f"No change of {history.name}",
        found=said,
        base=f"release {base.number} of {name}",
        head=f"release {head.number} of {name}",
        context=context,
        remarks=remarks,
    )


def _not_looked_at(names: Sequence[str]) -> str:
    return f"not looked at: {', '.join(names)}, which a release lacks or has with a type that does not fit; compare two releases with slipway diff"


def _searched(rows: Rows, found: Found, digests: Mapping[int, Digest], releases: int) -> str:
    periods = rows.history.periods
    files = {file.file_path for period in periods for file in period.state.files}
    how = (
        "one after the other"
        if found.every
        else "by bisection: a change there and back between two states that were read is not seen"
    )
    return (
        f"Searched {plural(releases, 'release')} with {plural(len(periods), 'state')} of the table, {how};"
        f" {plural(len(digests), 'state')} and {len(rows.files_read)} of {plural(len(files), 'data file')} read"
    )
