"""Approvals of plans as files: one DSSE envelope for each key, next to the plan, and next to the promotion that carried it out.

Each holds an in-toto statement about the record of the plan, so it is of no other plan, and of no plan that was changed. The plan is signed by whoever made it in
the same way. Nothing is ever written over: an approval is withdrawn by a second file.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from slipway.environments.environment import Environment
from slipway.errors import ConfigError, ConflictError, DamagedError, ForeignError
from slipway.records.promotion_records import Promotion, PromotionPlan, Rests
from slipway.records.record_files import find_record, parse_record
from slipway.records.store import PROMOTIONS, Records
from slipway.secrets import hide
from slipway.signing.approval_rules import Approval, Author, Judgement, judge
from slipway.signing.envelopes import SignedStatement, read_bundle, sign
from slipway.signing.signing_keys import KEYS_FILE, Signing, Trust, trust_of
from slipway.signing.statements import BUNDLE, STATEMENT_TYPE, release_key, release_name

PLANS = "plans"
"""Folder of the plans."""
APPROVAL, WITHDRAWAL, MADE = (
    "urn:slipway:approval:v1",
    "urn:slipway:approval-withdrawal:v1",
    "urn:slipway:plan:v1",
)
"""Kinds of statements about a plan: that somebody approves it, does not any more, or made it."""
_APPROVALS, _WITHDRAWALS, _MADE = "approvals", "withdrawals", f"plan{BUNDLE}"
RELEASED = f"released{BUNDLE}"
"""Name of the signed statements about the release that was promoted, among what a promotion keeps."""
_COPIED_PLAN = "plan.json"


@dataclass(frozen=True)
class PlanFiles:
    """Where a plan and what is signed of it are: in ``plans`` until it is carried out, and copied to the promotion that did.

    Args:
        records: of the target.
        plan_id: of the plan.
        promotion: number of the promotion that carried it out; None for the plan itself.
    """

    records: Records
    plan_id: str
    promotion: int | None = None

    @property
    def folder(self) -> str:
        """Below the records' root."""
        if self.promotion is None:
            return f"{PLANS}/{self.plan_id}"
        return f"{PROMOTIONS}/{self.promotion:06d}"

    @property
    def plan_key(self) -> str:
        """Key of the plan's record."""
        return plan_key(self.plan_id) if self.promotion is None else f"{self.folder}/{_COPIED_PLAN}"

    def sha256(self) -> str:
        """SHA-256 of the plan's record; empty where there is none."""
        with suppress(FileNotFoundError):
            return hashlib.sha256(self.records.store.read(self.plan_key)).hexdigest()
        return ""

    def plan(self) -> tuple[PromotionPlan, str]:
        """The plan, and the SHA-256 of the very bytes that it was read from.

        What is signed has to be what is used, so no copy takes the place of a damaged record.

        Raises:
            FileNotFoundError: it is not there.
            DamagedError: it cannot be read.
        """
        content, name = self.records.store.read(self.plan_key), f"{self.records.store.root}/{self.plan_key}"
        try:
            found = parse_record(PromotionPlan, content, name, plan_id=self.plan_id)
        except ForeignError:
            raise
        except DamagedError as error:
            raise DamagedError(f"{name} cannot be used", error.why, "Make a new plan") from None
        return found, hashlib.sha256(content).hexdigest()

    # ------------------------------------------------------------------------------------------ written

    def sign_plan(self, plan: PromotionPlan, signing: Signing) -> None:
        """Sign who made a plan; without a key nothing is signed."""
        if signing.signer is not None:
            content = sign([_statement(MADE, plan, self.sha256())], signing.signer)
            self.records.store.create(f"{self.folder}/{_MADE}", content)

    def approve(self, shown: Rests, signing: Signing, reason: str) -> bool:
        """Sign the plan as approved.

        Args:
            shown: what whoever approves has looked at.
            signing: their key.
            reason: why.

        Returns:
            False if this key has approved it already.

        Raises:
            ConflictError: the plan rests on something else by now.
            DamagedError: the plan cannot be read.
            UnavailableError: the key or the store cannot be used.
        """
        plan, sha256 = self.plan()
        if plan.rests_on != shown:
            raise ConflictError(
                f"Plan {self.plan_id} was not approved",
                "its record is not what was shown: somebody has changed it meanwhile",
                "Find out who, and make a new plan",
            )
        return self._create(_APPROVALS, APPROVAL, plan, sha256, signing, reason)

    def withdraw(self, plan: PromotionPlan, signing: Signing, reason: str) -> bool:
        """Withdraw the approval by the same key; returns False if it is withdrawn already."""
        return self._create(_WITHDRAWALS, WITHDRAWAL, plan, self.sha256(), signing, reason)

    def has(self, key: str, *, withdrawn: bool = False) -> bool:
        """Whether there is an approval by a key, or its withdrawal."""
        return self.records.has(self._key(_WITHDRAWALS if withdrawn else _APPROVALS, key))

    def _create(
        self, folder: str, kind: str, plan: PromotionPlan, sha256: str, signing: Signing, reason: str
    ) -> bool:
        assert signing.signer is not None
        content = sign([_statement(kind, plan, sha256, reason)], signing.signer)
        try:
            self.records.store.create(self._key(folder, signing.signer.public_key.keyid), content)
        except FileExistsError:
            return False
        return True

    def _key(self, folder: str, key: str) -> str:
        return f"{self.folder}/{folder}/{key}{BUNDLE}"

    def contents(self, plan: PromotionPlan) -> dict[str, bytes]:
        """The plan and all that is signed of it, as a promotion keeps it: by name below its folder."""
        store, own = self.records.store, f"{self.folder}/"
        found = {_COPIED_PLAN: plan.model_dump_json(indent=1).encode()}
        with suppress(FileNotFoundError):  # one that was carried out without being recorded
            found[_COPIED_PLAN] = store.read(self.plan_key)
        return found | {
            item.key.removeprefix(own): store.read(item.key) for item in store.entries(self.folder)
        }

    # ------------------------------------------------------------------------------------------ read

    def approvals(self, trust: Trust) -> list[Approval]:
        """All approvals that there are, with the reason why a signature does not count."""
        folder, sha256 = f"{self.folder}/{_APPROVALS}", self.sha256()
        return [
            self._approval(item.key, item.key.rpartition("/")[2].removesuffix(BUNDLE), sha256, trust)
            for item in self.records.store.entries(folder)
            if item.key.endswith(BUNDLE)
        ]

    def _approval(self, file: str, key: str, sha256: str, trust: Trust) -> Approval:
        known = trust.keys.get(key)
        name = trust.named(key)
        owner, roles = (known.owner, known.roles) if known else ("", frozenset())
        found, why, is_broken = self._one(file, APPROVAL, key, sha256, trust)
        at = str(found.predicate.get("signed_at", "")) if found else ""
        if not why and (why := self._withdrawn(key, sha256, trust)):
            is_broken = False
        return Approval(key, name, owner, roles, at, why, is_broken)

    def _withdrawn(self, key: str, sha256: str, trust: Trust) -> str:
        """Why a withdrawal keeps an approval from counting; one that cannot be verified does, too."""
        file = self._key(_WITHDRAWALS, key)
        if not self.records.has(file):
            return ""
        found, why, _ = self._one(file, WITHDRAWAL, key, sha256, trust)
        at = str(found.predicate.get("signed_at", ""))[:16].replace("T", " ") if found else ""
        return f"its withdrawal cannot be verified: {why}" if why else f"it was withdrawn at {at} UTC"

    def _one(
        self, file: str, kind: str, key: str, sha256: str, trust: Trust
    ) -> tuple[SignedStatement | None, str, bool]:
        """A statement of a file, why it does not count, and whether something is wrong with it."""
        try:
            bundle = read_bundle(self.records.store.read(file), file)
        except (DamagedError, FileNotFoundError) as error:
            return None, error.why if isinstance(error, DamagedError) else "it is gone", True
        if len(bundle) != 1 or bundle[0].key_ids != [key]:
            return None, "it is not signed with the key that its name tells", True
        one = bundle[0]
        if why := (verdict := one.verify(trust)).why_not:
            return one, why, verdict.is_broken
        return one, (why := _why_of_other(one, kind, self.plan_id, sha256)), bool(why)

    def authors(self, rests: Rests, trust: Trust, released: bytes | None) -> list[Author]:
        """Who published the release, and who made the plan.

        Args:
            rests: what the plan rests on.
            trust: the keys that are known.
            released: the signed statements about the release, None where it is not signed.
        """
        number, source = rests.source_release, rests.source
        did = f"published release {number} of {source}"
        published = author_of(
            released, did, release_name(number), rests.source_sha256, trust, release_key(number)
        )
        try:
            made: bytes | None = self.records.store.read(f"{self.folder}/{_MADE}")
        except FileNotFoundError:
            made = None
        planned = author_of(made, "made the plan", _plan_name(self.plan_id), self.sha256(), trust, "the plan")
        return [published, planned]


