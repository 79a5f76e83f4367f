"""Promotion of a release: what was planned is judged, carried out in one publication, and refused where anything has changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from slipway.counts import plural
from slipway.errors import ConflictError, SlipwayError, UsageError
from slipway.iceberg.carried import FROM, FROM_RELEASE, Carry, Place, stage_carried
from slipway.iceberg.earlier_states import retired
from slipway.iceberg.metadata_files import damaged, reading
from slipway.iceberg.snapshots import StagedTable
from slipway.iceberg.tables import Tables
from slipway.processes import too_late
from slipway.promotion.evidence import evaluate
from slipway.promotion.gathered import signed_checksums
from slipway.promotion.planning import Proposal
from slipway.promotion.recorded import approved_before, judged_approvals, statements_of, write_promotion
from slipway.records.code_comparisons import COMPARISONS
from slipway.records.promotion_records import ApprovalRecord, CopiedFile, Finding, Promotion, Rebuilt
from slipway.records.release_records import Intent, PromotedFrom, Release
from slipway.records.store import Records
from slipway.releases.approvals import RELEASED, PlanFiles, promoter
from slipway.releases.attestation import relative, release_signed, signing_for
from slipway.releases.candidates import record_of
from slipway.releases.holds import Holds
from slipway.releases.leases import Leases
from slipway.signing.approval_rules import Judgement
from slipway.signing.signing_keys import trust_of
from slipway.storage.objects import object_store
from slipway.storage.transfer import Transfer

_AT_ONCE = 8  # files that are copied at the same time


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


def carry_out(proposal: Proposal, reason: str, tell: Callable[[str], None], *, wait: float = 0) -> Release:
    """Copy the files that the target does not have, and publish all tables in one step.

    Args:
        proposal: what is to be done.
        reason: why; it is recorded.
        tell: gets a line for each table whose files are copied.
        wait: seconds to wait for runs on the same tables.

    Raises:
        UsageError: the proposal moves nothing.
        SlipwayError: a rule of the policy is not met, approvals are missing, or the target is on hold; nothing was published.
        ConflictError: a table moved since the proposal was made, or something else is at work on the same tables.
        DamagedError: a file is missing or is not what it was; nothing was published.
        UnavailableError: a store or the catalog cannot be read or written.
    """
    if not (proposal.carried or proposal.retires):
        rests = proposal.plan.rests_on
        raise UsageError(
            "There is nothing to promote",
            f"{rests.target} shows release {rests.source_release} of {rests.source} already",
            "Make a release there first",
        )
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
