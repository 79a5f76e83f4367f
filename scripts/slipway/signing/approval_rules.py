"""Whether a plan has the approvals that it needs: enough people, each counted once, and none of them an author.

Who publishes the release, makes the plan or promotes it is an author. Of a key without an owner it is known that it is no person's who approves; of a key that
keys.yml does not name nothing is known: any approver might have it, so the plan does not count as approved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from slipway.errors import ConfigError
from slipway.records.promotion_records import Demand


@dataclass(frozen=True)
class Approval:
    """An approval of a plan, as it was found.

    Args:
        key: id of the key that it is signed with.
        name: of the key.
        owner: the person who has it; empty for none.
        roles: of this person.
        approved_at: when, as the approval says.
        why_not: why it does not count; empty where it does.
        is_broken: whether it is not what was signed, or not of this plan, or by a key that was revoked.
    """

    key: str
    name: str
    owner: str = ""
    roles: frozenset[str] = frozenset()
    approved_at: str = ""
    why_not: str = ""
    is_broken: bool = False

    @property
    def counts(self) -> bool:
        """Whether it counts."""
        return not self.why_not

    @property
    def person(self) -> str:
        """What distinguishes a person from others: the owner, whatever the case and the spaces."""
        return person(self.owner)


@dataclass(frozen=True)
class Author:
    """Who did something that keeps a person from approving it.

    Args:
        did: what, such as ``made the plan``.
        owner: the person; empty for a key that is no person's.
        unknown: why it is not known who did it; empty where it is.
    """

    did: str
    owner: str = ""
    unknown: str = ""


@dataclass(frozen=True)
class Judgement:
    """What became of the approvals of a plan.

    Args:
        demands: what is demanded, each with the people who have approved for it.
        approvals: all that were found, with the reason why one does not count.
        unknown: why it is not known who the authors are.
    """

    demands: Sequence[tuple[Demand, Sequence[str]]]
    approvals: Sequence[Approval]
    unknown: Sequence[str] = ()

    @property
    def missing(self) -> list[str]:
        """What keeps the plan from being approved, a part of a sentence each; nothing where it is approved."""
        lacking = [
            f"{demand.described()} must approve, and {_some(people)}"
            for demand, people in self.demands
            if len(people) < demand.count
        ]
        return [*self.unknown, *lacking]

    @property
    def people(self) -> list[str]:
        """Who has approved, each person once."""
        return _distinct(one.owner for one in self.approvals if one.counts)


def person(owner: str) -> str:
    """What distinguishes the owner of a key from others."""
    return " ".join(owner.split()).casefold()


def judge(demands: Sequence[Demand], approvals: Sequence[Approval], authors: Sequence[Author]) -> Judgement:
    """Judge the approvals of a plan.

    Args:
        demands: what is demanded; each of them has to be met, and one person may count for several.
        approvals: all that were found.
        authors: who did what keeps a person from approving.
    """
    if not demands:
        return Judgement((), approvals)
    did = {person(one.owner): one.did for one in authors if one.owner}
    judged = [_judged(one, did) for one in approvals]
    counted = [
        (demand, _distinct(one.owner for one in judged if one.counts and _has_role(one.roles, demand)))
        for demand in demands
    ]
    unknown = [f"it is not known who {one.did}: {one.unknown}" for one in authors if one.unknown]
    return Judgement(counted, judged, unknown)


def check_people(
    demands: Sequence[Demand], holders: Sequence[tuple[str, frozenset[str]]], target: str, policy: str
) -> None:
    """Refuse to demand more people than there are.

    Args:
        demands: what is demanded.
        holders: owner and roles of each key that counts in the target; the owner is empty for one that is no person's.
        target: the environment that it is demanded for.
        policy: name of the file that demands it.

    Raises:
        ConfigError: there are not so many.
    """
    for demand in demands:
        people = _distinct(owner for owner, roles in holders if owner and _has_role(roles, demand))
        if len(people) < demand.count:
            raise ConfigError(
                f"{policy} demands for {target} that {demand.described()} approve",
                f"keys.yml names {', '.join(people) or 'nobody'} who could",
                "Lower count, or add keys with owner and roles to keys.yml",
            )


def _judged(one: Approval, did: dict[str, str]) -> Approval:
    if not one.counts:
        return one
    if not one.person:
        return replace(one, why_not=f"keys.yml names no owner of {one.name}, and a person has to approve")
    if what := did.get(one.person):
        return replace(one, why_not=f"{one.owner} {what}")
    return one


def _has_role(roles: frozenset[str], demand: Demand) -> bool:
    return not demand.roles or not roles.isdisjoint(demand.roles)


def _distinct(owners: Iterable[str]) -> list[str]:
    """Owners without those who are the same person as one before."""
    found: dict[str, str] = {}
    for owner in owners:
        found.setdefault(person(owner), owner)
    return list(found.values())


def _some(people: Sequence[str]) -> str:
    return f"{', '.join(people)} did" if people else "nobody did"
