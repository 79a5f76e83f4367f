"""What is signed of releases: their statements, their records, and why those that came from another environment were promoted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

from slipway.counts import plural
from slipway.errors import DamagedError
from slipway.records.promotion_records import Promotion
from slipway.records.record_files import REPAIRED, find_record
from slipway.records.release_records import Release
from slipway.records.store import PROMOTIONS, Records
from slipway.releases.approvals import promotion_judgement
from slipway.releases.signatures import bundle_of
from slipway.secrets import hide_in
from slipway.signing.envelopes import SignedStatement
from slipway.signing.signing_keys import Trust
from slipway.signing.statements import (
    PROVENANCE,
    SUMMARY,
    TEST_RESULT,
    judged,
    release_key,
    release_name,
)
from slipway.verification.links import Findings, Kind, State, first_of

Bundle = Mapping[str, SignedStatement]
"""Statements about a release whose signatures count, by kind; empty where there are none."""


class SignedReleases:
    """The releases of an environment, and what of their signed statements holds.

    Args:
        records: of the environment.
        trust: whose signatures count.
        findings: get what was found.
    """

    def __init__(self, records: Records, trust: Trust, findings: Findings) -> None:
        self._records, self._trust, self._findings = records, trust, findings
        self._bundles: dict[int, Bundle] = {}

    @cached_property
    def releases(self) -> list[Release]:
        """Releases whose records can be read, oldest first; the others are broken links."""
        found, damaged = self._records.readable_releases()
        for number, error in damaged.items():
            self._findings.add(Kind.RECORD, f"release {number}", State.BROKEN, error.why)
        return found

    def bundle(self, release: Release) -> Bundle:
        """The statements about a release that count; what is wrong with them becomes links, once."""
        if release.number not in self._bundles:
            self._bundles[release.number] = self._checked(release)
        return self._bundles[release.number]

    def quietly(self, release: Release) -> Bundle:
        """The statements about a release that is only searched: what is wrong with it says nothing of the table."""
        if release.number in self._bundles:
            return self._bundles[release.number]
        before = list(self._findings.links)
        found = self._checked(release)
        if not found:
            self._findings.links = before
        return found

    def _checked(self, release: Release) -> Bundle:
        what = f"release {release.number}"
        try:
            bundle = bundle_of(self._records, release.number)
        except DamagedError as error:
            self._findings.add(Kind.SIGNATURE, what, State.BROKEN, error.why)
            return {}
        if not bundle:
            why = "it is not signed"
            if release.signing_key:
                why += ": its process ended before that; slipway doctor --fix signs it"
            self._findings.add(Kind.SIGNATURE, what, State.MISSING, why)
            return {}
        for one in bundle:
            if why := (verdict := one.verify(self._trust)).why_not:
                self._findings.add(
                    Kind.SIGNATURE, what, State.BROKEN if verdict.is_broken else State.MISSING, why
                )
                return {}
        found = {one.predicate_type: one for one in bundle}
        if why := _misplaced(release, found):
            self._findings.add(Kind.SIGNATURE, what, State.BROKEN, why)
            return {}
        self._findings.add(Kind.SIGNATURE, what, State.VERIFIED, _signers(bundle, self._trust))
        self._record(release, found)
        return found

    def _record(self, release: Release, bundle: Bundle) -> None:
        what = f"release {release.number}"
        for one in bundle.values():
            wanted = sha256_of(one.subjects[release_name(release.number)])
            if why := self.differs(release_key(release.number), wanted):
                self._findings.add(Kind.RECORD, what, State.BROKEN, why)
                return
        self._findings.add(Kind.RECORD, what, State.VERIFIED)
        if before := release.previous:
            why = self.differs(release_key(before.number), before.sha256)
            state = State.BROKEN if why else State.VERIFIED
            self._findings.add(Kind.BEFORE, f"release {before.number}", state, why)

    def differs(self, key: str, sha256: str) -> str:
        """Why an object is not what was signed; a good copy next to it counts for it."""
        found = []
        for name in (key, key + REPAIRED):
            with suppress(FileNotFoundError):
                found.append(hashlib.sha256(self._records.store.read(name)).hexdigest())
        if sha256 in found:
            return ""
        return f"{key} is not what was signed" if found else f"{key} is not there"

    def evidence(self, release: Release) -> None:
        """What a promotion was allowed for: the records that it kept, the summary that was signed, and the approvals."""
        what = f"release {release.number}"
        if release.promoted is None or not self._findings.is_new("evidence", what):
            return
        if not (bundle := self.bundle(release)):
            self._findings.add(Kind.EVIDENCE, what, State.MISSING, "no signature that counts")
            return
        signed = signed_records(bundle[PROVENANCE])
        if whys := [why for key, sha256 in signed.items() if (why := self.differs(key, sha256))]:
            self._findings.add(Kind.EVIDENCE, what, State.BROKEN, first_of(whys))
        try:
            promotion = find_record(
                self._records.store,
                Promotion,
                f"{PROMOTIONS}/{release.number:06d}/promotion.json",
                number=release.number,
            )
            if promotion is None:
                self._findings.add(
                    Kind.EVIDENCE, what, State.MISSING, "nothing was recorded of the promotion"
                )
                return
            if not whys:
                self._summary(what, promotion, bundle.get(SUMMARY))
            self._approvals(what, promotion)
        except DamagedError as error:
            self._findings.add(Kind.EVIDENCE, what, State.BROKEN, error.why)

    def _summary(self, what: str, promotion: Promotion, summary: SignedStatement | None) -> None:
        """Whether the verification summary says of a promotion what was recorded of it, and that it passed."""
        if summary is None:
            why = "it was promoted without a verification summary, by an earlier version of slipway"
            self._findings.add(Kind.EVIDENCE, what, State.MISSING, why)
            return
        said, wanted = summary.predicate, judged(promotion)
        same = {name: said.get(name) for name in wanted} == hide_in(wanted)
        if not same or said.get("policy", {}).get("digest") != {"sha256": promotion.policy_sha256}:
            why = "the verification summary says something else than what was recorded"
            self._findings.add(Kind.EVIDENCE, what, State.BROKEN, why)
        elif said["verificationResult"] != "PASSED":
            self._findings.add(Kind.EVIDENCE, what, State.BROKEN, "the policy was not met")
        else:
            by = f"promotion.yml with SHA-256 {promotion.policy_sha256[:12]}"
            note = f"{plural(len(promotion.evidence), 'finding')}, all met, by {by}"
            self._findings.add(Kind.EVIDENCE, what, State.VERIFIED, note)

    def _approvals(self, what: str, promotion: Promotion) -> None:
        """Whether enough people approved a promotion, by the keys that count now."""
        if not promotion.demands:
            return
        found = promotion_judgement(self._records, promotion, self._trust)
        if not found.missing:
            self._findings.add(Kind.APPROVALS, what, State.VERIFIED, f"by {', '.join(found.people)}")
            return
        not_counting = [f"that of {one.name}: {one.why_not}" for one in found.approvals if not one.counts]
        is_broken = any(one.is_broken for one in found.approvals)
        state = State.BROKEN if is_broken else State.MISSING
        self._findings.add(Kind.APPROVALS, what, state, first_of([*found.missing, *not_counting]))


def signed_records(provenance: SignedStatement) -> dict[str, str]:
    """Keys of the records that a provenance covers, to the SHA-256 of their bytes."""
    details: Mapping[str, Any] = provenance.predicate["runDetails"]
    return {item["uri"]: sha256_of(item) for item in details["byproducts"]}


def sha256_of(described: Mapping[str, object]) -> str:
    """The SHA-256 of a subject or dependency; empty where it has none."""
    digest = described.get("digest")
    return str(digest.get("sha256", "")) if isinstance(digest, dict) else ""


def _misplaced(release: Release, bundle: Bundle) -> str:
    """Why statements are not those about a release; empty where they are."""
    wanted = {PROVENANCE, TEST_RESULT} if release.by_run else {PROVENANCE}
    if lacking := wanted - bundle.keys():
        return f"there is no statement of the kind {min(lacking)}"
    if any(release_name(release.number) not in one.subjects for one in bundle.values()):
        return "it is about another release"
    return ""


def _signers(bundle: Sequence[SignedStatement], trust: Trust) -> str:
    names = dict.fromkeys(key.name for one in bundle for key in one.verify(trust).signed_by)
    parameters = bundle[0].predicate.get("buildDefinition", {}).get("internalParameters", {})
    late = ", afterwards" if parameters.get("signed") == "afterwards" else ""
    return f"by {', '.join(names)}{late}"
