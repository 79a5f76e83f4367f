"""All checks, in the order in which a person would want to hear of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from slipway.adapters.health import (
    agreement,
    landing,
    leftovers,
    publications,
    records,
    runs,
    surroundings,
    tables,
)
from slipway.adapters.health.examination import Examination
from slipway.domain.errors import DamagedError, SlipwayError
from slipway.domain.health import Finding

Check = Callable[[Examination], Iterator[Finding]]

CHECKS: Sequence[Check] = (
    tables.catalog,
    records.of_releases,
    records.of_runs,
    agreement.seals,
    agreement.releases,
    agreement.tags,
    publications.interrupted,
    publications.holds,
    tables.released,
    tables.files,
    landing.counts,
    tables.abandoned,
    agreement.states,
    runs.leases,
    runs.killed,
    runs.superseded,
    runs.scratch,
    leftovers.spilled,
    leftovers.comparisons,
    leftovers.half_written,
    leftovers.orphans,
    surroundings.conditional_writes,
    surroundings.clock,
)


def examine(at: Examination, checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """What all checks find; a check that cannot be made is a finding, told once for all that fail alike."""
    found: list[Finding] = []
    for check in checks:
        try:
            found += check(at)
        except DamagedError as error:  # told already, where records are examined, with what repairs it
            found.append(records.finding(error))
        except SlipwayError as error:
            found.append(Finding(error.what, error.why, error.fix))
        except OSError as error:
            found.append(
                Finding(str(error.filename), f"it cannot be read: {error.strerror}", "check who may read it")
            )
    told: dict[tuple[str, str], Finding] = {}
    for item in found:
        told.setdefault((item.where, item.what), item)
    return list(told.values())
