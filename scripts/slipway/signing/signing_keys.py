"""Keys: the one that this process signs with, and those whose signatures count.

A committed file, ``keys.yml`` next to dbt_project.yml, says whose signatures count. For work on one's own machine a key is generated on first use and kept in the
user's state folder (XDG Base Directory Specification); it counts for this user, and only in exploratory targets.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from stat import S_IMODE
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from slipway.contracts.described_file import parse_described
from slipway.environments.environment import Environment, Mode
from slipway.errors import ConfigError, UnavailableError, first_line
from slipway.secrets import hide, remember
from slipway.settings import Settings, variable
from slipway.signing.signers import load_signers, set_region

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from securesystemslib.signer import Key, Signer

KEYS_FILE = "keys.yml"
GENERATED = "generated key of this user"
"""How a key is named that no file of the project names."""
_SETTING = variable("signing_key")
_PEM = "-----BEGIN "
_OFF = "none"
_KEYLESS = "sigstore"
_ADDRESS = re.compile(r"[a-z][a-z0-9]+:(?!//)")  # not C:, not file://
_OF_OTHERS = 0o077
"""Permissions of others than the owner of a file."""
_TRIAL = b"slipway"
"""What a key service signs before a release is published, because afterwards is too late to learn that its key is another one."""


class _Entry(BaseModel):
    """A key of the file, in PEM; ``uri`` says where the private key is when a service signs, ``owner`` which person has it."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)
    public_key: str
    uri: str | None = None
    owner: str = Field("", pattern=r"\S")
    roles: list[Annotated[str, Field(pattern=r"\S")]] = Field(default_factory=list)
    targets: list[str] | None = None
    revoked: date | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: list[_Entry]


@dataclass(frozen=True)
class KnownKey:
    """A public key.

    Args:
        name: whose it is.
        key: the key itself; its ``keyid`` is the SHA-256 of its canonical form (securesystemslib).
        refusal: why its signatures do not count; empty where they do.
        is_revoked: whether that is because it was revoked.
        uri: where the private key is, if a service signs.
        owner: the person who has it; empty for one that is no person's, such as that of continuous integration.
        roles: what this person may approve as.
    """

    name: str
    key: Key
    refusal: str = ""
    is_revoked: bool = False
    uri: str | None = None
    owner: str = ""
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Signing:
    """What a process signs with: a signer and its name, or why there is none."""

    signer: Signer | None
    name: str = ""
    why_not: str = ""

    @property
    def key_id(self) -> str:
        """Id of the key; empty where there is none."""
        return "" if self.signer is None else str(self.signer.public_key.keyid)


@dataclass(frozen=True)
class Trust:
    """Whose signatures count in an environment.

    Args:
        keys: by key id.
        source: where they are from, for messages.
    """

    keys: Mapping[str, KnownKey] = field(default_factory=dict)
    source: str = KEYS_FILE

    @property
    def holders(self) -> list[tuple[str, frozenset[str]]]:
        """Owner and roles of each key whose signatures count."""
        return [(one.owner, one.roles) for one in self.keys.values() if not one.refusal]

    def named(self, keyid: str) -> str:
        """A key's name, or its id where it has none."""
        return self.keys[keyid].name if keyid in self.keys else f"key {keyid[:12]}"


def trust_of(environment: Environment) -> Trust:
    """Whose signatures count: the keys of ``keys.yml``; in exploratory targets also this user's generated key.

    Raises:
        ConfigError: the file cannot be understood, or has the same key twice.
    """
    found = dict(_listed(environment))
    if environment.mode is Mode.EXPLORATORY and (path := _state_file()) and path.is_file():
        with suppress(ConfigError, OSError):  # whoever signs with it gets the error
            key = _public(_loaded(_read_generated(path), str(path)))
            found.setdefault(key.keyid, KnownKey(GENERATED, key))
    return Trust(found)


