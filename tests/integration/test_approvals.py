"""Approvals of promotions: whose count, what they are of, and that nothing is published without them."""

from __future__ import annotations

import hashlib
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

import pytest
from tests.harness.keys import MadeKey, keys_yml
from tests.harness.office import ADA, ADA_TOKEN, BOB, CI, EVE, EVERYBODY, ORDERS, Office
from tests.harness.records import COMMIT

from slipway.errors import ConfigError, ConflictError, DamagedError, NotFoundError, SlipwayError
from slipway.maintenance.apply import maintain, propose_in
from slipway.promotion import planning, promote
from slipway.promotion.approving import check_approver, give
from slipway.promotion.promote import carry_out
from slipway.promotion.recorded import read_promotion
from slipway.records.code_comparisons import keep_comparison
from slipway.records.promotion_records import CodeComparison
from slipway.releases.approvals import approved_by
from slipway.releases.signatures import bundle_of
from slipway.signing.statements import COMPARISON, PROVENANCE
from slipway.verification.links import Kind
from slipway.verification.walk import verify

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb


@pytest.fixture
def office(tmp_path: Path, duck: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch) -> Office:
    made = Office(tmp_path, duck)
    made.monkeypatch = monkeypatch
    for name, value in made.settings().items():
        monkeypatch.setenv(name, value)
    made.write("keys.yml", keys_yml(*EVERYBODY))
    made.policy("{count: 1}")
    with made.by(CI):
        made.publish(ORDERS)
    return made


def test_nothing_is_published_until_enough_people_approved(office: Office) -> None:
    office.policy("{count: 2, roles: [release-manager, data-owner]}")
    plan_id = office.plan()
    with pytest.raises(
        SlipwayError,
        match=rf"Plan {plan_id} is not approved: 2 people with the role release-manager or data-owner must approve, and nobody did",
    ):
        office.carry_out(plan_id)
    assert office.approve(plan_id, ADA)
    with pytest.raises(SlipwayError, match=r"must approve, and [Aa]da@[Ee]xample\.org did"):
        office.carry_out(plan_id)
    assert office.shown() == {}
    # again, and with another key of the same person
    assert not office.approve(plan_id, ADA)
    assert office.approve(plan_id, ADA_TOKEN)
    with pytest.raises(SlipwayError, match=r"must approve, and [Aa]da@[Ee]xample\.org did"):
        office.carry_out(plan_id)
    assert office.approve(plan_id, BOB, "figures compared")
    assert office.explained(plan_id).judgement.missing == []
    number = office.carry_out(plan_id)
    assert office.shown().keys() == {"serving.orders"}
    record = read_promotion(office.records("prod"), number)
    assert record
    assert sorted(one.name for one in record.approvals) == ["ada-laptop", "ada-token", "bob"]
    assert ("approvals", True) in [(one.rule, one.met) for one in record.evidence]
    people = approved_by(office.environment("prod"), number).casefold()
    assert sorted(people.split(", ")) == ["ada@example.org", "bob@example.org"]
    assert office.explained(plan_id).release == number
    with pytest.raises(SlipwayError, match=f"the plan was carried out as release {number} of prod"):
        office.withdraw(plan_id, ADA)


@pytest.mark.parametrize(
    ("publishes", "plans", "promotes", "did"),
    [
        pytest.param(ADA_TOKEN, CI, CI, "published release 2 of staging", id="publisher"),
        pytest.param(CI, ADA_TOKEN, CI, "made the plan", id="planner"),
        pytest.param(CI, CI, ADA_TOKEN, "promotes it", id="promoter"),
    ],
)
def test_an_author_does_not_count(
    office: Office, publishes: MadeKey, plans: MadeKey, promotes: MadeKey, did: str
) -> None:
    with office.by(publishes):
        office.publish(ORDERS)
    plan_id = office.plan(plans)
    if promotes is CI:
        with pytest.raises(SlipwayError, match=rf"ada@example.org cannot approve plan .*: Ada@.* {did}"):
            office.approve(plan_id, ADA)
        office.approve(plan_id, BOB)
        office.carry_out(plan_id, promotes)
    else:
        office.approve(plan_id, ADA)
        with pytest.raises(SlipwayError, match=f"that of ada-laptop does not count: ada@example.org {did}"):
            office.carry_out(plan_id, promotes)
        office.carry_out(plan_id)


