"""Everything that the site tells, gathered from records, contracts, the landing area and dbt's artifacts; a run that was read before is not read again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from slipway.alerts.lineage import Lineage
from slipway.alerts.service_clocks import Clock, clocks
from slipway.contracts.contract_files import read_contracts
from slipway.environments.environment import Environment
from slipway.errors import ConfigError, DamagedError, SlipwayError
from slipway.iceberg.tables import Tables
from slipway.landing.ledger import Ledger
from slipway.promotion.recorded import read_promotion
from slipway.query.connections import Connection, connection
from slipway.records.code_comparisons import COMPARISONS
from slipway.records.landed_files import LandedFile
from slipway.records.node_results import TestResult
from slipway.records.promotion_records import CodeComparison
from slipway.records.record_files import REPAIRED, read_record
from slipway.records.release_records import Hold, Release
from slipway.records.run_manifest import Outcome, RunManifest
from slipway.records.shadow_runs import ShadowRun, shadow_runs
from slipway.records.store import Records
from slipway.releases.approvals import approvers, promotion_judgement
from slipway.releases.holds import Holds
from slipway.releases.published import Published
from slipway.releases.signatures import signature_of
from slipway.runs.account import counted_in, shows
from slipway.runs.history import UNREADABLE, unfinished
from slipway.runs.landed_now import LandedNow, status
from slipway.signing.signing_keys import trust_of
from slipway.site.columns_shown import ColumnLineage, column_lineage, with_derived_classes
from slipway.site.releases_shown import History, PromotionShown, history
from slipway.site.runs_shown import BooksShown, RunShown
from slipway.site.sums_shown import sums_of
from slipway.site.tables_shown import Project, TableShown

_WITH_STATUSES = 5
_VERIFIED_AGAIN = 50
_FINAL = ("published", "unchanged", "failed", "discarded", "refused", "staged")


@dataclass(frozen=True)
class TestStatus:
    """How a test of what readers see ended."""

    __test__ = False

    status: str
    failures: int | None
    run_id: str
    carried: bool


@dataclass
class Gathered:
    """What the site tells.

    ``statuses`` and ``books`` are of what the current release shows; ``not_counted`` are its raw tables to the reason why they are in no books.
    ``columns`` are made from which others. ``stale`` says by ``layer.table`` why rows are not what the present code makes. ``clocks`` are the service levels of contracts that count now.
    ``outstanding_unknown`` says why nobody can tell how the landing area stands; ``notes`` are records that cannot be read, and publications that are not finished.
    """

    environment: Environment
    project: Project
    tables: list[TableShown]
    runs: list[RunShown]
    history: History
    statuses: dict[str, TestStatus]
    connection: Connection
    manifest_of: Callable[[str], RunManifest | None]
    results_of: Callable[[str], dict[str, Any] | None]
    books: list[BooksShown] = field(default_factory=list)
    not_counted: dict[str, str] = field(default_factory=dict)
    hold: Hold | None = None
    landing: LandedNow | None = None
    outstanding_unknown: str = ""
    landed: list[LandedFile] = field(default_factory=list)
    comparisons: list[CodeComparison] = field(default_factory=list)
    shadows: list[ShadowRun] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    compiled: dict[str, str] = field(default_factory=dict)
    stale: dict[str, str] = field(default_factory=dict)
    columns: ColumnLineage = field(default_factory=ColumnLineage)
    clocks: list[Clock] = field(default_factory=list)

    @property
    def as_of(self) -> str:
        """The newest moment that any record tells of; the site of the same records says the same."""
        moments = [release.published_at for release in self.history.releases[:1]]
        moments += [run.started_at for run in self.runs[:1]]
        return max(moments, default="")


def gather(
    project_dir: Path,
    environment: Environment,
    manifest: Mapping[str, Any],
    catalog: Mapping[str, Any],
    earlier: Callable[[str], Any],
) -> Gathered:
    """Read everything.

    Args:
        project_dir: folder of dbt_project.yml.
        environment: whose tables are shown.
        manifest: dbt's manifest.json.
        catalog: dbt's catalog.json.
        earlier: the JSON that an earlier build of the site wrote under a name, None where there is none.
    """
    records = Records(environment)
    contracts = read_contracts(project_dir)
    notes: list[str] = []
    runs = list(_runs(records, earlier("api/runs.json"), notes))
    releases, damaged = records.readable_releases()
    notes += [error.line() for error in damaged.values()]
    notes += unfinished(project_dir, environment.name)
    by_id = {run.run_id: run for run in runs}
    signed = _signatures(environment, [one.number for one in releases], earlier("api/releases.json"))
    approved: dict[int, str] = {}
    promotions: dict[int, PromotionShown] = {}
    for number in (one.number for one in releases if one.promoted):
        _promotion(records, number, approved, promotions, notes)
    lineage = Lineage(manifest, contracts)
    project = Project(manifest, catalog, contracts, _owners(lineage))
    newest = list(_newest(records, [run.run_id for run in runs if run.seconds is not None]))
    found = Gathered(
        environment=environment,
        project=project,
        tables=project.tables(),
        runs=runs,
        history=history(releases, by_id, signed, approved, promotions),
        statuses={},
        stale=_stale(newest, releases),
        connection=connection(project_dir, environment.name, show_secrets=False),
        manifest_of=records.manifest,
        results_of=records.run_results,
        notes=notes,
        compiled=_compiled(manifest),
    )
    if releases:
        _look(found, lambda: _count(found, records, releases[-1]))
        found.statuses = _statuses(_looked_at(records, newest, releases[-1]), releases[-1])
        _look(found, lambda: _sum_up(found, project_dir, earlier("api/releases.json")))
    _look(found, lambda: setattr(found, "hold", Holds(records).current()))
    _look(found, lambda: setattr(found, "landed", Ledger(Tables(environment)).entries()))
    _look(found, lambda: setattr(found, "comparisons", list(_comparisons(records, notes))))
    for shadow in shadow_runs(records):
        if isinstance(shadow, DamagedError):
            notes.append(shadow.line())
        else:
            found.shadows.append(shadow)
    try:
        found.landing = status(project_dir, environment.name)
    except SlipwayError as error:
        found.outstanding_unknown = error.line()
    feeds = found.landing.feeds if found.landing else ()
    found.columns = column_lineage(manifest, found.tables, contracts, earlier("api/column_lineage.json"))
    found.tables = with_derived_classes(found.tables, found.columns.tables, contracts, manifest)
    found.clocks = list(clocks(contracts, feeds, releases[-1] if releases else None, lineage.affected))
    return found


def _sum_up(found: Gathered, project_dir: Path, earlier: Any) -> None:
    """Add the sums of serving tables to the releases that changed them."""
    releases = {one.number: one for one in found.history.releases}
    for number, table, sums in sums_of(
        project_dir, Published(found.environment), found.history.releases, earlier
    ):
        releases[number].sums[table] = sums


def _look(found: Gathered, at: Callable[[], None]) -> None:
    try:
        at()
    except SlipwayError as error:
        found.notes.append(error.line())


def _runs(records: Records, earlier: Any, notes: list[str]) -> Iterator[RunShown]:
    known = {one["run_id"]: one for one in earlier or () if one.get("outcome") in _FINAL}
    for run_id in records.run_ids():
        if run_id in known:
            yield RunShown.from_json(known[run_id])
            continue
        try:
            manifest = records.manifest(run_id)
        except SlipwayError as error:
            notes.append(error.line())
            yield RunShown.without_manifest(run_id, UNREADABLE, error.line())
            continue
        yield RunShown.of(manifest) if manifest else _incomplete(records, run_id)


def _incomplete(records: Records, run_id: str) -> RunShown:
    try:
        closed = records.closed(run_id)
    except SlipwayError as error:
        return RunShown.without_manifest(run_id, "incomplete", error.line())
    if closed:
        return RunShown.without_manifest(run_id, "killed", closed.reason)
    return RunShown.without_manifest(run_id, "incomplete", "It did not write a run manifest, or not yet")


def _signatures(environment: Environment, numbers: Sequence[int], earlier: Any) -> dict[int, str]:
    """Who signed each release; those of old releases are as an earlier build found them."""
    known = {one["number"]: one["signed_by"] for one in earlier or ()}
    newest = set(numbers[-_VERIFIED_AGAIN:])
    return {
        number: known[number]
        if number in known and number not in newest
        else signature_of(environment, number)
        for number in numbers
    }


def _promotion(
    records: Records,
    number: int,
    approved: dict[int, str],
    promotions: dict[int, PromotionShown],
    notes: list[str],
) -> None:
    """Note why a promotion was allowed, and who approved it."""
    try:
        promotion = read_promotion(records, number)
    except DamagedError as error:
        notes.append(error.line())
        approved[number] = f"not verified: {error.line()}"
        return
    if promotion is None:
        return
    judged, unverified = None, ""
    if promotion.demands:
        try:
            judged = promotion_judgement(records, promotion, trust_of(records.environment))
            approved[number] = approvers(judged)
        except (DamagedError, ConfigError) as error:
            unverified = error.line()
            approved[number] = f"not verified: {unverified}"
    promotions[number] = PromotionShown.of(promotion, judged, unverified)


def _owners(lineage: Lineage) -> dict[str, list[str]]:
    return {table: lineage.owners(table) for table in set(lineage.tables.values())}


def _newest(records: Records, run_ids: Sequence[str]) -> Iterator[RunManifest]:
    """The run manifests that say how tests and tables stand now, newest first."""
    for run_id in islice(run_ids, _WITH_STATUSES):
        with suppress(DamagedError):  # it is among the notes already
            if manifest := records.manifest(run_id):
                yield manifest


def _count(found: Gathered, records: Records, current: Release) -> None:
    counted, found.not_counted = counted_in(records, current)
    found.books = list(map(BooksShown.of, counted))


def _looked_at(records: Records, newest: Sequence[RunManifest], current: Release) -> Iterator[RunManifest]:
    """The newest run manifests, and that of the run whose tables the current release shows, which may be older or of another environment."""
    yield from newest
    if all(manifest.run_id != current.run_id for manifest in newest):
        with suppress(DamagedError):  # it is among the notes already
            manifest = records.manifest(current.run_id)
            if manifest is None and (came := records.promoted_manifest(current.run_id)):
                manifest = came[0]
            if manifest:
                yield manifest


def _statuses(manifests: Iterable[RunManifest], current: Release) -> dict[str, TestStatus]:
    """How each test ended in the newest run that carried it out, or passed it on, for the tables as the current release shows them.

    Of a run that was not published, or that a rollback took from readers, these are the tests of tables that are the same.
    """
    found: dict[str, TestStatus] = {}
    for manifest in manifests:
        for test in manifest.tests.results:
            if test.unique_id not in found and not test.status.left_out and _is_of(current, manifest, test):
                found[test.unique_id] = TestStatus(
                    str(test.status), test.failures, manifest.run_id, test.carried
                )
    return found


def _is_of(current: Release, manifest: RunManifest, test: TestResult) -> bool:
    """Whether a result is of what the current release shows."""
    if current.by_run and manifest.run_id == current.run_id:
        return True
    if manifest.outcome is Outcome.UNCHANGED and manifest.started_at > current.published_at:
        return True
    return bool(test.tables) and all(shows(current, manifest, table) for table in test.tables)


def _stale(newest: Sequence[RunManifest], releases: Sequence[Release]) -> dict[str, str]:
    """Tables whose rows are not what the present code makes, with the reason, by the newest run that looked at what readers see of each.

    Of a run that was not published, that is what it left as it was. What was found before a rollback is of other rows.
    """
    back = max((one.published_at for one in releases if one.rolls_back), default=None)
    found: dict[str, str] = {}
    for manifest in newest:
        if back and manifest.started_at <= back:
            break
        shown = manifest.outcome in (Outcome.PUBLISHED, Outcome.UNCHANGED)
        for node in manifest.nodes:
            if node.table and not node.status.failed and (shown or not node.change.stages):
                found.setdefault(node.table, node.stale)
    return {table: why for table, why in found.items() if why}


def _comparisons(records: Records, notes: list[str]) -> Iterator[CodeComparison]:
    keys = [item.key for item in records.store.entries(COMPARISONS) if not item.key.endswith(REPAIRED)]
    for key in keys:
        try:
            yield read_record(records.store, CodeComparison, key)
        except DamagedError as error:
            notes.append(error.line())


def _compiled(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The compiled SQL of tests by unique id, which finds the rows that fail."""
    return {
        name: str(node["compiled_code"])
        for name, node in manifest.get("nodes", {}).items()
        if node.get("resource_type") == "test" and node.get("compiled_code")
    }
