"""A promotion that copies nothing: the target builds the commit of the release again, on its own inputs, and publishes that in one step.

It is for targets into which data must not be copied, because of where it has to stay. Policy, plan and approvals are the same; what is built has to
meet the policy as well, and is compared with the release.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from slipway.code.versions import code_of
from slipway.errors import NotFoundError, SlipwayError
from slipway.iceberg.tables import Tables
from slipway.processes import too_late
from slipway.promotion.evidence import Facts, evaluate
from slipway.promotion.planning import Proposal
from slipway.promotion.promote import check_approvals, check_evidence, refuse_moved, write_down
from slipway.promotion.promotion_policy import Require
from slipway.records.promotion_records import Finding, Rebuilt, RebuiltTable
from slipway.records.release_records import Intent, PromotedFrom, Release
from slipway.records.run_manifest import Outcome, RunManifest
from slipway.records.store import Records, check_seal
from slipway.releases.attestation import release_signed, signing_for
from slipway.releases.candidates import audited
from slipway.releases.holds import Holds
from slipway.releases.leases import Leases

Build = Callable[[Mapping[str, Any], str], RunManifest]
"""Runs the project in the target, which stages only: given dbt's variables, and what the tables are to be published with."""


def check_code(proposal: Proposal) -> None:
    """Refuse to build a release again with other code than it was made with; nothing is asked of one that is copied.

    Raises:
        SlipwayError: the work tree is at another commit, or has changes that no commit holds.
    """
    goal, project = proposal.goal, proposal.gathered.project
    if not proposal.plan.rests_on.rebuilds:
        return
    code, wanted = code_of(project), str(goal.code.commit)
    what = f"{goal.target} release {goal.number} cannot be rebuilt in {proposal.target.name}"
    if code.commit is None:
        raise SlipwayError(what, code.unknown, f"Check out commit {wanted[:12]} of the project's repository")
    if code.commit != wanted:
        raise SlipwayError(
            what,
            f"it was made from commit {wanted[:12]}, and the work tree is at {code.commit[:12]}",
            f"Check it out with git checkout {wanted[:12]}, then promote again",
        )
    if why := code.unknown:
        raise SlipwayError(
            what, f"the work tree is not what commit {wanted[:12]} holds: {why}", "Commit or remove it"
        )


def rebuild(
    proposal: Proposal, reason: str, build: Build, tell: Callable[[str], None], *, wait: float = 0
) -> tuple[Release | None, Rebuilt]:
    """Build the commit of a release in the target, compare it with the release, and publish all tables in one step.

    Args:
        proposal: what is to be done.
        reason: why; it is recorded.
        build: runs the project in the target.
        tell: gets a line for each thing that is waited for.
        wait: seconds to wait for runs on the same tables.

    Returns:
        the release, None if the target shows already what the commit makes of its inputs; and what was built.

    Raises:
        SlipwayError: a rule of the policy is not met by the release or by what was built, approvals are missing, the code is not that of the
            release, the run did not pass, or the target is on hold; nothing was published.
        ConflictError: a table moved since the proposal was made, or something else is at work on the same tables.
        UnavailableError: a store or the catalog cannot be read or written.
    """
    check_evidence(proposal)
    check_approvals(proposal)
    check_code(proposal)
    target, plan_id = proposal.target, proposal.plan.plan_id
    records, tables = Records(target), Tables(target)
    what = f"Promotion to {target.name}"
    Holds(records).refuse(what)
    refuse_moved(proposal, records)
    signing_for(target)  # a key that cannot be used is reported before hours of building
    manifest = _built(proposal, build)
    if manifest.outcome is Outcome.UNCHANGED:
        return None, _compared(proposal, manifest)
    found = _judged(proposal, manifest)
    rebuilt = _compared(proposal, manifest)
    check_seal(records, manifest.run_id, f"Publication of run {manifest.run_id}")
    candidate = records.candidate(manifest.run_id)
    staged, number = audited(tables, manifest, candidate), candidate[0].release
    names = [str(item.identifier) for item in staged]
    lease = Leases(records).take(plan_id, names, wait=wait, what=what, tell=tell)
    try:
        refuse_moved(proposal, records)
        write_down(proposal, records, number, {}, found=found, rebuilt=rebuilt)
        rests = proposal.plan.rests_on
        intent = Intent(
            number=number,
            run_id=manifest.run_id,
            code=manifest.code,
            reason=reason,
            promoted=PromotedFrom(
                target=rests.source,
                release=rests.source_release,
                sha256=rests.source_sha256,
                plan_id=plan_id,
                rebuilt=True,
            ),
        )
        with too_late():
            return release_signed(tables, records, staged, intent), rebuilt
    finally:
        lease.release()