@pytest.mark.parametrize(
    ("publishes", "plans", "promotes", "message"),
    [
        pytest.param(None, CI, CI, "who published release 2 of staging: it is not signed", id="publisher"),
        pytest.param(CI, None, CI, "who made the plan: it is not signed", id="planner"),
        pytest.param(CI, CI, None, "who promotes it: SLIPWAY_SIGNING_KEY is none", id="promoter"),
        pytest.param(
            CI, CI, MadeKey("x"), "who promotes it: keys.yml does not have the key", id="unknown-promoter"
        ),
        pytest.param(
            MadeKey("y"),
            CI,
            CI,
            "who published release 2 of staging: it is signed with a key that keys.yml does not have",
            id="unknown-publisher",
        ),
    ],
)
def test_without_knowing_the_authors_nothing_is_published(
    office: Office,
    publishes: MadeKey | None,
    plans: MadeKey | None,
    promotes: MadeKey | None,
    message: str,
) -> None:
    with office.by(publishes):
        office.publish(ORDERS)
    plan_id = office.plan(plans)
    office.approve(plan_id, ADA)
    with pytest.raises(SlipwayError, match=f"it is not known {message}"):
        office.carry_out(plan_id, promotes)
    assert office.shown() == {}


def test_a_key_that_is_revoked_later_does_not_count(office: Office) -> None:
    plan_id = office.plan()
    office.approve(plan_id, BOB)
    revoked = MadeKey("bob", BOB.owner, BOB.roles, {"revoked": "2026-05-04"}, BOB.key)
    office.write("keys.yml", keys_yml(CI, ADA, revoked))
    with pytest.raises(SlipwayError, match="it is signed by bob: it was revoked on 2026-05-04"):
        office.carry_out(plan_id)
    # one that goes between looking and publishing does not, either
    office.write("keys.yml", keys_yml(*EVERYBODY))
    with office.by(CI):
        proposal = planning.again(office.project, "prod", plan_id)
        copy = promote._copy

        def revoke_meanwhile(*given: object) -> object:
            office.write("keys.yml", keys_yml(CI, ADA, revoked))
            return copy(*given)  # type: ignore[arg-type]

        office.monkeypatch.setattr(promote, "_copy", revoke_meanwhile)
        with pytest.raises(SlipwayError, match="it was revoked"):
            carry_out(proposal, "", lambda _: None)
    assert office.shown() == {}


def test_a_withdrawn_approval_does_not_count(office: Office) -> None:
    plan_id = office.plan()
    with pytest.raises(NotFoundError, match="bob has not approved plan"):
        office.withdraw(plan_id, BOB)
    office.approve(plan_id, BOB)
    assert office.withdraw(plan_id, BOB)
    assert not office.withdraw(plan_id, BOB)
    assert office.why(plan_id)["bob"].startswith("it was withdrawn at 20")
    with pytest.raises(SlipwayError, match="that of bob does not count: it was withdrawn"):
        office.carry_out(plan_id)
    with pytest.raises(SlipwayError, match="the approval by this key was withdrawn"):
        office.approve(plan_id, BOB)
    # a withdrawal that is damaged is one
    (path,) = (office.files(plan_id) / "withdrawals").iterdir()
    path.write_bytes(path.read_bytes()[:-9])
    assert "its withdrawal cannot be verified" in office.why(plan_id)["bob"]