def signing_of(environment: Environment) -> Signing:
    """What this process signs releases of an environment with.

    ``SLIPWAY_SIGNING_KEY`` is a file, a private key in PEM, the address of a key service (securesystemslib's schemes, such as ``awskms:``), or ``none``. Without it
    exploratory targets are signed with a key that is generated on first use.

    Raises:
        ConfigError: it is no private key, or nobody names the public key of that service.
        UnavailableError: the key service or its client cannot be used.
    """
    given = Settings.read().signing_key
    if given == _OFF:
        return Signing(None, why_not=f"{_SETTING} is {_OFF}")
    if given is None:
        if environment.mode is not Mode.EXPLORATORY:
            return Signing(None, why_not=f"{_SETTING} is not set")
        return _generated()
    trust = trust_of(environment)
    if given.startswith(_PEM):
        _remember(given)
        return _named(_signer(_loaded(given.encode(), _SETTING)), trust)
    load_signers()
    from securesystemslib.signer import SIGNER_FOR_URI_SCHEME

    if (scheme := given.partition(":")[0]) in SIGNER_FOR_URI_SCHEME:
        return _of_service(given, trust)
    if _ADDRESS.match(given) and not Path(given).exists():
        raise _unknown_service(given, scheme, sorted(SIGNER_FOR_URI_SCHEME))
    path = Path(given.removeprefix("file://")).expanduser()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"The signing key {hide(str(path))} cannot be read",
            error.strerror or str(error),
            f"Correct {_SETTING}: a file, a private key in PEM, the address of a key service, or {_OFF}",
        ) from None
    _remember(content.decode("utf-8", "replace"))
    return _named(_signer(_loaded(content, str(path))), trust)


def has_key(environment: Environment) -> bool:
    """Whether there is a key to sign with, without making one or looking at it."""
    given = Settings.read().signing_key
    if given is not None:
        return given != _OFF
    path = _state_file()
    return environment.mode is Mode.EXPLORATORY and path is not None and path.is_file()


def with_own(trust: Trust, signing: Signing) -> Trust:
    """The same keys, and that with which this process signs."""
    assert signing.signer is not None
    key = signing.signer.public_key
    return Trust({key.keyid: KnownKey(signing.name, key), **trust.keys}, trust.source)


def _named(signer: Signer, trust: Trust) -> Signing:
    keyid = signer.public_key.keyid
    known = trust.keys.get(keyid)
    if known and known.refusal:
        raise ConfigError(
            f"Nothing can be signed by {known.name}", known.refusal, f"Use another key in {_SETTING}"
        )
    return Signing(signer, trust.named(keyid))


def _unknown_service(address: str, scheme: str, known: list[str]) -> ConfigError:
    """Why nothing is signed by a service that has no client, or by one that is not used."""
    if scheme == _KEYLESS:
        return ConfigError(
            f"{_SETTING} is {hide(address)}, and keyless signing is not supported",
            "its certificates hold for minutes, so that a signature can only be verified with the log and the trust root of Sigstore, over the network",
            "Use a key: a file, a private key in PEM, or the address of a key service",
        )
    return ConfigError(
        f"{_SETTING} is {hide(address)}",
        f"there is no key service {scheme}, and no file with this name; known services are {', '.join(known)}",
        f"Correct {_SETTING}: a file, a private key in PEM, the address of a key service, or {_OFF}",
    )


def _of_service(address: str, trust: Trust) -> Signing:
    load_signers()
    from securesystemslib.exceptions import UnverifiedSignatureError
    from securesystemslib.signer import Signer

    known = next((one for one in trust.keys.values() if one.uri == address), None)
    if known is None:
        raise ConfigError(
            f"{_SETTING} is {hide(address)}",
            f"{KEYS_FILE} has no key with this uri, and the public key is needed to sign with it",
            f"Add the key with its uri to {KEYS_FILE}",
        )
    try:
        set_region(address)
        signer = Signer.from_priv_key_uri(address, known.key)
        trial = signer.sign(_TRIAL)
    except Exception as error:  # whatever the service's client raises
        raise UnavailableError(
            f"The key service of {_SETTING} cannot be used",
            hide(first_line(error)),
            "Check the address, the credentials, and that the client of the service is installed",
        ) from error
    try:
        known.key.verify_signature(trial, _TRIAL)
    except UnverifiedSignatureError:
        raise ConfigError(
            f"Nothing can be signed by {known.name}",
            f"what the key service of {_SETTING} signs does not fit its public_key in {KEYS_FILE}",
            f"Correct public_key or uri in {KEYS_FILE}",
        ) from None
    return _named(signer, trust)


