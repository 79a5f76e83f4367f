"""Results of shadow runs, kept below ``_slipway/shadows``: what the code of a work tree would have made of the inputs of a release.

They are next to the records of runs and not among them: a shadow run is none, and no gate, promotion or replay looks here.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from pydantic import AwareDatetime, Field

from slipway.errors import DamagedError
from slipway.records.record import SCHEMA_VERSION, Record
from slipway.records.record_files import REPAIRED, read_record
from slipway.records.run_manifest import Code
from slipway.records.store import Records

SHADOWS = "shadows"
"""Folder of the results."""


class ShadowOutcome(StrEnum):
    """How a shadow run ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_COMPARED = "not compared"


class ShadowRun(Record):
    """One shadow run: what was built, what it was compared with, and what came of it.

    ``release`` is the number of the release that it was compared with, ``verdicts`` are by ``layer.table``; ``reason`` says why it
    did not pass, and is empty where it did. ``failing_tests`` are names.
    """

    schema_version: int = SCHEMA_VERSION
    shadow_id: str
    started_at: AwareDatetime
    finished_at: AwareDatetime
    who: str
    target: str
    code: Code
    release: int
    outcome: ShadowOutcome
    reason: str = ""
    select: list[str] = Field(default_factory=list)
    verdicts: dict[str, str] = Field(default_factory=dict)
    failing_tests: list[str] = Field(default_factory=list)


def keep_shadow_run(records: Records, shadow: ShadowRun) -> None:
    """Write the result of a shadow run down, once."""
    content = shadow.model_dump_json(indent=1).encode()
    records.store.create(f"{SHADOWS}/{shadow.shadow_id}.json", content)


def shadow_runs(records: Records) -> Iterator[ShadowRun | DamagedError]:
    """All results that are kept, oldest first; an error in the place of one that cannot be read.

    Raises:
        UnavailableError: the store cannot be reached.
    """
    keys = sorted(item.key for item in records.store.entries(SHADOWS) if not item.key.endswith(REPAIRED))
    for key in keys:
        try:
            yield read_record(records.store, ShadowRun, key)
        except DamagedError as error:
            yield error
