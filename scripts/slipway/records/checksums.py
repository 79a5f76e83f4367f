"""Whether the records of a run are still what the run wrote: each by its checksum in ``checksums.json``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress

from slipway.errors import DamagedError
from slipway.records.record_files import REPAIRED, find_record
from slipway.records.run_manifest import Checksums
from slipway.records.store import SEAL, Records

RESTORE = "Restore it from a copy; slipway doctor says what else was changed"
SEALED_FROM = 2
"""Schema version of the run manifests that have checksums next to them."""
_LARGE = "dbt/"


def seal_of(records: Records, run_id: str) -> Checksums | None:
    """The checksums of a run's records; None for a run that did not come to its end, or of an older slipway.

    Raises:
        DamagedError: they cannot be read.
    """
    return find_record(records.store, Checksums, f"{records.folder(run_id)}/{SEAL}", run_id=run_id)


def broken(records: Records, run_id: str, *, large: bool = True) -> Iterator[tuple[str, str]]:
    """Records of a run that are not what it wrote.

    A good copy next to a record counts for it.

    Yields:
        name of the record below the run's folder, and what is wrong with it.

    Raises:
        DamagedError: the checksums themselves cannot be read.
    """
    sums = seal_of(records, run_id)
    for name, wanted in sums.sha256.items() if sums else ():
        if not large and name.startswith(_LARGE):
            continue
        found = [hashlib.sha256(one).hexdigest() for one in _contents(records, run_id, name)]
        if not found:
            yield name, "it is missing, and the run wrote it"
        elif wanted not in found:
            yield name, "it is not what the run wrote: its checksum is another one"


def made_anew(records: Records, run_id: str) -> str:
    """Checksums for a run that ended without them, of its records as they are now; empty where they are not missing.

    Raises:
        DamagedError: its run manifest cannot be read.
    """
    manifest = records.manifest(run_id)
    if manifest is None or manifest.schema_version < SEALED_FROM or seal_of(records, run_id):
        return ""
    folder = f"{records.folder(run_id)}/"
    names = [item.key.removeprefix(folder) for item in records.store.entries(folder.rstrip("/"))]
    sums = {
        name: hashlib.sha256(records.store.read(folder + name)).hexdigest()
        for name in sorted(names)
        if name == "run_manifest.json" or name.startswith(("candidate/", _LARGE))
    }
    return Checksums(run_id=run_id, sha256=sums).model_dump_json(indent=1)


def check_seal(records: Records, run_id: str, what: str) -> None:
    """Refuse to go on with a run whose records were changed.

    Raises:
        DamagedError: one of them was changed or removed.
    """
    for name, why in broken(records, run_id, large=False):
        raise DamagedError(f"{what} cannot go on: {records.location(run_id)}/{name}", why, RESTORE)


def _contents(records: Records, run_id: str, name: str) -> Iterator[bytes]:
    for key in (name, name + REPAIRED):
        with suppress(FileNotFoundError):
            yield records.store.read(f"{records.folder(run_id)}/{key}")
