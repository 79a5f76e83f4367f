"""Signing keys of people and of continuous integration, and the keys.yml that names them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


@dataclass
class MadeKey:
    """A key.

    Args:
        name: of the key.
        owner: the person who has it.
        roles: of this person.
        more: other fields of its entry.
    """

    name: str
    owner: str = ""
    roles: Sequence[str] = ()
    more: dict[str, Any] = field(default_factory=dict)
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @cached_property
    def private(self) -> str:
        """In PEM."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @cached_property
    def keyid(self) -> str:
        """Its id, as securesystemslib computes it."""
        from securesystemslib.signer import SSlibKey

        return SSlibKey.from_crypto(self.key.public_key()).keyid

    def entry(self) -> dict[str, Any]:
        """As keys.yml has it."""
        public = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        given = {"owner": self.owner, "roles": list(self.roles)} if self.owner else {}
        return {"name": self.name, "public_key": public.decode(), **given, **self.more}


def keys_yml(*keys: MadeKey) -> str:
    """The text of keys.yml; JSON is YAML."""
    return json.dumps({"keys": [key.entry() for key in keys]}, indent=1)
