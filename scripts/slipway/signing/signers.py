"""The signers of securesystemslib, loaded without the client of a cloud that no key is in.

The library imports every signer that it knows, and with that of AWS boto3, which takes longer than everything else of a signature.
"""

from __future__ import annotations

import os
import sys
import threading
from importlib.abc import MetaPathFinder

from slipway.settings import Settings

_LIBRARY = "securesystemslib.signer"
_CLIENT = "boto3"
_SCHEME = "awskms:"


class _WithoutClient(MetaPathFinder):
    """Has boto3 count as not installed for the thread that loads the library; other threads may need it meanwhile."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(self, fullname: str, _path: object, _target: object = None) -> None:
        """Refuse the client; the other finders decide about everything else."""
        if fullname == _CLIENT and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"{_CLIENT} is not needed here", name=fullname)


def load_signers() -> None:
    """Import the library's signers; without the client of AWS, unless ``SLIPWAY_SIGNING_KEY`` is a key of AWS.

    To be called before ``securesystemslib.signer`` or ``securesystemslib.dsse`` is imported. The library decides once per process which clients there are.
    """
    if _LIBRARY in sys.modules:
        return
    finder = _WithoutClient()
    if not (Settings.read().signing_key or "").startswith(_SCHEME):
        sys.meta_path.insert(0, finder)
    try:
        import securesystemslib.signer  # noqa: F401
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


def set_region(address: str) -> None:
    """Have the client of AWS use the region of a key's ARN, or else ``AWS_REGION``, which boto3 does not read by itself.

    Args:
        address: of a key, such as ``awskms:alias/releases``; those of other services are ignored.
    """
    if not address.startswith(_SCHEME):
        return
    import boto3

    parts = address.removeprefix(_SCHEME).split(":")  # arn:aws:kms:REGION:ACCOUNT:key/ID
    region = parts[3] if parts[0] == "arn" and len(parts) > 5 else os.environ.get("AWS_REGION")
    if region:
        boto3.setup_default_session(region_name=region)
