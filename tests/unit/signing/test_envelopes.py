"""Envelopes: whatever is changed in one, and whoever signed it, is found."""

from __future__ import annotations

import base64
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.signer import CryptoSigner

from slipway.errors import DamagedError
from slipway.signing.envelopes import PAYLOAD_TYPE, read_bundle, sign
from slipway.signing.signing_keys import KnownKey, Trust
from slipway.signing.statements import STATEMENT_TYPE

SIGNER, OTHER = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
STATEMENT: dict[str, Any] = {
    "_type": STATEMENT_TYPE,
    "subject": [{"name": "serving.weights", "digest": {"sha256": "00" * 32}}],
    "predicateType": "https://example.org/kind/v1",
    "predicate": {"weights": 3},
}
BUNDLE = sign([STATEMENT], SIGNER)


def trust(*signers: CryptoSigner, refusal: str = "", revoked: bool = False) -> Trust:
    keys = [signer.public_key for signer in signers]
    return Trust({key.keyid: KnownKey("ada", key, refusal, revoked) for key in keys})


def why_not(content: bytes) -> str:
    try:
        (found,) = read_bundle(content, "bundle")
    except DamagedError as error:
        return error.why
    return found.verify(trust(SIGNER)).why_not


def test_what_was_signed_is_read_again() -> None:
    first, second = read_bundle(sign([STATEMENT, {**STATEMENT, "predicate": {}}], SIGNER), "bundle")
    assert first.statement == STATEMENT
    assert (first.predicate, second.predicate) == ({"weights": 3}, {})
    assert list(first.subjects) == ["serving.weights"]
    verdict = first.verify(trust(SIGNER))
    assert [key.name for key in verdict.signed_by] == ["ada"]
    assert not verdict.why_not


def test_an_envelope_has_the_form_of_dsse() -> None:
    """Written out by hand after the specification, with nothing of securesystemslib but the key."""
    envelope = json.loads(BUNDLE)
    assert envelope.keys() == {"payload", "payloadType", "signatures"}
    payload = base64.b64decode(envelope["payload"])
    kind = PAYLOAD_TYPE.encode()
    signed = b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload])
    (signature,) = envelope["signatures"]
    assert signature["keyid"] == SIGNER.public_key.keyid
    public = SIGNER.public_key._crypto_key()
    public.verify(base64.b64decode(signature["sig"]), signed)  # type: ignore[union-attr, call-arg]


@given(st.integers(0, len(BUNDLE) - 1), st.integers(1, 255))
def test_no_byte_can_be_changed(at: int, change: int) -> None:
    changed = bytearray(BUNDLE)
    changed[at] ^= change
    assert why_not(BUNDLE) == ""
    assert why_not(bytes(changed))


@given(st.binary(max_size=200))
def test_anything_else_is_no_bundle(content: bytes) -> None:
    with pytest.raises(DamagedError):
        read_bundle(content + b"x", "bundle")


@pytest.mark.parametrize(
    "envelope",
    [
        {},
        {"payload": 1, "payloadType": PAYLOAD_TYPE, "signatures": []},
        {"payload": "", "payloadType": PAYLOAD_TYPE, "signatures": [{}]},
        {"payload": "", "payloadType": PAYLOAD_TYPE, "signatures": {}},
        {"payload": "e30=", "payloadType": PAYLOAD_TYPE, "signatures": []},
    ],
)
def test_an_envelope_without_a_statement_is_refused(envelope: dict[str, Any]) -> None:
    with pytest.raises(DamagedError, match=r"bundle, line 1 cannot be read"):
        read_bundle(json.dumps(envelope, separators=(",", ":")).encode() + b"\n", "bundle")


@pytest.mark.parametrize(
    "statement",
    [
        {**STATEMENT, "_type": "https://in-toto.io/Statement/v2"},
        {**STATEMENT, "predicateType": None},
        {**STATEMENT, "predicate": []},
        {**STATEMENT, "subject": {}},
        {**STATEMENT, "subject": [{"name": "a", "digest": {}}]},
        {**STATEMENT, "subject": [{"digest": {"sha256": ""}}]},
        {**STATEMENT, "subject": ["a"]},
    ],
    ids=["version", "kind", "predicate", "subjects", "digest", "name", "subject"],
)
def test_what_is_signed_has_to_be_a_statement(statement: dict[str, Any]) -> None:
    with pytest.raises(DamagedError, match="it holds no in-toto statement"):
        read_bundle(sign([statement], SIGNER), "bundle")


def test_a_line_that_is_cut_off_is_damaged() -> None:
    for content in (b"", BUNDLE[:-1], BUNDLE[:-1] + BUNDLE):
        if content:
            with pytest.raises(DamagedError):
                read_bundle(content, "bundle")


def test_a_further_field_is_a_change() -> None:
    envelope = {**json.loads(BUNDLE), "note": "unsigned"}
    line = json.dumps(envelope, separators=(",", ":")).encode() + b"\n"
    with pytest.raises(DamagedError, match="it does not have the form in which it was written"):
        read_bundle(line, "bundle")


def test_whose_key_nobody_knows_has_not_signed() -> None:
    (found,) = read_bundle(BUNDLE, "bundle")
    verdict = found.verify(trust(OTHER))
    assert "it is signed with a key that keys.yml does not have" in verdict.why_not
    assert not verdict.is_broken


def test_a_revoked_key_breaks_what_it_signed() -> None:
    (found,) = read_bundle(BUNDLE, "bundle")
    verdict = found.verify(trust(SIGNER, refusal=f"it was revoked on {date(2026, 1, 2)}", revoked=True))
    assert verdict.why_not == "it is signed by ada: it was revoked on 2026-01-02"
    assert verdict.is_broken


def test_a_signature_of_another_envelope_does_not_fit() -> None:
    other = json.loads(sign([{**STATEMENT, "predicate": {"weights": 4}}], SIGNER))
    swapped = {**json.loads(BUNDLE), "signatures": other["signatures"]}
    (found,) = read_bundle(json.dumps(swapped, separators=(",", ":")).encode() + b"\n", "bundle")
    verdict = found.verify(trust(SIGNER))
    assert verdict.why_not == "the signature by ada does not fit what is signed"
    assert verdict.is_broken


def test_every_signature_by_a_known_key_has_to_fit() -> None:
    """A second signature is added as an approval would be; a wrong one is not hidden by the right one."""
    (found,) = read_bundle(BUNDLE, "bundle")
    found.envelope.sign(OTHER)
    both = trust(SIGNER, OTHER)
    assert len(found.verify(both).signed_by) == 2
    foreign = read_bundle(sign([{**STATEMENT, "predicate": {}}], OTHER), "bundle")[0].envelope
    found.envelope.signatures.update(foreign.signatures)
    assert found.verify(both).is_broken


def test_a_key_service_that_fails_says_so(tmp_path: Path) -> None:
    from slipway.errors import UnavailableError

    class Service(CryptoSigner):
        def sign(self, payload: bytes) -> Any:  # noqa: ANN401
            raise ConnectionError("no route\nto host")

    service = Service(SIGNER._private_key)
    with pytest.raises(UnavailableError, match=r"Nothing was signed: no route\. Check the key"):
        sign([STATEMENT], service)