def plan_key(plan_id: str) -> str:
    """The key of a plan's record."""
    return f"{PLANS}/{plan_id}.json"


def released_key(number: int) -> str:
    """The key of the statements that came with a promotion: those about the release of the other environment."""
    return f"{PROMOTIONS}/{number:06d}/{RELEASED}"


def author_of(content: bytes | None, did: str, name: str, sha256: str, trust: Trust, what: str) -> Author:
    """Who signed something, as far as that keeps a person from approving it.

    Args:
        content: the signed statements, None where there are none.
        did: what the author did.
        name: the subject that the statements have to be about.
        sha256: its digest.
        trust: the keys that are known; in which targets they count does not matter here.
        what: it, for messages.
    """
    if content is None:
        return Author(did, unknown="it is not signed")
    try:
        bundle = read_bundle(content, what)
    except DamagedError as error:
        return Author(did, unknown=error.why)
    signers = [key for one in bundle for key in one.known_signers(trust)]
    for one in bundle:
        subject = one.subjects.get(name)
        if subject is None or subject["digest"].get("sha256") != sha256:
            return Author(did, unknown="its signature is of something else")
        if why := one.forged(trust):
            return Author(did, unknown=why)
        if len(one.known_signers(trust)) < max(1, len(one.key_ids)):
            return Author(did, unknown=f"it is signed with a key that {KEYS_FILE} does not have")
    owner = next((key.owner for key in signers if key.owner), "")
    revoked = [key.name for key in signers if key.is_revoked]
    return Author(did, owner, f"the key {revoked[0]} was revoked" if revoked else "")