def test_an_approval_is_of_one_plan_as_it_was(office: Office) -> None:
    office.policy("{count: 2}")
    yesterday = office.plan()
    office.approve(yesterday, BOB)
    today = office.plan()
    assert office.explained(today).judgement.approvals == []
    with pytest.raises(SlipwayError, match=f"approvals of plan {yesterday} are not of this one"):
        office.carry_out(today)
    # copied next to another plan
    shutil.copytree(office.files(yesterday) / "approvals", office.files(today) / "approvals")
    assert office.why(today) == {"bob": f"it is of plan-{yesterday}, and not of this plan"}
    # under the name of another key
    (path,) = (office.files(yesterday) / "approvals").iterdir()
    stolen = path.with_name(f"{'0' * 64}.intoto.jsonl")
    shutil.copy(path, stolen)
    assert office.why(yesterday) == {
        "key 000000000000": "it is not signed with the key that its name tells",
        "bob": "",
    }
    # the plan is another one than was approved
    record = office.files(yesterday).with_suffix(".json")
    record.write_text(record.read_text(encoding="utf-8").replace('"who"', ' "who"', 1), encoding="utf-8")
    assert office.why(yesterday)["bob"] == "the plan is not what was signed"


def test_every_changed_byte_of_an_approval_is_found(office: Office) -> None:
    plan_id = office.plan()
    office.approve(plan_id, BOB)
    (path,) = (office.files(plan_id) / "approvals").iterdir()
    content = path.read_bytes()
    for at in range(0, len(content), max(1, len(content) // 25)):
        changed = bytearray(content)
        changed[at] ^= 1
        path.write_bytes(bytes(changed))
        judged = office.explained(plan_id).judgement
        assert judged.missing, at
        assert judged.approvals[0].is_broken, at
    with office.by(BOB), pytest.raises(DamagedError, match=r"The approval of plan .* by bob does not count"):
        give(*check_approver(office.project, "prod", plan_id), "")
    path.write_bytes(content)
    office.carry_out(plan_id)


def test_a_plan_that_is_void_or_too_old_is_not_approved(office: Office) -> None:
    plan_id = office.plan()
    with pytest.raises(NotFoundError, match="There is no plan 1999 in prod"):
        office.approve("1999", BOB)
    office.policy("{count: 1, plan_max_age: 0h}")
    plan_of_today = office.plan()
    with pytest.raises(ConflictError, match=f"Plan {plan_of_today} has expired: it was made at"):
        office.approve(plan_of_today, BOB)
    with pytest.raises(ConflictError, match=f"Plan {plan_id} is void: promotion.yml has changed"):
        office.approve(plan_id, BOB)
    assert office.explained(plan_id).void == "promotion.yml has changed"


def test_an_approved_plan_of_days_ago_is_not_carried_out(office: Office) -> None:
    class DaysAgo(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> DaysAgo:
            return super().now(tz) - timedelta(days=3)

    office.policy("{count: 1, plan_max_age: 2d}")
    with office.monkeypatch.context() as patched:
        patched.setattr(planning, "datetime", DaysAgo)
        plan_id = office.plan()
        office.approve(plan_id, BOB)
        assert office.explained(plan_id).void == ""
    with pytest.raises(ConflictError, match=f"Plan {plan_id} has expired: it was made at .* allows 2 days"):
        office.carry_out(plan_id)
    assert "and promotion.yml allows 2 days" in office.explained(plan_id).void


def test_what_is_signed_is_what_was_shown(office: Office) -> None:
    with office.by(CI):
        office.publish(ORDERS)
    plan_id = office.plan()
    path = office.folder / f"prod/_slipway/plans/{plan_id}.json"
    with office.by(BOB):
        given = check_approver(office.project, "prod", plan_id)
        record = path.read_text(encoding="utf-8")
        path.write_text(record.replace('"source_release": 2', '"source_release": 1'), encoding="utf-8")
        with pytest.raises(ConflictError, match=f"Plan {plan_id} was not approved: its record is not what"):
            give(*given, "")
    assert not (office.files(plan_id) / "approvals").exists()


def test_no_copy_takes_the_place_of_a_damaged_plan(office: Office) -> None:
    """Approvals are of the record's bytes; a copy next to it could be exchanged after they were given."""
    plan_id = office.plan()
    path = office.folder / f"prod/_slipway/plans/{plan_id}.json"
    path.with_name(f"{path.name}.repaired").write_bytes(path.read_bytes())
    path.write_text("{}", encoding="utf-8")
    for use in (office.explained, lambda plan_id: office.approve(plan_id, BOB), office.carry_out):
        with pytest.raises(DamagedError, match=rf"{plan_id}\.json cannot be used: .* Make a new plan"):
            use(plan_id)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        pytest.param(None, "Nothing can be approved without a key: SLIPWAY_SIGNING_KEY is none", id="none"),
        pytest.param(
            MadeKey("stranger"),
            "Only a person can approve a plan: keys.yml does not have the key",
            id="unknown",
        ),
        pytest.param(CI, "keys.yml names no owner of the key ci", id="nobody"),
    ],
)
def test_only_a_named_person_approves(office: Office, key: MadeKey | None, message: str) -> None:
    plan_id = office.plan()
    with pytest.raises(ConfigError, match=message):
        office.approve(plan_id, key)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        pytest.param({"revoked": "2026-05-04"}, "it was revoked on 2026-05-04", id="revoked"),
        pytest.param(
            {"targets": ["staging"]}, "keys.yml allows it in staging, not in prod", id="another-target"
        ),
    ],
)
def test_a_key_that_does_not_count_in_the_target_approves_nothing(
    office: Office, more: dict[str, object], message: str
) -> None:
    plan_id = office.plan()
    office.write("keys.yml", keys_yml(CI, ADA, MadeKey("bob", BOB.owner, BOB.roles, more, BOB.key)))
    with pytest.raises(ConfigError, match=f"Nothing can be signed by bob: {message}"):
        office.approve(plan_id, BOB)


