"""What a run records of the landing area: files and their verdicts, what is outstanding, how fresh feeds are and how much they brought."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from pydantic import AwareDatetime

from slipway.counts import plural
from slipway.records.node_results import Status
from slipway.records.record import Record
from slipway.records.run_ids import AHEAD
from slipway.secrets import one_line


class LandedFile(Record):
    """A file that arrived, and what was decided about it; sizes in bytes.

    ``layout`` says how its rows are read, where that is not what the contract says by itself.
    """

    feed: str
    path: str
    size_bytes: int
    etag: str
    sha256: str
    rows: int | None
    verdict: Literal["accepted", "rejected", "duplicate"]
    reason: str
    landed_at: AwareDatetime
    run_id: str
    contract: str | None = None
    layout: str | None = None


class Outstanding(Record):
    """Something in the landing area, or that was there, whose rows are not in raw, and why.

    ``blocks`` means that runs fail in scheduled and production environments until it is dealt with.
    """

    feed: str | None = None
    path: str
    reason: str
    since: AwareDatetime | None = None
    blocks: bool = False


class Freshness(Record):
    """When a feed last brought a file, against the thresholds of its dbt source (seconds, None for none)."""

    source: str
    last_landed_at: AwareDatetime | None
    age_seconds: float | None
    warn_after_seconds: float | None = None
    error_after_seconds: float | None = None

    @property
    def status(self) -> Status:
        """Whether the feed is fresh; a feed that never brought a file has no age and is not, nor has one from the future."""
        known = self.age_seconds is not None and self.age_seconds >= -AHEAD.total_seconds()
        age = self.age_seconds if self.age_seconds is not None and known else float("inf")
        if self.error_after_seconds is not None and age > self.error_after_seconds:
            return Status.ERROR
        late = self.warn_after_seconds is not None and age > self.warn_after_seconds
        return Status.WARN if late else Status.PASS


class InputVolume(Record):
    """How much a run read of a feed that raw did not hold before, against the bounds of its contract.

    ``least`` and ``most`` are ``min`` and ``max`` of ``inputRowsPerRun`` or ``inputBytesPerRun`` in the contract's file, None for no bound.
    Bytes are those of files as they landed.
    """

    feed: str
    contract: str
    unit: Literal["rows", "bytes"]
    found: int
    files: int
    least: int | None = None
    most: int | None = None

    @property
    def problem(self) -> str:
        """Which bound is not kept, and what to do; empty for none."""
        setting = f"input{self.unit.capitalize()}PerRun"
        if self.most is not None and self.found > self.most:
            bound = f"at most {self.most:,}"
        elif self.least is not None and self.found < self.least:
            bound = f"at least {self.least:,}"
        else:
            return ""
        return (
            f"Feed {self.feed} brought {plural(self.found, self.unit[:-1])} in {plural(self.files, 'file')}, and {setting} of {self.contract} expects {bound}: "
            f"ask the producer whether the files are complete and not sent twice, then correct them or change {setting}"
        )


_NAMED = 3


def outstanding_lines(found: Sequence[Outstanding], printed: Collection[str] = ()) -> list[str]:
    """Lines for every run until it is dealt with: how many there are, and the first of them with reasons that were not printed already."""
    files = [item for item in found if item.feed]
    lines = []
    if files:
        lines.append(f"outstanding: {plural(len(files), 'landed file', 'are', 'is')} not in raw")
        old = [item for item in files if item.path not in printed]
        lines += [f"  {item.path}: {item.reason}" for item in old[:_NAMED]]
        lines += [f"  … and {len(old) - _NAMED} more"] if len(old) > _NAMED else []
    if others := [item.path for item in found if not item.feed]:
        more = " …" if len(others) > _NAMED else ""
        lines.append(
            f"not a feed: {', '.join(others[:_NAMED])}{more} in the landing area; no contract describes it"
        )
    return [one_line(line) for line in lines]  # a name with a line break in it is still one line
