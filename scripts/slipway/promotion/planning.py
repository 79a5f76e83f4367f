"""What a promotion is going to do: planned from what is recorded, refused where that cannot be, and void once anything has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Literal

from pyiceberg.table import Table

from slipway.code.versions import who
from slipway.environments.environment import Environment
from slipway.environments.profiles import Profile, own_warehouse
from slipway.errors import (
    ConfigError,
    ConflictError,
    DamagedError,
    DamagedTableError,
    NotFoundError,
    SlipwayError,
)
from slipway.iceberg.carried import Carry, carry, is_same
from slipway.iceberg.metadata_files import damaged, summary_of
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.promotion.demands import demands
from slipway.promotion.evidence import Facts, described_age, evaluate
from slipway.promotion.gathered import Gathered, gather, why_not_signed
from slipway.promotion.promotion_policy import FILE, Policy, Require, Rules, read_policy
from slipway.promotion.recorded import read_plan, write_plan
from slipway.records.promotion_records import CodeComparison, Demand, PlannedTable, PromotionPlan, Rests
from slipway.records.release_records import Release, ReleasedTable
from slipway.records.run_ids import AHEAD, new_run_id
from slipway.records.store import Records
from slipway.releases.attestation import signing_for
from slipway.releases.candidates import check_case
from slipway.releases.publication import settled, shown
from slipway.releases.published import Published, check_catalog
from slipway.signing.approval_rules import check_people
from slipway.signing.signing_keys import Signing, trust_of
from slipway.storage.objects import canonical

_DIGEST = "slipway.digest"


@dataclass(frozen=True)
class Proposal:
    """What a promotion is going to do.

    Args:
        plan: as it is recorded.
        source: where the release is.
        target: where it is promoted to.
        goal: the release.
        carried: the tables whose state changes.
        retires: tables that the target's catalog is not to name any more, to their metadata files.
        gathered: the runs that vouch for them.
        facts: what the evidence is judged by; None where nothing is moved.
        compared: the canary of each commit that counts as evidence.
        require: the evidence that the policy demands.
        plan_max_age: how old the plan may be when it is approved or carried out; None for any age.
        healed: publications of dead processes that were recorded, finished or undone first, a line each.
    """

    plan: PromotionPlan
    source: Environment
    target: Environment
    goal: Release
    carried: Sequence[Carry] = ()
    retires: Mapping[TableName, str] = field(default_factory=dict)
    gathered: Gathered = field(default_factory=Gathered)
    facts: Facts | None = None
    compared: Mapping[str, CodeComparison] = field(default_factory=dict)
    require: Require = field(default_factory=Require)
    plan_max_age: timedelta | None = None
    healed: Sequence[str] = ()

    @property
    def is_needed(self) -> bool:
        """Whether the target does not show the release already, as far as that is known before something is built."""
        return bool(self.carried or self.retires or self.plan.rests_on.rebuilds)


def propose(
    project: Path,
    source: str | None,
    target: str | None,
    number: int | None,
    *,
    replace: bool = False,
    rebuild: bool = False,
) -> Proposal:
    """Find out what a promotion would do, and whether the policy lets it; nothing is copied or published.

    Args:
        project: folder of dbt_project.yml and promotion.yml.
        source: the environment to promote from; None for the only one that the policy allows.
        target: the environment to promote to.
        number: the release; None for the last one.
        replace: whether tables that the target built itself give way.
        rebuild: whether the target builds the commit of the release itself, and nothing is copied.

    Raises:
        ConfigError: the policy does not allow it, or both environments are one.
        NotFoundError: there is no such release, or a snapshot of it has expired.
        ConflictError: another program committed to a table that would change.
        DamagedError: a record, a catalog or a table is damaged.
        SlipwayError: a table cannot be carried, or no commit holds the code of a release that is to be rebuilt.
        UnavailableError: one of the environments cannot be reached.
    """
    return _Planning(project, source, target).proposal(number, replace=replace, rebuild=rebuild)


def keep(proposal: Proposal) -> None:
    """Record the plan in the target, signed if it has to be approved.

    Raises:
        ConflictError: there is a plan with its id already.
        ConfigError: the key that is set cannot be used.
        UnavailableError: the key or the store cannot be used.
    """
    needed = bool(proposal.plan.demands)
    signing = signing_for(proposal.target) if needed else Signing(None)
    write_plan(Records(proposal.target), proposal.plan, signing)


def planned(project: Path, target: str | None, plan_id: str) -> PromotionPlan:
    """A plan that was recorded; raises as ``read_plan`` does."""
    return read_plan(Records(Profile(project).environment(target)), plan_id)


def again(project: Path, target: str | None, plan_id: str) -> Proposal:
    """What a recorded plan would do now.

    Raises:
        NotFoundError: there is no such plan.
        ConflictError: something that it rests on has changed, so it is void; or it is too old.
    """
    plan = planned(project, target, plan_id)
    rests = plan.rests_on
    now = propose(
        project,
        rests.source,
        target,
        rests.source_release,
        replace=rests.replaces,
        rebuild=rests.rebuilds,
    )
    if differences := list(rests.differences(now.plan.rests_on)):
        shown = "; ".join(differences[:3]) + ("; …" if len(differences) > 3 else "")
        raise ConflictError(
            f"Plan {plan.plan_id} is void",
            shown,
            f"Make a new one with slipway promote --to {rests.target} --plan",
        )
    if why := why_expired(plan, now.plan_max_age):
        raise ConflictError(
            f"Plan {plan.plan_id} has expired",
            why,
            f"Make a new one with slipway promote --to {rests.target} --plan",
        )
    kept = now.plan.model_copy(update={"plan_id": plan.plan_id, "made_at": plan.made_at, "who": plan.who})
    return replace(now, plan=kept)


def why_expired(plan: PromotionPlan, max_age: timedelta | None) -> str:
    """Why a plan is too old, or from a clock that was wrong; empty where it is not."""
    if max_age is None or -AHEAD < datetime.now(UTC) - plan.made_at <= max_age:
        return ""
    return (
        f"it was made at {plan.made_at:%Y-%m-%d %H:%M} UTC, and promotion.yml allows {described_age(max_age)}"
    )


class _Planning:
    def __init__(self, project: Path, source: str | None, target: str | None) -> None:
        profile = Profile(project)
        self.project, self.target = project, profile.environment(target)
        self.policy: Policy = read_policy(project)
        self.rules: Rules
        self.rules, chosen = self.policy.of(self.target, source)
        self.source = profile.environment(chosen)
        if canonical(self.source.warehouse) == canonical(self.target.warehouse):
            raise ConfigError(
                f"{self.source.name} and {self.target.name} have the same warehouse",
                f"it is {self.target.warehouse}",
                f"Set {own_warehouse(self.target.name, self.target.catalog_properties)}, and unset SLIPWAY_WAREHOUSE, which "
                "holds for every target of the shell",
            )
        self.published, self.records = Published(self.source), Records(self.target)
        self.tables = Tables(self.target)

    def proposal(self, number: int | None, *, replace: bool, rebuild: bool) -> Proposal:
        self._check_way(rebuild=rebuild)
        healed = settled(self.tables, self.records, "a promotion would do", dry=False)
        goal = self._goal(number)
        if rebuild and (why := goal.code.unknown):
            raise SlipwayError(
                f"{goal.target} release {goal.number} cannot be rebuilt in {self.target.name}",
                f"no commit holds its code: {why}",
                "Promote a release that was made from a commit",
            )
        now = self.tables.locations()
        check_catalog(self.tables, self.records, now)
        releases = self.records.releases()
        last = releases[-1] if releases else None
        there = shown(self.tables, now, last)
        carried: list[Carry] = []
        sources: dict[str, Table] = {}
        tables: dict[str, PlannedTable] = {}
        left_out, unchanged = {}, []
        for name, state in sorted(goal.tables.items()):
            identifier = TableName.parse(name)
            if not self.rules.moves(identifier.layer):
                left_out[name] = f"promotion.yml leaves out layer {identifier.layer}"
                continue
            base = self.tables.load(identifier, now[identifier]) if identifier in now else None
            loaded = self._state(identifier, state)
            if base is not None and not rebuild and is_same(loaded, base):
                unchanged.append(name)
                continue
            if base is None:
                check_case(identifier, now)
            else:
                _refuse_foreign(name, there[name], releases)
            sources[name] = loaded
            if rebuild:
                tables[name] = _rebuilt(loaded, base, state)
                continue
            with _expired(name, goal):
                one = carry(self.tables, identifier, loaded, base, replace=replace)
            carried.append(one)
            tables[name] = _planned(one, state)
        gone = () if rebuild else self._retired(goal, now, releases)
        retires = {name: now[name] for name in gone}
        for identifier, location in retires.items():
            before = there[str(identifier)]
            _refuse_foreign(str(identifier), before, releases)
            tables[str(identifier)] = PlannedTable(
                action="retired", base=location, base_snapshot=before.snapshot_id
            )
        if retires and not carried and len(retires) == len(there):
            raise SlipwayError(
                f"{goal.target} release {goal.number} cannot be promoted to {self.target.name}",
                "the catalog would name no table, which is taken for a catalog that is gone",
                "Promote a release that has one of its tables",
            )
        rests = Rests(
            source=self.source.name,
            source_release=goal.number,
            source_sha256=_sha256(self.published.records, goal.number),
            target=self.target.name,
            target_release=last.number if last else None,
            target_sha256=_sha256(self.records, last.number) if last else None,
            policy_sha256=self.policy.sha256,
            replaces=replace,
            rebuilds=rebuild,
            layers=list(self.rules.layers) if self.rules.layers else None,
            tables=tables,
        )
        gathered = gather(self.project, self.published.records, goal, list(sources), list(map(str, retires)))
        moment = datetime.now(UTC)
        compared = self._compared(gathered, moment)
        facts = self._facts(gathered, compared, goal, rests, releases, moment) if tables else None
        plan = PromotionPlan(
            plan_id=new_run_id(moment),
            made_at=moment,
            who=who(),
            digest=rests.digest,
            rests_on=rests,
            evidence=evaluate(self.rules.require, facts) if facts else [],
            demands=self._demands(gathered, goal, sources, retires) if tables else [],
            left_out=left_out,
            unchanged=unchanged,
        )
        limit = self.rules.approvals.plan_max_age if self.rules.approvals else None
        return Proposal(
            plan,
            self.source,
            self.target,
            goal,
            carried,
            retires,
            gathered,
            facts,
            compared,
            self.rules.require,
            limit,
            healed,
        )

    def _check_way(self, *, rebuild: bool) -> None:
        """Refuse to copy what must not be copied, and to build a part of what depends on one another.

        Raises:
            ConfigError: the policy does not allow it.
        """
        name = self.target.name
        if self.rules.rebuild and not rebuild:
            raise ConfigError(
                f"No data may be copied to {name}",
                f"{FILE} says rebuild: true for it",
                "Promote with --rebuild, so that the target builds the commit of the release itself",
            )
        if rebuild and self.rules.layers:
            raise ConfigError(
                f"Releases cannot be rebuilt in {name}",
                f"{FILE} leaves out layers for it, and what is built there has to read all of them",
                "Remove layers, or copy the tables by a promotion without --rebuild",
            )

    def _demands(
        self,
        gathered: Gathered,
        goal: Release,
        sources: Mapping[str, Table],
        retires: Mapping[TableName, str],
    ) -> list[Demand]:
        """The approvals that a plan needs.

        Raises:
            ConfigError: there are not so many people, or nothing has a classification that is named.
        """
        if (approvals := self.rules.approvals) is None:
            return []
        schemas = {name: table.schema() for name, table in sources.items()}
        schemas |= {str(name): self.tables.load(name, at).schema() for name, at in retires.items()}
        found = demands(
            approvals,
            schemas,
            gathered.classified(goal, schemas, self.published) if approvals.classified else None,
        )
        check_people(found, trust_of(self.target).holders, self.target.name, FILE)
        return found

    def _compared(self, gathered: Gathered, moment: datetime) -> dict[str, CodeComparison]:
        """Canaries of the commits of the runs; a record that is damaged keeps only those from promoting who ask for one.

        Raises:
            DamagedError: a record of one cannot be read, and the policy asks for it.
        """
        try:
            return gathered.compared(self.rules.require, moment, self.published.records, self.records)
        except DamagedError:
            if self.rules.require.asks_for_comparison:
                raise
            return {}

    def _goal(self, number: int | None) -> Release:
        """The release to promote: one whose tables are all recorded.

        Raises:
            NotFoundError: there is none.
        """
        records = self.published.records
        if records.open_keys() and (unfinished := self.published.unfinished()):
            raise SlipwayError(
                f"Nothing can be promoted from {self.source.name}",
                unfinished[0],
                "Wait, or run slipway doctor --fix",
            )
        releases, damaged_ones = records.readable_releases()
        if number in damaged_ones:
            raise damaged_ones[number]
        if number is None:
            for error in damaged_ones.values():  # it may be the last one
                raise error
        found = [one for one in releases if number in (None, one.number)]
        if not found:
            known = ", ".join(str(one.number) for one in releases[-5:])
            raise NotFoundError(
                f"{self.source.name} has no release{'' if number is None else f' {number}'}",
                f"the last ones are {known}" if known else "nothing was published there yet",
                f"List them with slipway releases --target {self.source.name}",
            )
        return found[-1]

    @cached_property
    def _source_tables(self) -> Tables:
        return self.published.tables

    def _state(self, identifier: TableName, state: ReleasedTable) -> Table:
        """A table of the release as it was then.

        Raises:
            NotFoundError: its metadata file is gone.
            DamagedTableError: it is damaged, or shows something else.
        """
        name = str(identifier)
        with _expired(name, None):
            loaded = self._source_tables.load_to_read(identifier, state.metadata_location)
        current = loaded.metadata.current_snapshot_id
        if str(current) != str(state.snapshot_id):
            raise damaged(
                f"metadata of {name}",
                state.metadata_location,
                f"it shows snapshot {current}, and the release {state.snapshot_id}",
            )
        return loaded

    def _retired(
        self, goal: Release, now: Mapping[TableName, str], releases: Sequence[Release]
    ) -> Iterator[TableName]:
        """Tables that were promoted from this environment and that the release does not have any more."""
        promoted = {
            name
            for one in releases
            if one.promoted and not one.promoted.rebuilt and one.promoted.target == self.source.name
            for name, table in one.tables.items()
            if table.changed
        }
        for name in sorted(promoted - goal.tables.keys()):
            identifier = TableName.parse(name)
            if identifier in now and self.rules.moves(identifier.layer):
                yield identifier

    def _facts(
        self,
        gathered: Gathered,
        compared: Mapping[str, CodeComparison],
        goal: Release,
        rests: Rests,
        releases: Sequence[Release],
        moment: datetime,
    ) -> Facts:
        require, records = self.rules.require, self.published.records
        before = next((one for one in reversed(releases) if one.promoted), None)
        judged = {run_id: gathered.contents[run_id] for run_id in gathered.runs}
        return Facts(
            mode=self.target.mode,
            now=moment,
            runs=gathered.runs,
            vouched=gathered.vouched,
            unknown=gathered.unknown,
            off_branch=gathered.off_branch,
            compared=compared,
            contracts=gathered.contracts(before, goal) if require.contracts_compatible else None,
            unsigned=why_not_signed(records, goal, rests.source_sha256, rests.tables, judged)
            if require.signed
            else "",
        )


def _refuse_foreign(name: str, now: ReleasedTable, releases: Sequence[Release]) -> None:
    """A commit of another program would be hidden although nobody has decided so.

    Raises:
        ConflictError: there is one.
    """
    if any(name in one.tables and one.tables[name].content == now.content for one in releases):
        return
    raise ConflictError(
        f"{name} cannot be replaced by a promotion",
        f"its current snapshot {now.snapshot_id} is of no release; another program committed it",
        "Take it back with that program, or leave its layer out in promotion.yml",
    )


def _planned(one: Carry, state: ReleasedTable) -> PlannedTable:
    base = one.base
    action: Literal["new", "changes", "shown again", "replaced"] = "new" if base is None else "changes"
    if one.known or one.replaces:
        action = "shown again" if one.known else "replaced"
    current = base.metadata.current_snapshot_id if base else None
    return PlannedTable(
        action=action,
        snapshot_id=state.snapshot_id,
        metadata_location=state.metadata_location,
        digest=summary_of(one.source.current_snapshot()).get(_DIGEST),
        rows=state.rows,
        run_id=state.run_id,
        base=base.metadata_location if base else None,
        base_snapshot=None if current is None else str(current),
        files=len(one.files),
        bytes=one.size,
    )


def _rebuilt(source: Table, base: Table | None, state: ReleasedTable) -> PlannedTable:
    """A table that a run of the target is going to build, next to the one of the release."""
    current = base.metadata.current_snapshot_id if base else None
    return PlannedTable(
        action="rebuilt",
        snapshot_id=state.snapshot_id,
        metadata_location=state.metadata_location,
        digest=summary_of(source.current_snapshot()).get(_DIGEST),
        rows=state.rows,
        run_id=state.run_id,
        base=base.metadata_location if base else None,
        base_snapshot=None if current is None else str(current),
    )


@contextmanager
def _expired(name: str, goal: Release | None) -> Iterator[None]:
    """Tell of files of a release that are gone.

    Raises:
        NotFoundError: one is.
    """
    try:
        yield
    except DamagedTableError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        raise NotFoundError(
            f"{name}{f' of release {goal.number}' if goal else ''} cannot be promoted",
            f"its snapshot has expired: {error.why}",
            "Promote a later release",
        ) from None


def _sha256(records: Records, number: int) -> str:
    return hashlib.sha256(records.store.read(f"releases/{number:06d}.json")).hexdigest()
