"""The balance of rows: every landed row is in the curated table, in quarantine, deduplicated or expired."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from slipway.counts import plural
from slipway.records.record import Record


class Limit(Record):
    """How many rows a rule may put into quarantine, and how many it has put there; ``rule`` is ``*`` for all rules together.

    ``contract`` is the file of the feed's contract that says so; empty for ``conserves`` of the quarantine model.
    The words are those of the Open Data Contract Standard. Percent are of the rows that landed.
    """

    rule: str
    operator: Literal["mustBeLessThan", "mustBeLessOrEqualTo"]
    value: float
    unit: Literal["rows", "percent"] = "rows"
    severity: Literal["error", "warning"] = "error"
    contract: str = ""
    rows: int = 0
    landed: int = 0

    @property
    def problem(self) -> str:
        """What is exceeded, and what to do; empty for nothing."""
        found = self.rows if self.unit == "rows" else 100 * self.rows / max(self.landed, 1)
        if found < self.value or (self.operator == "mustBeLessOrEqualTo" and found == self.value):
            return ""
        which = "All rules together put" if self.rule == "*" else f"Rule {self.rule} puts"
        share = f", {found:.3g} percent of {self.landed:,}" if self.unit == "percent" else ""
        bound = "less than" if self.operator == "mustBeLessThan" else "at most"
        unit = " percent" if self.unit == "percent" else ""
        return (
            f"{which} {plural(self.rows, 'row')} into quarantine{share}, and {bound} {self.value:g}{unit} are allowed: look at them with "
            f"slipway quarantine list --run latest, have the files or the rule corrected, or set another limit in {self.contract or 'conserves or in the contract of the feed'}"
        )


class Conservation(Record):
    """Rows landed = rows curated + rows quarantined + rows deduplicated + rows expired.

    Where files replace earlier ones, ``landed`` are the current rows; ``superseded`` are those of files that newer ones replaced.
    ``counted`` is ``rows`` where each row was followed by file and line, ``numbers`` where a table lacks these columns, and empty
    where nothing but the three totals is known. ``unaccounted`` are rows in no place that repeat no other in the columns of ``key``,
    ``doubled`` rows in more places than one, or from nowhere.

    Of a feed with ``quarantineRetention``, which is ``retention_seconds``, ``expired`` are rows that break a rule, landed before ``expired_before``, and are in neither table any more;
    ``newly_expired`` of them had not when the rows were counted before. ``overdue`` are rows in quarantine that landed before that time. ``returns_from``
    is the time before which rows had expired in the run before, if it was a later one.
    """

    raw: str
    curated: str
    quarantine: str
    landed: int
    curated_rows: int
    quarantined_rows: int
    deduplicated: int
    by_rule: dict[str, int]
    counted: Literal["", "numbers", "rows"] = ""
    key: list[str] = Field(default_factory=list)
    unaccounted: int = 0
    doubled: int = 0
    superseded: int = 0
    expired: int = 0
    newly_expired: int = 0
    retention_seconds: float | None = None
    expired_before: AwareDatetime | None = None
    overdue: int = 0
    returns_from: AwareDatetime | None = None
    limits: list[Limit] = Field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """Limits that are exceeded, and rows that have come back, which does not keep a run from being published."""
        found = [one.problem for one in self.limits if one.severity == "warning" and one.problem]
        if self.returns_from and self.expired_before:
            found.append(
                f"rows of {self.quarantine} that had expired are there again: they go when they landed before {self.expired_before:%Y-%m-%d %H:%M}, and "
                f"in the run before it was {self.returns_from:%Y-%m-%d %H:%M}, so give a later as_of unless that is meant"
            )
        return found

    @property
    def problem(self) -> str:
        """Why the rows do not add up or are too many in quarantine, and what to do; empty when all is well."""
        exceeded = (one.problem for one in self.limits if one.severity == "error")
        return self._lost or next(filter(None, exceeded), "")

    @property
    def _lost(self) -> str:
        if self.doubled:
            return (
                f"{plural(self.doubled, 'row')} of {self.curated} and {self.quarantine} stand there more often than in {self.raw}: "
                "let each row go to one of them"
            )
        placed = self.curated_rows + self.quarantined_rows
        if self.deduplicated < 0 or self.landed != placed + self.deduplicated + self.expired:
            return f"more rows came out of {self.raw} than landed there"
        if self.overdue:
            return (
                f"{plural(self.overdue, 'row')} of {self.quarantine} {'is' if self.overdue == 1 else 'are'} past the quarantineRetention of the feed's "
                "contract: have its model take them from quarantined(feed), or add the condition within_retention(feed)"
            )
        if self.unaccounted:
            return (
                f"{plural(self.unaccounted, 'row')} of {self.raw} {'is' if self.unaccounted == 1 else 'are'} neither in {self.curated} "
                f"nor in {self.quarantine}, and no row that is there has the same {', '.join(self.key)}: let a rule take what is left "
                "out, or name the columns of which one row is kept in deduplicated_by of conserves"
            )
        return ""


class NotCounted(Record):
    """A raw table whose rows were not counted through to curated and quarantine, and why."""

    raw: str
    reason: str
