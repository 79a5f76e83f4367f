"""Approvals of plans: how a person gives one and withdraws it, and whether all are there at this moment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slipway.environments.environment import Environment
from slipway.environments.profiles import Profile
from slipway.errors import ConfigError, DamagedError, NotFoundError, SlipwayError
from slipway.promotion.planning import Proposal, again, why_expired
from slipway.promotion.promotion_policy import FILE, read_policy
from slipway.promotion.recorded import authors, judged_approvals, read_plan
from slipway.records.promotion_records import PromotionPlan
from slipway.records.store import Records
from slipway.releases.approvals import PlanFiles
from slipway.releases.attestation import signing_for
from slipway.signing.approval_rules import Judgement, person
from slipway.signing.signing_keys import KEYS_FILE, KnownKey, Signing, trust_of


@dataclass(frozen=True)
class Explained:
    """A plan as it is recorded, and how it stands.

    Args:
        plan: the plan.
        judgement: its approvals.
        void: why it cannot be carried out any more, as far as that shows without looking at the source; empty otherwise.
        release: the release that it was carried out as; None while it was not.
    """

    plan: PromotionPlan
    judgement: Judgement
    void: str = ""
    release: int | None = None


@dataclass(frozen=True)
class Approver:
    """Who approves: the key that this process signs with, and whose it is."""

    signing: Signing
    key: KnownKey


def explain(project: Path, target: str | None, plan_id: str) -> Explained:
    """Look a plan up; nothing is written.

    Raises:
        NotFoundError: there is no such plan.
        ConfigError: keys.yml or promotion.yml cannot be understood.
        DamagedError: the plan cannot be read.
    """
    profile = Profile(project)
    environment = profile.environment(target)
    records = Records(environment)
    plan = read_plan(records, plan_id)
    rests = plan.rests_on
    releases = records.releases()
    release = next(
        (one.number for one in releases if one.promoted and one.promoted.plan_id == plan.plan_id), None
    )
    last = releases[-1].number if releases else None
    void = ""
    if release is None and last != rests.target_release:
        void = f"{rests.target} shows {f'release {last}' if last else 'no release'} by now"
    elif release is None:
        policy = read_policy(project)
        if policy.sha256 != rests.policy_sha256:
            void = f"{FILE} has changed"
        elif approvals := policy.of(environment, rests.source)[0].approvals:
            void = why_expired(plan, approvals.plan_max_age)
    source = profile.environment(rests.source)
    return Explained(plan, judged_approvals(plan, Records(source), records), void, release)


def check_approver(project: Path, target: str | None, plan_id: str) -> tuple[Proposal, Approver]:
    """Find out whether the key of this process may approve a plan; nothing is written before ``give``.

    Raises:
        NotFoundError: there is no such plan.
        ConflictError: the plan is void, or too old.
        ConfigError: there is no key to sign with, or keys.yml does not name it with its owner, or it does not count there.
        SlipwayError: the plan needs no approval, or none of this person.
    """
    proposal = again(project, target, plan_id)
    plan = proposal.plan
    approver = approver_of(proposal.target)
    if not plan.demands:
        raise SlipwayError(
            f"Plan {plan.plan_id} needs no approval",
            f"{FILE} demands none for {proposal.target.name}",
            f"Carry it out with slipway promote {plan.plan_id} --to {proposal.target.name}",
        )
    what = f"{approver.key.owner} cannot approve plan {plan.plan_id}"
    for author in authors(plan, Records(proposal.source), Records(proposal.target)):
        if author.owner and person(author.owner) == person(approver.key.owner):
            raise SlipwayError(what, f"{author.owner} {author.did}", "Have somebody else approve it")
    wanted = sorted({role for demand in plan.demands for role in demand.roles})
    if all(demand.roles for demand in plan.demands) and approver.key.roles.isdisjoint(wanted):
        has = ", ".join(sorted(approver.key.roles)) or "none"
        raise SlipwayError(
            what,
            f"it needs the role {' or '.join(wanted)}, and {approver.key.name} has {has}",
            "Have somebody with such a role approve it",
        )
    if PlanFiles(Records(proposal.target), plan.plan_id).has(approver.key.key.keyid, withdrawn=True):
        raise SlipwayError(
            what,
            "the approval by this key was withdrawn, which cannot be taken back",
            f"Make a new plan with slipway promote --to {proposal.target.name} --plan",
        )
    return proposal, approver


def give(proposal: Proposal, approver: Approver, reason: str) -> bool:
    """Sign the approval.

    Returns:
        False if this key has approved the plan already.

    Raises:
        ConflictError: the record of the plan was changed since it was shown.
        DamagedError: what is there in its place is no approval that counts.
        UnavailableError: the key or the store cannot be used.
    """
    records = Records(proposal.target)
    files = PlanFiles(records, proposal.plan.plan_id)
    if files.approve(proposal.plan.rests_on, approver.signing, reason):
        return True
    key = approver.key.key.keyid
    there = {one.key: one.why_not for one in files.approvals(trust_of(proposal.target))}
    if why := there.get(key, ""):
        raise DamagedError(
            f"The approval of plan {proposal.plan.plan_id} by {approver.key.name} does not count",
            why,
            f"Remove {records.store.root}/{files.folder}/approvals/{key}.intoto.jsonl, or make a new plan",
        )
    return False


def withdraw(project: Path, target: str | None, plan_id: str, reason: str) -> tuple[PromotionPlan, bool]:
    """Withdraw the approval of a plan by the key of this process.

    Returns:
        the plan, and False if the approval is withdrawn already.

    Raises:
        NotFoundError: there is no such plan, or no approval by this key.
        ConfigError: there is no key to sign with, or keys.yml does not name it with its owner.
        SlipwayError: the plan was carried out already.
    """
    found = explain(project, target, plan_id)
    environment = Profile(project).environment(target)
    approver, plan = approver_of(environment), found.plan
    files = PlanFiles(Records(environment), plan.plan_id)
    if found.release is not None:
        raise SlipwayError(
            f"The approval of plan {plan.plan_id} cannot be withdrawn",
            f"the plan was carried out as release {found.release} of {environment.name}",
            f"Take it back with slipway rollback --target {environment.name}",
        )
    if not files.has(approver.key.key.keyid):
        raise NotFoundError(
            f"{approver.key.name} has not approved plan {plan.plan_id}",
            fix=f"slipway plan show {plan.plan_id} --target {environment.name} lists its approvals",
        )
    return plan, files.withdraw(plan, approver.signing, reason)


def approver_of(environment: Environment) -> Approver:
    """The person whose key this process signs with.

    Raises:
        ConfigError: there is none, or keys.yml does not name it with its owner, or it does not count in the environment.
        UnavailableError: the service that keeps it cannot be used.
    """
    signing = signing_for(environment)
    if signing.signer is None:
        raise ConfigError(
            "Nothing can be approved without a key",
            signing.why_not,
            "Set SLIPWAY_SIGNING_KEY to your key: docs/reference/evidence.md",
        )
    keyid = signing.signer.public_key.keyid
    key = trust_of(environment).keys.get(keyid)
    if key is None or not key.owner:
        why = "does not have the key" if key is None else f"names no owner of the key {key.name}"
        raise ConfigError(
            "Only a person can approve a plan",
            f"{KEYS_FILE} {why} that this process signs with ({keyid[:12]})",
            f"Add the key with its owner to {KEYS_FILE}, and have that reviewed",
        )
    return Approver(signing, key)
