"""Keys: where the one to sign with is from, whose signatures count, and that no private key is shown."""

from __future__ import annotations

import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from slipway import secrets
from slipway.environments.environment import Environment, Mode
from slipway.errors import ConfigError, UnavailableError
from slipway.settings import Settings
from slipway.signing.signing_keys import GENERATED, KEYS_FILE, Signing, signing_of, trust_of


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.delenv("SLIPWAY_SIGNING_KEY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "project").mkdir()
    return Environment("dev", Mode.EXPLORATORY, "", {}, "", tmp_path, project=tmp_path / "project")


def pem(signer: CryptoSigner) -> str:
    """The public key as ``openssl pkey -pubout`` writes it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = signer.public_key._crypto_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def entry(name: str, signer: CryptoSigner, *more: str) -> str:
    lines = [f"- name: {name}", "  public_key: |", *(f"    {line}" for line in pem(signer).splitlines())]
    return "\n".join([*lines, *(f"  {line}" for line in more)])


def write_keys(environment: Environment, *entries: str) -> None:
    assert environment.project
    (environment.project / KEYS_FILE).write_text("\n".join(["keys:", *entries, ""]), encoding="utf-8")


def keyid(signing: Signing) -> str:
    assert signing.signer, signing
    return signing.signer.public_key.keyid


def test_a_key_is_generated_once_and_only_its_owner_reads_it(environment: Environment) -> None:
    first, second = signing_of(environment), signing_of(environment)
    assert keyid(first) == keyid(second)
    assert first.name == GENERATED
    path = environment.home / "state" / "slipway" / "signing-key.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir()] == ["signing-key.pem"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_generated_key_that_others_can_use_neither_signs_nor_counts(
    environment: Environment, mode: int
) -> None:
    made = keyid(signing_of(environment))
    path = environment.home / "state" / "slipway" / "signing-key.pem"
    path.chmod(mode)
    with pytest.raises(ConfigError, match=rf"others than its owner can use it \(its mode is {mode:o}\)"):
        signing_of(environment)
    assert not trust_of(environment).keys
    path.chmod(0o400)
    assert keyid(signing_of(environment)) == made


def test_a_generated_key_counts_in_exploratory_targets_only(environment: Environment) -> None:
    made = keyid(signing_of(environment))
    assert trust_of(environment).named(made) == GENERATED
    for mode in (Mode.SCHEDULED, Mode.PRODUCTION):
        there = replace(environment, mode=mode)
        assert not trust_of(there).keys
        assert signing_of(there) == Signing(None, why_not="SLIPWAY_SIGNING_KEY is not set")


def test_without_a_place_for_it_no_key_is_generated(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    (environment.home / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(environment.home / "file"))
    found = signing_of(environment)
    assert found.signer is None
    assert found.why_not.startswith("SLIPWAY_SIGNING_KEY is not set, and ")


def test_nothing_is_signed_where_that_is_wanted(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_SIGNING_KEY", "none")
    assert signing_of(environment) == Signing(None, why_not="SLIPWAY_SIGNING_KEY is none")
    assert not (environment.home / "state").exists()


@pytest.mark.parametrize("way", ["path", "address", "variable"])
def test_a_key_of_openssl_is_used(
    way: str, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = environment.home / "key.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(path)], check=True, capture_output=True
    )
    public = subprocess.run(
        ["openssl", "pkey", "-in", str(path), "-pubout"], check=True, capture_output=True, text=True
    ).stdout
    text = "".join(f"    {line}\n" for line in public.splitlines())
    write_keys(environment, f"- name: ada\n  public_key: |\n{text}")
    given = {"path": str(path), "address": f"file://{path}", "variable": path.read_text(encoding="utf-8")}
    monkeypatch.setenv("SLIPWAY_SIGNING_KEY", given[way])
    found = signing_of(environment)
    assert found.name == "ada"
    assert keyid(found) in trust_of(environment).keys


def test_no_line_of_a_private_key_is_shown(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    private = CryptoSigner.generate_ed25519().private_bytes.decode()
    monkeypatch.setattr(secrets, "_known", {})
    monkeypatch.setenv("SLIPWAY_SIGNING_KEY", private)
    signing_of(environment)
    body = private.splitlines()[1]
    assert body not in secrets.hide(f"it says {body}.")
    assert body not in secrets.hide(private)
    assert body not in repr(Settings.read())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("missing.pem", r"The signing key missing.pem cannot be read: No such file"),
        ("-----BEGIN PRIVATE KEY-----\nsecret\n", r"SLIPWAY_SIGNING_KEY holds no signing key"),
        ("awskms:alias/releases", r"keys.yml has no key with this uri"),
        (
            "sigstore:?ambient=false",
            r"sigstore:\?ambient=false, and keyless signing is not supported: its certificates",
        ),
        (
            "hashivault:releases",
            r"there is no key service hashivault, and no file with this name; known .*, hv, tkey",
        ),
    ],
    ids=["missing", "broken", "service", "keyless", "unknown-service"],
)
def test_a_key_that_cannot_be_used_is_refused(
    given: str, message: str, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_SIGNING_KEY", given)
    with pytest.raises(ConfigError, match=message) as refused:
        signing_of(environment)
    assert "secret" not in str(refused.value)


def test_a_key_of_a_kind_that_signs_nothing_here_is_refused(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = environment.home / "x25519.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "x25519", "-out", str(path)], check=True, capture_output=True
    )
    monkeypatch.setenv("SLIPWAY_SIGNING_KEY", str(path))
    with pytest.raises(ConfigError, match=r"cannot be used: .* Use an Ed25519, ECDSA or RSA key"):
        signing_of(environment)


def test_a_key_service_is_asked_with_the_public_key_of_the_file(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client of Azure is not installed: what it says is passed on."""
    write_keys(environment, entry("vault", CryptoSigner.generate_ed25519(), "uri: azurekms://vault/keys/one"))
    monkeypatch.setenv("SLIPWAY_SIGNING_KEY", "azurekms://vault/keys/one")
    with pytest.raises(UnavailableError, match="The key service of SLIPWAY_SIGNING_KEY cannot be used"):
        signing_of(environment)


def test_a_key_counts_where_the_file_says(environment: Environment) -> None:
    anywhere, elsewhere, gone = (CryptoSigner.generate_ed25519() for _ in range(3))
    write_keys(
        environment,
        entry("anywhere", anywhere),
        entry("elsewhere", elsewhere, "targets: [staging, prod]"),
        entry("gone", gone, "revoked: 2026-03-04"),
    )
    keys = trust_of(environment).keys
    assert not keys[anywhere.public_key.keyid].refusal
    other = keys[elsewhere.public_key.keyid]
    assert (other.refusal, other.is_revoked) == ("keys.yml allows it in staging, prod, not in dev", False)
    revoked = keys[gone.public_key.keyid]
    assert (revoked.refusal, revoked.is_revoked) == ("it was revoked on 2026-03-04", True)
    prod = replace(environment, name="prod", mode=Mode.PRODUCTION)
    assert not trust_of(prod).keys[elsewhere.public_key.keyid].refusal


def test_nobody_signs_with_a_revoked_key(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = CryptoSigner.generate_ed25519()
    monkeypatch.setenv("SLIPWAY_SIGNING_KEY", signer.private_bytes.decode())
    write_keys(environment, entry("ada", signer, "revoked: 2026-03-04"))
    with pytest.raises(ConfigError, match="Nothing can be signed by ada: it was revoked on 2026-03-04"):
        signing_of(environment)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keys: [{name: ada}]", r"keys.ada.public_key .*line 1.*: field required"),
        (
            "keys: [{name: ada, public_key: x, colour: red}]",
            r"Unknown key `colour` .*line 1.*Known are name, owner",
        ),
        ("keys: [{name: ada, public_key: x}]", r"the public_key of ada cannot be used"),
        (
            "keys: [{name: ada, public_key: x, uri: 'sigstore:'}]",
            r"ada has the uri sigstore:, and keyless signing is not supported",
        ),
        ("keys: {", r"keys.yml, line \d cannot be read: it is not YAML"),
        ("- a", r"keys.yml cannot be read: it is a list"),
        ("keys: []\nkeys: []", r"line 2.*: the key is there twice"),
    ],
    ids=["missing", "unknown", "no key", "keyless", "no YAML", "list", "twice"],
)
def test_a_file_that_cannot_be_understood_is_refused(
    text: str, message: str, environment: Environment
) -> None:
    assert environment.project
    (environment.project / KEYS_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        trust_of(environment)


def test_a_key_has_one_name(environment: Environment) -> None:
    signer = CryptoSigner.generate_ed25519()
    write_keys(environment, entry("ada", signer), entry("bob", signer))
    with pytest.raises(ConfigError, match="ada and bob are the same key"):
        trust_of(environment)


def test_an_empty_file_names_no_key(environment: Environment) -> None:
    assert environment.project
    (environment.project / KEYS_FILE).touch()
    assert not trust_of(environment).keys


def test_a_key_has_an_owner_with_roles(environment: Environment) -> None:
    signer = CryptoSigner.generate_ed25519()
    write_keys(environment, entry("ada", signer, "owner: '  Ada  L. '", "roles: [data-owner, boss]"))
    (found,) = trust_of(environment).keys.values()
    assert (found.owner, sorted(found.roles)) == ("Ada L.", ["boss", "data-owner"])
    write_keys(environment, entry("ci", signer, "roles: [boss]"))
    with pytest.raises(ConfigError, match="ci has roles and no owner, and only a person has a role"):
        trust_of(environment)
    write_keys(environment, entry("ci", signer, "owner: ' '"))
    with pytest.raises(ConfigError, match="owner"):
        trust_of(environment)