def test_a_person_without_the_role_is_refused_with_the_reason(office: Office) -> None:
    office.policy("{count: 1, roles: [data-owner]}")
    plan_id = office.plan()
    with pytest.raises(
        SlipwayError, match="it needs the role data-owner, and ada-laptop has release-manager"
    ):
        office.approve(plan_id, ADA)


def test_more_people_than_there_are_cannot_be_demanded(office: Office) -> None:
    office.policy("{count: 3, roles: [release-manager, data-owner]}")
    with pytest.raises(
        ConfigError,
        match=r"promotion.yml demands for prod that 3 people with the role .* approve: keys.yml names .*bob@",
    ):
        office.plan()
    office.policy("{count: 1, roles: [boss]}")
    with pytest.raises(ConfigError, match=r"keys\.yml names nobody who could"):
        office.plan()


def test_what_is_not_known_to_be_public_needs_the_approvals_of_every_classification(office: Office) -> None:
    """There is no commit here that would say how the data is classified."""
    office.policy("{count: 1, classified: {restricted: {count: 1, roles: [data-owner]}}}")
    plan_id = office.plan()
    office.approve(plan_id, EVE)
    assert office.explained(plan_id).judgement.missing == [
        "1 person with the role data-owner for restricted data must approve, and nobody did"
    ]
    office.approve(plan_id, BOB)
    office.carry_out(plan_id)


def test_two_approve_at_once(office: Office) -> None:
    office.policy("{count: 2}")
    plan_id = office.plan()
    given = []
    for key in (ADA, BOB, ADA, BOB):
        with office.by(key):
            given.append(check_approver(office.project, "prod", plan_id))
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda one: give(one[0], one[1], ""), given))
    assert sorted(made) == [False, False, True, True]
    office.carry_out(plan_id)