def _built(proposal: Proposal, build: Build) -> RunManifest:
    """The manifest of a run of everything in the target that stages only.

    Raises:
        SlipwayError: it did not pass, or the code changed meanwhile.
    """
    name, commit = proposal.target.name, proposal.goal.code.commit
    done = build(_original(proposal).vars, f"plan {proposal.plan.plan_id}")
    explained = f"slipway show {done.run_id} --target {name} explains it"
    if done.outcome not in (Outcome.STAGED, Outcome.UNCHANGED):
        raise SlipwayError(f"Nothing was promoted to {name}", f"run {done.run_id}: {done.reason}", explained)
    if done.code.commit != commit or done.code.unknown:
        why = done.code.unknown or f"it is of commit {done.code.commit}"
        raise SlipwayError(
            f"Nothing was promoted to {name}", f"the code changed during run {done.run_id}: {why}", explained
        )
    return done


def _original(proposal: Proposal) -> RunManifest:
    """The run of the release in the source, whose variables are given again.

    Raises:
        NotFoundError: its records are gone.
    """
    run_id = proposal.goal.run_id
    if (content := proposal.gathered.contents.get(run_id)) is None:
        why = proposal.gathered.unknown.get(run_id) or f"the run manifest of {run_id} is gone"
        raise NotFoundError(
            f"{proposal.goal.target} release {proposal.goal.number} cannot be rebuilt in {proposal.target.name}",
            f"with which variables it was made is not known: {why}",
            "Promote a later release",
        )
    return RunManifest.model_validate_json(content)


def _judged(proposal: Proposal, manifest: RunManifest) -> list[Finding]:
    """What was found of the run by the rules that the runs of the release were judged by.

    Raises:
        SlipwayError: one is not met.
    """
    target, gathered = proposal.target, proposal.gathered
    # signature and contracts are of the release, and were judged with it
    require = Require(
        **proposal.require.model_dump(exclude={"signed", "contracts_compatible"}, exclude_unset=True)
    )
    built = {node.table: manifest.run_id for node in manifest.nodes if node.table}
    facts = Facts(
        mode=target.mode,
        now=datetime.now(UTC),
        runs={manifest.run_id: manifest},
        vouched=built,
        off_branch=gathered.off_branch,
        compared=proposal.compared,
    )
    found = [one.model_copy(update={"rule": f"{one.rule} (rebuilt)"}) for one in evaluate(require, facts)]
    if unmet := [one for one in found if not one.met]:
        raise SlipwayError(
            f"What was built in {target.name} cannot be published",
            "; ".join(f"{one.rule}: {one.why}" for one in unmet),
            f"slipway show {manifest.run_id} --target {target.name} explains it",
        )
    return found


def _compared(proposal: Proposal, manifest: RunManifest) -> Rebuilt:
    """What was built next to what the release has; of rows that differ only numbers are kept."""
    from slipway.comparison.compare_sides import How, diff

    goal, commit = proposal.goal, str(manifest.code.commit)
    sides = (f"{goal.target}:{goal.number}", f"{proposal.target.name}:{manifest.run_id}")
    try:
        report = diff(proposal.gathered.project, proposal.target.name, sides, (), How())
    except SlipwayError as error:  # that says nothing against what was built
        return Rebuilt(run_id=manifest.run_id, commit=commit, problem=error.line())
    return Rebuilt(
        run_id=manifest.run_id,
        commit=commit,
        tables={
            one.name: RebuiltTable(verdict=one.verdict.value, rows=one.head.rows, source_rows=one.base.rows)
            for one in sorted(report.tables, key=lambda one: one.name)
        },
    )
