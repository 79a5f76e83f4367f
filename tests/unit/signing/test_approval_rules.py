"""A plan is approved if, and only if, enough people who are no authors have approved it for each demand."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.errors import ConfigError
from slipway.records.promotion_records import Demand
from slipway.signing.approval_rules import Approval, Author, check_people, judge

PEOPLE = ["ada", "bob", "eve", "zoë"]
ROLES = ["owner", "manager", "privacy"]
some_roles = st.frozensets(st.sampled_from(ROLES))
approvals_given = st.lists(
    st.builds(
        Approval,
        key=st.sampled_from("abcdef"),
        name=st.just("key"),
        owner=st.sampled_from([*PEOPLE, *(f" {name.upper()} " for name in PEOPLE), ""]),
        roles=some_roles,
        why_not=st.sampled_from(["", "", "", "revoked", "withdrawn"]),
    ),
    max_size=8,
)
demands_made = st.lists(
    st.builds(
        Demand,
        count=st.integers(1, 3),
        roles=some_roles.map(sorted),
        classification=st.sampled_from(["", "restricted"]),
    ),
    max_size=3,
)
authors_known = st.lists(
    st.builds(
        Author,
        did=st.just("made the plan"),
        owner=st.sampled_from([*PEOPLE, ""]),
        unknown=st.sampled_from(["", "", "", "unsigned"]),
    ),
    max_size=3,
)


def enough(demand: Demand, approvals: list[Approval], authors: list[Author]) -> bool:
    """By trying every group of people: whether one of the size that is demanded has approved."""
    excluded = {author.owner for author in authors}
    free = [name for name in PEOPLE if name not in excluded]

    def approved(name: str) -> bool:
        return any(
            one.owner.strip().lower() == name
            and not one.why_not
            and (not demand.roles or any(role in demand.roles for role in one.roles))
            for one in approvals
        )

    return any(all(map(approved, group)) for group in combinations(free, demand.count))


@given(demands_made, approvals_given, authors_known)
def test_approved_if_and_only_if_enough_people_did(
    demands: list[Demand], approvals: list[Approval], authors: list[Author]
) -> None:
    found = judge(demands, approvals, authors)
    is_known = not any(author.unknown for author in authors)
    wanted = not demands or (is_known and all(enough(one, approvals, authors) for one in demands))
    assert (not found.missing) is wanted
    # whatever does not count has a reason, and what was found stays in the list
    assert [one.key for one in found.approvals] == [one.key for one in approvals]


@given(demands_made, approvals_given, authors_known, st.randoms())
def test_the_order_does_not_matter_and_more_approvals_never_harm(
    demands: list[Demand], approvals: list[Approval], authors: list[Author], random: st.DrawFn
) -> None:
    mixed = list(approvals)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    one, other = judge(demands, approvals, authors), judge(demands, mixed, authors)
    assert bool(one.missing) is bool(other.missing)
    if judge(demands, approvals[:-1], authors).missing == []:
        assert one.missing == []


def test_the_reasons_are_given() -> None:
    approvals = [
        Approval("1", "ada-laptop", "Ada", frozenset({"owner"})),
        Approval("2", "ci"),
        Approval("3", "bob", "Bob", frozenset({"owner"})),
        Approval("4", "bob-token", "bob", frozenset({"owner"})),
    ]
    found = judge(
        [Demand(count=2, roles=["owner"]), Demand(count=1, classification="restricted")],
        approvals,
        [Author("made the plan", "ADA"), Author("promotes it", unknown="it is not signed")],
    )
    assert [one.why_not for one in found.approvals] == [
        "Ada made the plan",
        "keys.yml names no owner of ci, and a person has to approve",
        "",
        "",
    ]
    assert found.people == ["Bob"]
    assert found.missing == [
        "it is not known who promotes it: it is not signed",
        "2 people with the role owner must approve, and Bob did",
    ]


@given(
    st.lists(st.tuples(st.sampled_from([*PEOPLE, ""]), some_roles), max_size=6),
    st.integers(1, 4),
    some_roles,
)
def test_no_more_people_are_demanded_than_there_are(
    keys: list[tuple[str, frozenset[str]]], count: int, roles: frozenset[str]
) -> None:
    people = {owner for owner, has in keys if owner and (not roles or has & roles)}
    demand = Demand(count=count, roles=sorted(roles))
    if len(people) >= count:
        check_people([demand], keys, "prod", "promotion.yml")
    else:
        with pytest.raises(ConfigError, match=r"promotion\.yml demands for prod that"):
            check_people([demand], keys, "prod", "promotion.yml")
