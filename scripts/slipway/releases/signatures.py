"""Signatures of releases as they are read: the statements next to a release record, who signed them, and the lists that they name."""

from __future__ import annotations

import hashlib
from contextlib import suppress

from slipway.environments.environment import Environment
from slipway.errors import ConfigError, DamagedError
from slipway.records.record_files import parse_record
from slipway.records.store import Records
from slipway.signing.envelopes import SignedStatement, read_bundle
from slipway.signing.signing_keys import Trust, trust_of
from slipway.signing.statements import BUNDLE, FileList, bundle_key, list_key


def bundle_of(records: Records, number: int) -> list[SignedStatement] | None:
    """The signed statements about a release, None where there are none; their signatures are not checked yet.

    Raises:
        DamagedError: they cannot be read.
    """
    key = bundle_key(number)
    try:
        content = records.store.read(key)
    except FileNotFoundError:
        return None
    return read_bundle(content, f"{records.store.root}/{key}")


def signed_numbers(records: Records) -> set[int]:
    """Numbers of the releases about which there are signed statements."""
    keys = (item.key.rpartition("/")[2] for item in records.store.entries("releases"))
    return {int(key.partition(".")[0]) for key in keys if key.endswith(BUNDLE)}


def left_unsigned(records: Records) -> list[str]:
    """A line if the last release was going to be signed and is not: nobody but its own process signs it without being asked."""
    try:
        last = records.last_release()
    except DamagedError:  # reported where it matters
        return []
    if last is None or not last.signing_key:
        return []
    with suppress(FileNotFoundError):
        records.store.read(bundle_key(last.number))
        return []
    target = records.environment.name
    why = f"release {last.number} is not signed: its process ended before it could sign it, or is about to"
    look, fix = f"slipway show {last.run_id} --target {target}", f"slipway doctor --fix --target {target}"
    return [f"{why}. Look at it with {look}, then sign it with {fix}"]


def signed_by(records: Records, number: int, trust: Trust) -> str:
    """Who signed a release, as a person reads it; or that it is not signed, or why its signature does not count."""
    try:
        bundle = bundle_of(records, number)
    except DamagedError as error:
        return f"broken: {error.why}"
    if not bundle:
        return "not signed"
    verdicts = [one.verify(trust) for one in bundle]
    for verdict in verdicts:
        if verdict.why_not:
            return f"{'broken' if verdict.is_broken else 'not verified'}: {verdict.why_not}"
    return ", ".join(dict.fromkeys(one.name for verdict in verdicts for one in verdict.signed_by))


def signature_of(environment: Environment, number: int) -> str:
    """The same by the keys that count in an environment; a file of keys that cannot be understood is a reason, and no error."""
    try:
        trust = trust_of(environment)
    except ConfigError as error:
        return f"not verified: {error.line()}"
    return signed_by(Records(environment), number, trust)


def read_list(records: Records, sha256: str) -> FileList:
    """A list of files by the checksum of its bytes.

    Raises:
        FileNotFoundError: it is not there.
        DamagedError: it has another content.
    """
    key = list_key(sha256)
    content = records.store.read(key)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DamagedError(
            f"{records.store.root}/{key} cannot be used",
            "it does not have the content that its name tells",
            "Restore it from a copy",
        )
    return parse_record(FileList, content, f"{records.store.root}/{key}")
