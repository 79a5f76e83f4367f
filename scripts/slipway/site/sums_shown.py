"""Sums of the measures of serving tables before and after each of the newest releases that changed them, as an earlier build of the site found them or read anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from slipway.contracts.classification import Classifications
from slipway.errors import NotFoundError
from slipway.names import TableName
from slipway.query.classified_result import classified_in
from slipway.query.table_log import public_sums
from slipway.releases.published import Published
from slipway.site.releases_shown import ReleaseShown, SumShown

RELEASES = 20
"""So many of the newest have sums: more would be read again for each table that changes."""
_LAYER = "serving"


@dataclass(frozen=True)
class _Wanted:
    """Releases that changed a table, and the one before each, by number; None for none."""

    table: str
    before: Mapping[int, int | None]


def sums_of(
    project: Path, published: Published, releases: Sequence[ReleaseShown], earlier: Any
) -> Iterator[tuple[int, str, list[SumShown]]]:
    """Number of a release, table, and sums of its columns.

    Args:
        project: folder of dbt_project.yml.
        published: the environment.
        releases: newest first.
        earlier: ``api/releases.json`` of an earlier build, None for nothing.

    Raises:
        SlipwayError: a table cannot be read.
    """
    known = {
        (one["number"], table): [SumShown(**each) for each in sums]
        for one in earlier or ()
        for table, sums in (one.get("sums") or {}).items()
    }
    asked = list(_wanted(releases[: RELEASES + 1]))
    classified = classified_in(project, published, [one.table for one in asked], published.now())
    for wanted in asked:
        if any((number, wanted.table) not in known for number in wanted.before):
            known |= _read(published, wanted, classified)
        of_table = classified.of_table(wanted.table)
        for number in wanted.before:
            sums = known.get((number, wanted.table), [])
            # the earlier build may have shown what is classified by now
            yield number, wanted.table, [one for one in sums if not of_table.hides_values(one.column)]


def _wanted(releases: Sequence[ReleaseShown]) -> Iterator[_Wanted]:
    before: dict[str, dict[int, int | None]] = {}
    for at, release in enumerate(releases[:RELEASES]):
        previous = releases[at + 1].number if at + 1 < len(releases) else None
        for one in release.changed:
            if TableName.parse(one.name).layer == _LAYER and one.rows is not None:
                before.setdefault(one.name, {})[release.number] = previous
    for table, numbers in sorted(before.items()):
        yield _Wanted(table, numbers)


def _read(
    published: Published, wanted: _Wanted, classified: Classifications
) -> Iterator[tuple[tuple[int, str], list[SumShown]]]:
    numbers = {*wanted.before, *(number for number in wanted.before.values() if number is not None)}
    try:
        found = public_sums(published, wanted.table, numbers, classified)
    except NotFoundError:  # no state of these releases is kept
        found = {}
    for number, previous in wanted.before.items():
        then = found.get(previous, {}) if previous is not None else {}
        sums = [_sum(column, then.get(column), now) for column, now in found.get(number, {}).items()]
        yield (number, wanted.table), sums


def _sum(column: str, before: Any, after: Any) -> SumShown:
    difference = None
    if before is not None and after is not None:
        difference = str(_exact(after) - _exact(before))
    return SumShown(column, _text(before), _text(after), difference)


def _exact(value: Any) -> Decimal:
    return Decimal(str(value))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