def test_a_plan_without_demands_needs_no_approval(office: Office) -> None:
    office.write("promotion.yml", "environments: {prod: {from: [staging]}}")
    plan_id = office.plan(None)
    with pytest.raises(SlipwayError, match=f"Plan {plan_id} needs no approval"):
        office.approve(plan_id, BOB)
    number = office.carry_out(plan_id, None)
    assert approved_by(office.environment("prod"), number) == ""


# ---------------------------------------------------------------------------------------------- afterwards


@pytest.fixture
def promoted(office: Office) -> Office:
    """A promotion that Bob approved, of a commit of which a canary is recorded."""
    canary = CodeComparison(
        comparison_id="20260503T000000Z-1",
        made_at=datetime.now(UTC),
        who="ada",
        commit=str(COMMIT.commit),
        base="b" * 40,
        passed=True,
        covers="everything",
        verdicts={"serving.orders": "identical"},
    )
    keep_comparison(office.records("staging"), canary)
    plan_id = office.plan()
    office.approve(plan_id, BOB)
    office.carry_out(plan_id)
    return office


def links(office: Office) -> dict[str, tuple[str, str]]:
    """State and note of what a verification says of the approvals and the evidence of release 1."""
    found = verify(office.project, "prod", "1").links
    return {
        link.kind: (link.state, link.note)
        for link in found
        if link.kind in (Kind.APPROVALS, Kind.EVIDENCE, Kind.SIGNATURE)
    }


def test_a_verification_summary_is_signed(promoted: Office) -> None:
    bundle = bundle_of(promoted.records("prod"), 1)
    assert bundle
    kinds = [one.predicate_type for one in bundle]
    assert kinds == [PROVENANCE, "https://slsa.dev/verification_summary/v1", COMPARISON]
    said = bundle[1].predicate
    policy = (promoted.project / "promotion.yml").read_bytes()
    assert said["policy"]["digest"] == {"sha256": hashlib.sha256(policy).hexdigest()}
    assert said["verificationResult"] == "PASSED"
    assert said["resourceUri"] == "urn:slipway:release:prod:1"
    assert "Bob" not in str(said["verifiedLevels"])
    assert {one["rule"] for one in said["urn:slipway:evidence:v1"]} >= {"records", "approvals"}
    root = promoted.folder / "prod/_slipway"
    inputs = {one["uri"]: one["digest"]["sha256"] for one in said["inputAttestations"]}
    folder = "promotions/000001"
    assert inputs.keys() == {
        f"{folder}/approvals/{BOB.keyid}.intoto.jsonl",
        f"{folder}/plan.intoto.jsonl",
        f"{folder}/released.intoto.jsonl",
    }
    for uri, sha256 in inputs.items():
        assert hashlib.sha256((root / uri).read_bytes()).hexdigest() == sha256
    (listed,) = bundle[2].predicate["comparisons"]
    assert (listed["commit"], listed["passed"]) == (COMMIT.commit, True)
    assert listed["verdicts"] == {"serving.orders": "identical"}
    byproducts = {one["name"] for one in bundle[0].predicate["runDetails"]["byproducts"]}
    assert byproducts >= {"promotion.json", "plan.json", f"comparisons/{COMMIT.commit}.json"}


def test_approvals_and_evidence_are_verified(promoted: Office) -> None:
    found = links(promoted)
    assert {state for state, _ in found.values()} == {"verified"}
    assert found["approvals"] == ("verified", "by bob@example.org")
    assert found["evidence"][1].startswith("3 findings, all met, by promotion.yml")


