"""How long rows stay in quarantine: ``quarantineRetention`` of a feed's contract.

Only the quarantine table loses rows. Raw keeps them with their values, so that the rows which have expired can be counted again at any time: they
break a rule, and landed before the cutoff. The cutoff comes from the var ``as_of``, or from the newest row of raw, and from no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from slipway.contracts.model import Contract
from slipway.contracts.released_rows import ReleasedRows
from slipway.contracts.typed_rows import quarantined_sql
from slipway.errors import ConfigError

AS_OF = "as_of"
"""Name of the var."""


@dataclass(frozen=True)
class Retention:
    """The retention of one feed's quarantined rows in a run.

    Args:
        contract: of the feed.
        duration: how long a row stays after it landed.
        as_of: the time of the run; None for that of the newest row of raw.
        released: rows that are let through for a rule.
    """

    contract: Contract
    duration: timedelta
    as_of: datetime | None
    released: Sequence[ReleasedRows] = ()

    def cutoff_sql(self, relation: str) -> str:
        """An expression for the time before which rows have expired; NULL where raw has no row.

        Args:
            relation: the raw table in SQL, with the rows that models read.
        """
        if self.as_of is not None:
            return f"timestamptz '{(self.as_of - self.duration).isoformat()}'"
        microseconds = self.duration // timedelta(microseconds=1)
        return f"((select max(_landed_at) from {relation}) - to_microseconds({microseconds}))"

    def kept_sql(self, relation: str) -> str:
        """A condition for rows of raw that have not expired."""
        return f"((_landed_at < {self.cutoff_sql(relation)}) is not true)"

    def broken_sql(self, relation: str) -> str:
        """A query for all rows of raw that break a rule, expired or not."""
        return quarantined_sql(self.contract, relation, self.released)


def retention_of(
    contract: Contract, variables: Mapping[str, Any], released: Sequence[ReleasedRows]
) -> Retention | None:
    """The retention that a contract of a feed states; None where it states none.

    Raises:
        ConfigError: the var ``as_of`` is no time.
    """
    given = contract.settings.quarantine_retention
    if given is None or given.duration is None:
        return None
    return Retention(contract, given.duration, _moment(variables.get(AS_OF)), released)


def _moment(given: object) -> datetime | None:
    """A time in ISO 8601; a date is its beginning, and a time without an offset is in UTC."""
    if given in (None, ""):
        return None
    try:
        found = datetime.fromisoformat(str(given))
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"The var {AS_OF} is {given}, which is no time",
            "quarantineRetention of a contract counts from it",
            "Write a date or time of ISO 8601, such as 2026-05-31",
        ) from None
