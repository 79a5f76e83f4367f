"""Promotion of a release: planned from what is recorded, carried out in one publication, refused where anything has changed."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from pyiceberg.table import Table

from slipway.code.versions import who
from slipway.counts import plural
from slipway.environments.environment import Environment
from slipway.environments.profiles import Profile
from slipway.errors import (
    ConfigError,
    ConflictError,
    DamagedError,
    DamagedTableError,
    NotFoundError,
    SlipwayError,
)
from slipway.iceberg.carried import FROM, FROM_RELEASE, Carry, Place, carry, is_same, stage_carried
from slipway.iceberg.metadata_files import damaged, reading, summary_of
from slipway.iceberg.snapshots import StagedTable
from slipway.iceberg.tables import Tables, retired
from slipway.names import TableName
from slipway.processes import too_late
from slipway.promotion.demands import demands
from slipway.promotion.evidence import Facts, described_age, evaluate
from slipway.promotion.gathered import Gathered, gather, signed_checksums, why_not_signed
from slipway.promotion.promotion_policy import FILE, Policy, Require, Rules, read_policy
from slipway.promotion.recorded import (
    approved_before,
    judged_approvals,
    read_plan,
    statements_of,
    write_plan,
    write_promotion,
)
from slipway.records.code_comparisons import COMPARISONS
from slipway.records.promotion_records import (
    ApprovalRecord,
    CodeComparison,
    CopiedFile,
    Demand,
    Finding,
    PlannedTable,
    Promotion,
    PromotionPlan,
    Rebuilt,
    Rests,
)
from slipway.records.release_records import Intent, PromotedFrom, Release, ReleasedTable
from slipway.records.run_manifest import AHEAD, new_run_id
from slipway.records.store import Records
from slipway.releases.approvals import RELEASED, PlanFiles, promoter
from slipway.releases.attestation import relative, release_signed, signing_for
from slipway.releases.candidates import check_case, record_of
from slipway.releases.holds import Holds
from slipway.releases.leases import Leases
from slipway.releases.publication import settled, shown
from slipway.releases.published import Published, check_catalog
from slipway.signing.approval_rules import Judgement, check_people
from slipway.signing.signing_keys import Signing, trust_of
from slipway.storage.objects import canonical, object_store
from slipway.storage.transfer import Transfer

_DIGEST = "slipway.digest"
_AT_ONCE = 8  # files that are copied at the same time


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
        compared: the newest canary of each commit that has one.
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


def check_evidence(proposal: Proposal) -> list[Finding]:
    """Refuse a promotion whose evidence does not meet the policy at this moment: time goes on while somebody decides or files are copied.

    Returns:
        what was found.

    Raises:
        SlipwayError: a rule is not met.
    """
    found: list[Finding] = []
    if proposal.facts is not None:
        found = evaluate(proposal.require, replace(proposal.facts, now=datetime.now(UTC)))
    if unmet := [one for one in found if not one.met]:
        raise SlipwayError(
            f"{proposal.goal.target} release {proposal.goal.number} cannot be promoted to {proposal.target.name}",
            "; ".join(f"{one.rule}: {one.why}" for one in unmet),
            f"slipway plan show {proposal.plan.plan_id} --target {proposal.target.name} explains it",
        )
    return found


def check_approvals(proposal: Proposal) -> Judgement:
    """Refuse a promotion that not enough people have approved, as everything is at this moment.

    Raises:
        SlipwayError: approvals are missing, or it is not known whom they must not be from.
        ConfigError: keys.yml or the key that is set cannot be used.
    """
    plan, target = proposal.plan, proposal.target
    if not plan.demands:
        return Judgement((), ())
    records, trust = Records(target), trust_of(target)
    who_promotes = promoter(signing_for(target), trust)
    found = judged_approvals(plan, Records(proposal.source), records, who_promotes)
    if not found.missing:
        return found
    whys = list(found.missing)
    whys += [f"that of {one.name} does not count: {one.why_not}" for one in found.approvals if not one.counts]
    whys += [f"approvals of plan {other} are not of this one" for other in approved_before(plan, records)]
    raise SlipwayError(
        f"Plan {plan.plan_id} is not approved",
        "; ".join(whys),
        f"Have it approved with slipway approve {plan.plan_id} --target {target.name}, then carry it out with "
        f"slipway promote {plan.plan_id} --to {target.name}",
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
                "Give each a warehouse of its own in profiles.yml; SLIPWAY_WAREHOUSE holds for every target of the shell",
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
        compared = self._compared(gathered)
        moment = datetime.now(UTC)
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
            approvals, schemas, gathered.classified(goal, schemas) if approvals.classified else None
        )
        check_people(found, trust_of(self.target).holders, self.target.name, FILE)
        return found

    def _compared(self, gathered: Gathered) -> dict[str, CodeComparison]:
        """Canaries of the commits of the runs; a record that is damaged keeps only those from promoting who ask for one.

        Raises:
            DamagedError: a record of one cannot be read, and the policy asks for it.
        """
        try:
            return gathered.compared(self.published.records, self.records)
        except DamagedError:
            if self.rules.require.comparison_max_age is not None:
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
        return Facts(
            mode=self.target.mode,
            now=moment,
            runs=gathered.runs,
            vouched=gathered.vouched,
            unknown=gathered.unknown,
            off_branch=gathered.off_branch,
            compared=compared,
            contracts=gathered.contracts(before, goal) if require.contracts_compatible else None,
            unsigned=why_not_signed(records, goal, rests.source_sha256, rests.tables)
            if require.signed
            else "",
        )


def carry_out(proposal: Proposal, reason: str, tell: Callable[[str], None], *, wait: float = 0) -> Release:
    """Copy the files that the target does not have, and publish all tables in one step.

    Args:
        proposal: what is to be done.
        reason: why; it is recorded.
        tell: gets a line for each table whose files are copied.
        wait: seconds to wait for runs on the same tables.

    Raises:
        SlipwayError: a rule of the policy is not met, approvals are missing, or the target is on hold; nothing was published.
        ConflictError: a table moved since the proposal was made, or something else is at work on the same tables.
        DamagedError: a file is missing or is not what it was; nothing was published.
        UnavailableError: a store or the catalog cannot be read or written.
    """
    check_evidence(proposal)
    check_approvals(proposal)
    records, tables = Records(proposal.target), Tables(proposal.target)
    what = f"Promotion to {proposal.target.name}"
    Holds(records).refuse(what)
    names = [*(str(one.identifier) for one in proposal.carried), *map(str, proposal.retires)]
    lease = Leases(records).take(proposal.plan.plan_id, names, wait=wait, what=what, tell=tell)
    try:
        refuse_moved(proposal, records)
        copied = _copy(proposal, tell)
        number = records.reserve()
        staged = list(_staged(tables, proposal, number))
        _check_there(tables, proposal)
        for item in staged:
            records.write_rollback(number, str(item.identifier), record_of(item, number))
        rests = proposal.plan.rests_on
        write_down(proposal, records, number, copied)
        intent = Intent(
            number=number,
            run_id=proposal.goal.run_id,
            code=proposal.goal.code,
            reason=reason,
            promoted=PromotedFrom(
                target=rests.source,
                release=rests.source_release,
                sha256=rests.source_sha256,
                plan_id=proposal.plan.plan_id,
            ),
        )
        with too_late():
            return release_signed(tables, records, staged, intent)
    finally:
        lease.release()


def write_down(
    proposal: Proposal,
    records: Records,
    number: int,
    copied: Mapping[str, list[CopiedFile]],
    *,
    found: Sequence[Finding] = (),
    rebuilt: Rebuilt | None = None,
) -> None:
    """Write down what is about to be published, and why it may be: everything is looked at once more, because copying may take hours.

    Args:
        proposal: what is done.
        records: of the target.
        number: of the release.
        copied: files that were copied, by table.
        found: evidence that is not of the release.
        rebuilt: what was built instead of copied.

    Raises:
        ConflictError: the target shows another release by now.
        SlipwayError: a rule is not met any more, or approvals are missing by now.
    """
    plan, gathered = proposal.plan, proposal.gathered
    refuse_moved(proposal, records)
    rests, found = plan.rests_on, [*check_evidence(proposal), *found]
    judged = check_approvals(proposal)
    evidence = PlanFiles(records, plan.plan_id).contents(plan)
    if plan.demands:
        why = f"approved by {', '.join(judged.people)}"
        found.append(Finding(rule="approvals", met=True, why=why))
    if released := statements_of(Records(proposal.source), rests.source_release):
        evidence[RELEASED] = released
    for commit, one in proposal.compared.items():
        evidence[f"{COMPARISONS}/{commit}.json"] = one.model_dump_json(indent=1).encode()
    done = Promotion(
        number=number,
        plan_id=plan.plan_id,
        source=rests.source,
        source_release=rests.source_release,
        evidence=found,
        judged_at=datetime.now(UTC),
        policy_sha256=rests.policy_sha256,
        demands=plan.demands,
        approvals=[
            ApprovalRecord(
                key=one.key,
                name=one.name,
                owner=one.owner,
                roles=sorted(one.roles),
                approved_at=one.approved_at,
                why_not=one.why_not,
            )
            for one in judged.approvals
        ],
        copied=dict(copied),
        rebuilt=rebuilt,
    )
    write_promotion(records, done, gathered.contents, gathered.described, evidence)


def refuse_moved(proposal: Proposal, records: Records) -> None:
    """Copying or building may take hours, so what moved since the plan was made is found before it.

    Raises:
        ConflictError: the target shows another release.
    """
    last, rests = records.last_release(), proposal.plan.rests_on
    if (number := last.number if last else None) != rests.target_release:
        raise ConflictError(
            f"Nothing was promoted to {rests.target}",
            f"it shows release {number} by now, and the plan rests on "
            f"{'no release' if rests.target_release is None else f'release {rests.target_release}'}",
            "Promote again",
        )


def _staged(tables: Tables, proposal: Proposal, number: int) -> Iterator[StagedTable]:
    summary = {FROM: proposal.goal.target, FROM_RELEASE: str(proposal.goal.number)}
    for one in proposal.carried:
        yield stage_carried(tables, one, f"release-{number}", summary)
    for name, location in proposal.retires.items():
        yield retired(tables, name, location)


def _copy(proposal: Proposal, tell: Callable[[str], None]) -> dict[str, list[CopiedFile]]:
    """Copy the files of all tables; the first failure ends it."""
    transfer = Transfer(proposal.source.catalog_properties, proposal.target.catalog_properties)
    signed = signed_checksums(Records(proposal.source), proposal.goal)
    root = proposal.source.warehouse
    copied: dict[str, list[CopiedFile]] = {}
    over = threading.Event()
    with ThreadPoolExecutor(_AT_ONCE, "promote") as pool:
        try:
            for one in proposal.carried:
                if not one.files:
                    continue
                name = str(one.identifier)
                tell(f"{name}: {plural(len(one.files), 'file')} …")
                known = [signed.get(name, {}).get(relative(file.source, root), "") for file in one.files]
                copied[name] = list(pool.map(partial(_copied, transfer, one, over), one.files, known))
        except BaseException:
            over.set()
            raise
    return copied


def _copied(transfer: Transfer, of: Carry, over: threading.Event, file: Place, known: str) -> CopiedFile:
    if over.is_set():
        raise SlipwayError("Nothing was promoted", "another file could not be copied")
    try:
        with reading(f"data of {of.identifier}", file.source):
            checksum = transfer.copy(file.source, file.target, file.size, known)
    except BaseException:
        over.set()
        raise
    return CopiedFile(
        path=file.target.removeprefix(f"{of.location}/"), size_bytes=file.size, checksum=checksum
    )


def _check_there(tables: Tables, proposal: Proposal) -> None:
    """Refuse to publish a table of which a file is not there: its folder is listed, those that it had before are in it, too.

    Raises:
        DamagedTableError: one is missing or has another size.
    """
    for one in proposal.carried:
        if one.known:
            continue
        store = object_store(one.location, tables.environment.catalog_properties)
        there = {item.key: item.size for item in store.entries("data")}
        wanted = {file.target.removeprefix(f"{one.location}/"): file.size for file in one.files}
        wanted |= one.kept
        for path, size in wanted.items():
            if path.startswith("data/") and there.get(path) != size:
                found = (
                    "it is missing" if path not in there else f"it has {there[path]:,} bytes, not {size:,}"
                )
                raise damaged(f"data of {one.identifier}", f"{one.location}/{path}", found)


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