def promoter(signing: Signing, trust: Trust) -> Author:
    """Who is going to promote: the key that this process signs with."""
    did = "promotes it"
    if signing.signer is None:
        return Author(did, unknown=signing.why_not)
    key = trust.keys.get(signing.signer.public_key.keyid)
    if key is None:
        return Author(did, unknown=f"{KEYS_FILE} does not have the key that this process signs with")
    return Author(did, key.owner)


def promotion_judgement(records: Records, promotion: Promotion, trust: Trust) -> Judgement:
    """The approvals of a promotion, judged by the keys that count by now; one that did not count then does not either.

    Raises:
        DamagedError: the plan that was carried out cannot be read.
    """
    files = PlanFiles(records, promotion.plan_id, promotion.number)
    try:
        plan, _ = files.plan()
    except FileNotFoundError:
        return judge(promotion.demands, (), (Author("made the plan", unknown="it is not there"),))
    try:
        released: bytes | None = records.store.read(released_key(promotion.number))
    except FileNotFoundError:
        released = None
    then = {one.key: one.why_not for one in promotion.approvals}
    found = [
        replace(
            one, why_not=one.why_not or then.get(one.key, "it was not there when the plan was carried out")
        )
        for one in files.approvals(trust)
    ]
    return judge(promotion.demands, found, files.authors(plan.rests_on, trust, released))


def approved_by(environment: Environment, number: int) -> str:
    """Who approved a promotion, as a person reads it; empty where nobody had to, or why the approvals do not count."""
    records = Records(environment)
    try:
        promotion = find_record(
            records.store, Promotion, f"{PROMOTIONS}/{number:06d}/promotion.json", number=number
        )
        if promotion is None or not promotion.demands:
            return ""
        return approvers(promotion_judgement(records, promotion, trust_of(environment)))
    except (DamagedError, ConfigError) as error:
        return f"not verified: {error.line()}"


def approvers(found: Judgement) -> str:
    """The same of approvals that were judged."""
    if missing := found.missing:
        is_broken = any(one.is_broken for one in found.approvals)
        return f"{'broken' if is_broken else 'not verified'}: {'; '.join(missing)}"
    return ", ".join(found.people)


def _why_of_other(one: SignedStatement, kind: str, plan_id: str, sha256: str) -> str:
    """Why a statement is not of this kind and about this plan; empty where it is."""
    if one.predicate_type != kind:
        return "it is a statement of another kind"
    subject = one.subjects.get(_plan_name(plan_id))
    if subject is None or len(one.subjects) != 1:
        return f"it is of {', '.join(sorted(one.subjects)) or 'nothing'}, and not of this plan"
    return "" if subject["digest"].get("sha256") == sha256 else "the plan is not what was signed"


def _statement(kind: str, plan: PromotionPlan, sha256: str, reason: str = "") -> dict[str, Any]:
    rests = plan.rests_on
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {
                "name": _plan_name(plan.plan_id),
                "uri": plan_key(plan.plan_id),
                "digest": {"sha256": sha256},
            }
        ],
        "predicateType": kind,
        "predicate": {
            "signed_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "rests_on_sha256": rests.digest,
            "from": rests.source,
            "from_release": rests.source_release,
            "to": rests.target,
            **({"reason": hide(reason)} if reason else {}),
        },
    }


def _plan_name(plan_id: str) -> str:
    return f"plan-{plan_id}"