@pytest.mark.parametrize(
    ("name", "approvals"),
    [
        pytest.param("approvals/*", "broken", id="approval"),
        pytest.param("released.intoto.jsonl", "missing", id="release"),
        pytest.param("plan.intoto.jsonl", "missing", id="who-planned"),
        pytest.param("comparisons/*", "verified", id="comparison"),
    ],
)
def test_a_changed_byte_of_the_evidence_is_found(promoted: Office, name: str, approvals: str) -> None:
    (path,) = (promoted.folder / "prod/_slipway/promotions/000001").glob(name)
    content = path.read_bytes()
    for at in range(0, len(content), max(1, len(content) // 5)):
        changed = bytearray(content)
        changed[at] ^= 1
        path.write_bytes(bytes(changed))
        found = links(promoted)
        assert found["evidence"][0] == "broken", at
        assert found["approvals"][0] == approvals, at
    path.unlink()
    found = links(promoted)
    assert found["evidence"] == (
        "broken",
        f"promotions/000001/{path.relative_to(path.parents[1 if '/' in name else 0])} is not there",
    )
    assert found["approvals"][0] == ("verified" if approvals == "verified" else "missing")


def test_an_approval_by_a_key_that_was_revoked_since_is_broken(promoted: Office) -> None:
    revoked = MadeKey("bob", BOB.owner, BOB.roles, {"revoked": "2026-05-04"}, BOB.key)
    promoted.write("keys.yml", keys_yml(CI, ADA, revoked))
    state, note = links(promoted)["approvals"]
    assert state == "broken"
    assert "that of bob: it is signed by bob: it was revoked on 2026-05-04" in note
    assert approved_by(promoted.environment("prod"), 1).startswith("broken: 1 person must approve")
    # of a key that is not named any more nothing is known
    promoted.write("keys.yml", keys_yml(CI, ADA))
    assert links(promoted)["approvals"][0] == "missing"


def test_an_approval_that_is_given_afterwards_does_not_count(promoted: Office) -> None:
    root = promoted.folder / "prod/_slipway/promotions/000001/approvals"
    content = (root / f"{BOB.keyid}.intoto.jsonl").read_bytes()
    (root / f"{BOB.keyid}.intoto.jsonl").unlink()
    (root / f"{ADA.keyid}.intoto.jsonl").write_bytes(content)
    state, note = links(promoted)["approvals"]
    assert state == "broken"
    assert "it is not signed with the key that its name tells" in note


def test_a_promotion_without_a_summary_is_not_verified(promoted: Office) -> None:
    """As an earlier version signed it."""
    path = promoted.folder / "prod/_slipway/releases/000001.intoto.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    state, note = links(promoted)["evidence"]
    assert state == "missing"
    assert "without a verification summary" in note
    path.unlink()
    found = links(promoted)
    assert found["signature"][0] == found["evidence"][0] == "missing"


def test_old_plans_are_removed_and_what_was_carried_out_stays_verified(promoted: Office) -> None:
    (carried_out,) = [path.stem for path in promoted.files("").glob("*.json")]
    with promoted.by(CI):
        promoted.publish({**ORDERS, "sql": "select 9 as id"})
    waiting = promoted.plan()
    promoted.approve(waiting, BOB)
    time.sleep(1.1)  # ids have the second
    newest = promoted.plan()
    environment = promoted.environment("prod")

    def maintained(days: int) -> None:
        later = datetime.now(UTC) + timedelta(days=days)
        maintain(propose_in(environment, {}, {}, (), timedelta(days=3), later, dry_run=False), lambda _: None)

    maintained(80)
    assert {path.stem for path in promoted.files("").glob("*.json")} == {carried_out, waiting, newest}
    # one that an earlier version carried out has no copy
    copy = promoted.folder / "prod/_slipway/promotions/000001/plan.json"
    copy.rename(copy.with_suffix(".away"))
    maintained(100)
    assert {path.stem for path in promoted.files("").glob("*.json")} == {carried_out, newest}
    copy.with_suffix(".away").rename(copy)
    maintained(100)
    assert {path.name for path in promoted.files("").iterdir()} == {newest, f"{newest}.json"}
    assert {state for state, _ in links(promoted).values()} == {"verified"}
    promoted.approve(newest, BOB)
    promoted.carry_out(newest)
