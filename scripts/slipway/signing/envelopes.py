"""DSSE envelopes with in-toto statements, several to a file: one line of JSON each, as the in-toto attestation framework bundles them.

Sources: DSSE protocol 1.0.2 and its JSON envelope; in-toto Attestation Framework, "Bundle" and "Envelope". Unlike there, a line has one exact form: what
carries no meaning, such as unused bits of base64 or a further key, is no place for changes either.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipway.errors import DamagedError, UnavailableError, first_line
from slipway.secrets import hide
from slipway.signing.signers import load_signers
from slipway.signing.signing_keys import KEYS_FILE, KnownKey, Trust
from slipway.signing.statements import STATEMENT_TYPE

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import Signer

PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True)
class Verdict:
    """What a signature is worth.

    Args:
        signed_by: who signed, by keys that count.
        why_not: why it does not count; empty where it does.
        is_broken: something is wrong with it, and not only unknown.
    """

    signed_by: Sequence[KnownKey] = ()
    why_not: str = ""
    is_broken: bool = False


@dataclass(frozen=True)
class SignedStatement:
    """A statement, and the envelope that it is in."""

    statement: Mapping[str, Any]
    envelope: Envelope

    @property
    def predicate_type(self) -> str:
        """What kind of statement it is."""
        return str(self.statement["predicateType"])

    @property
    def predicate(self) -> Mapping[str, Any]:
        """What it says of its subjects."""
        found: Mapping[str, Any] = self.statement["predicate"]
        return found

    @property
    def subjects(self) -> dict[str, Mapping[str, Any]]:
        """What it is about, by name."""
        return {subject["name"]: subject for subject in self.statement["subject"]}

    @property
    def key_ids(self) -> list[str]:
        """Ids of the keys that it is signed with."""
        return list(self.envelope.signatures)

    def known_signers(self, trust: Trust) -> list[KnownKey]:
        """The keys that it is signed with and that are known, whether they count or not; their signatures are not checked."""
        return [trust.keys[keyid] for keyid in self.key_ids if keyid in trust.keys]

    def forged(self, trust: Trust) -> str:
        """Which signature does not fit what is signed, as a part of a sentence; empty where all by known keys do."""
        from securesystemslib.exceptions import UnverifiedSignatureError

        for one in self.known_signers(trust):
            try:
                one.key.verify_signature(self.envelope.signatures[one.key.keyid], self.envelope.pae())
            except UnverifiedSignatureError:
                return f"the signature by {one.name} does not fit what is signed"
        return ""

    def verify(self, trust: Trust) -> Verdict:
        """Check the signatures: each key that is known has to fit, and one of them has to count."""
        known = self.known_signers(trust)
        if why := self.forged(trust):
            return Verdict((), why, is_broken=True)
        if counting := [one for one in known if not one.refusal]:
            return Verdict(counting)
        for one in known:
            return Verdict((), f"it is signed by {one.name}: {one.refusal}", is_broken=one.is_revoked)
        ids = ", ".join(keyid[:12] for keyid in self.key_ids) or "none"
        return Verdict((), f"it is signed with a key that {KEYS_FILE} does not have ({ids})")


def sign(statements: Iterable[Mapping[str, Any]], signer: Signer) -> bytes:
    """A bundle: an envelope for each statement, one line each.

    Raises:
        UnavailableError: the key cannot be used.
    """
    load_signers()
    from securesystemslib.dsse import Envelope

    lines = []
    for statement in statements:
        payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
        envelope = Envelope(payload, PAYLOAD_TYPE, {})
        try:
            envelope.sign(signer)
        except Exception as error:  # whatever the client of a key service raises
            raise UnavailableError(
                "Nothing was signed", hide(first_line(error)), "Check the key and the service that keeps it"
            ) from error
        lines.append(_line(envelope))
    return b"".join(lines)


def read_bundle(content: bytes, name: str) -> list[SignedStatement]:
    """The statements of a bundle; their signatures are not checked yet.

    Raises:
        DamagedError: it is none, or not in the form in which it was written.
    """
    if not content.endswith(b"\n"):
        raise _damaged(name, "it ends too early")
    return [
        _read(line, f"{name}, line {number}")
        for number, line in enumerate(content.splitlines(keepends=True), 1)
    ]


def _read(line: bytes, name: str) -> SignedStatement:
    load_signers()
    from securesystemslib.dsse import Envelope

    try:
        envelope = Envelope.from_dict(json.loads(line))
        same = _line(envelope) == line
        statement = json.loads(envelope.payload)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(name, f"it is no envelope ({first_line(error)})") from None
    if not same:
        raise _damaged(name, "it does not have the form in which it was written")
    if envelope.payload_type != PAYLOAD_TYPE or not _is_statement(statement):
        raise _damaged(name, "it holds no in-toto statement")
    return SignedStatement(statement, envelope)


def _is_statement(value: Any) -> bool:
    """Whether a value has the fields of an in-toto Statement v1, each of its kind."""
    return (
        isinstance(value, dict)
        and value.get("_type") == STATEMENT_TYPE
        and isinstance(value.get("predicateType"), str)
        and isinstance(value.get("predicate"), dict)
        and isinstance(value.get("subject"), list)
        and all(map(_is_subject, value["subject"]))
    )


def _is_subject(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("name"), str)
        and isinstance(value.get("digest"), dict)
        and bool(value["digest"])
        and isinstance(value.get("annotations", {}), dict)
    )


def _line(envelope: Envelope) -> bytes:
    return json.dumps(envelope.to_dict(), separators=(",", ":")).encode() + b"\n"


def _damaged(name: str, why: str) -> DamagedError:
    return DamagedError(f"{name} cannot be read", why, "Restore it from a copy")
