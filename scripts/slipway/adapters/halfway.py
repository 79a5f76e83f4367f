"""Reading while a publication is half-way: the tables as they were before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slipway.adapters.iceberg.catalogs.commit import is_atomic
from slipway.adapters.iceberg.tables import TableId, Tables
from slipway.adapters.publication import positions
from slipway.adapters.records import Records
from slipway.domain.publication import is_half_way
from slipway.domain.release import Intent

_LOOKS = 5


@dataclass(frozen=True)
class Seen:
    """One consistent cut of an environment.

    Args:
        locations: metadata file of every table.
        unfinished: publications that are half-way and left out.
    """

    locations: dict[TableId, str]
    unfinished: Sequence[Intent] = ()


def seen(tables: Tables, records: Records) -> Seen:
    """The tables as the last whole publication left them.

    A catalog that is listed table by table is looked at again when something was published meanwhile.

    Raises:
        UnavailableError: the catalog or the records cannot be read.
    """
    if is_atomic(tables.catalog):
        return Seen(tables.locations())
    before, found = records.publications(), Seen({})
    for _ in range(_LOOKS):
        found = _without_unfinished(tables, tables.locations(), records.open_intents())
        after = records.publications()
        if after == before:
            break
        before = after
    return found


def unfinished(tables: Tables, records: Records) -> list[Intent]:
    """Publications that are half-way; the catalog is asked only if one was begun and not ended."""
    intents = records.open_intents()
    if not intents or is_atomic(tables.catalog):
        return []
    return list(_without_unfinished(tables, tables.locations(), intents).unfinished)


def warning(intent: Intent) -> str:
    """What a reader is told of a publication that is half-way."""
    return (
        f"release {intent.number} of run {intent.run_id} is published in part; the next run or publication"
        " finishes or undoes it"
    )


def _without_unfinished(tables: Tables, now: Mapping[TableId, str], intents: Sequence[Intent]) -> Seen:
    locations, found = dict(now), []
    for intent in intents:
        if not is_half_way(positions(tables, intent, now).values()):
            continue
        found.append(intent)
        for name, move in intent.tables.items():
            namespace, _, table = name.rpartition(".")
            locations.pop((namespace, table), None)
            if move.base is not None:
                locations[namespace, table] = move.base
    return Seen(locations, found)