def _listed(environment: Environment) -> list[tuple[str, KnownKey]]:
    if environment.project is None:
        return []
    path = environment.project / KEYS_FILE
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(path, first_line(error)) from None
    if all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines()):
        return []
    entries = parse_described(text, _File, KEYS_FILE, "Write keys: [] where there are none yet").keys
    found: dict[str, KnownKey] = {}
    for entry in entries:
        key = _parsed(entry, path)
        if key.keyid in found:
            raise _wrong(path, f"{found[key.keyid].name} and {entry.name} are the same key")
        refusal = ""
        if entry.targets is not None and environment.name not in entry.targets:
            refusal = f"{KEYS_FILE} allows it in {', '.join(entry.targets) or 'no target'}, not in {environment.name}"
        if entry.revoked:
            refusal = f"it was revoked on {entry.revoked}"
        if entry.roles and not entry.owner:
            raise _wrong(path, f"{entry.name} has roles and no owner, and only a person has a role")
        found[key.keyid] = KnownKey(
            entry.name,
            key,
            refusal,
            entry.revoked is not None,
            entry.uri,
            " ".join(entry.owner.split()),
            frozenset(entry.roles),
        )
    return list(found.items())


def _parsed(entry: _Entry, path: Path) -> Key:
    if entry.uri and entry.uri.partition(":")[0] == _KEYLESS:
        raise _wrong(path, f"{entry.name} has the uri {entry.uri}, and keyless signing is not supported")
    load_signers()
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    try:
        return SSlibKey.from_crypto(load_pem_public_key(entry.public_key.encode()))
    except (ValueError, TypeError) as error:
        raise _wrong(path, f"the public_key of {entry.name} cannot be used ({first_line(error)})") from None


def _wrong(path: Path, why: str) -> ConfigError:
    return ConfigError(f"{path} cannot be used", why, "docs/reference/evidence.md says what is in it")


def _generated() -> Signing:
    """This user's own key, made when there is none yet.

    Raises:
        ConfigError: others than the user can read or exchange it.
    """
    path = _state_file()
    if path is None:
        return Signing(
            None, why_not=f"{_SETTING} is not set, and this user has no folder for a generated key"
        )
    try:
        content = _read_generated(path) if path.is_file() else _generate(path)
    except OSError as error:
        return Signing(
            None,
            why_not=f"{_SETTING} is not set, and {path} cannot be made: {error.strerror or first_line(error)}",
        )
    return Signing(_signer(_loaded(content, str(path))), GENERATED)


def _read_generated(path: Path) -> bytes:
    """The content of the generated key, which was made so that only its owner reads it.

    Raises:
        ConfigError: others can read or exchange it by now, so that a signature would not say who made it.
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        if (mode := S_IMODE(os.fstat(stream.fileno()).st_mode)) & _OF_OTHERS:
            raise ConfigError(
                f"Nothing is signed with {path}",
                f"others than its owner can use it (its mode is {mode:o}), so that a signature would not say who signed",
                f"Remove it, so that a new key is made; or, if nobody has used it, run chmod 600 {path}",
            )
        return stream.read()


def _state_file() -> Path | None:
    """Where the generated key is; None for a user without a home. A relative XDG_STATE_HOME does not count, as its specification has it."""
    given = os.environ.get("XDG_STATE_HOME", "")
    try:
        folder = Path(given) if Path(given).is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError:
        return None
    return folder / "slipway" / "signing-key.pem"


def _generate(path: Path) -> bytes:
    """Make a key that only its owner reads; of two processes that make one at once, the first one's counts."""
    load_signers()
    from securesystemslib.signer import CryptoSigner

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)  # with mode 0600
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(CryptoSigner.generate_ed25519().private_bytes)
            stream.flush()
            os.fsync(stream.fileno())
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
    return path.read_bytes()


def _loaded(content: bytes, where: str) -> PrivateKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # their messages may quote it
        raise ConfigError(
            f"{where} holds no signing key that can be used",
            "it is no private key in PEM, or it is encrypted",
            "Make one with: openssl genpkey -algorithm ed25519 -out key.pem",
        ) from None


def _signer(private: PrivateKeyTypes) -> Signer:
    load_signers()
    from securesystemslib.signer import CryptoSigner

    try:
        return CryptoSigner(private)
    except ValueError as error:
        raise ConfigError(
            f"The key of {_SETTING} cannot be used", first_line(error), "Use an Ed25519, ECDSA or RSA key"
        ) from None


def _public(private: PrivateKeyTypes) -> Key:
    return _signer(private).public_key


def _remember(pem: str) -> None:
    """Have no line of a private key shown or recorded."""
    remember(line for line in [pem.strip(), *pem.split()] if not line.startswith("-----") and len(line) > 8)
    remember([pem.strip()])
