"""Publishing table by table, led by a write-ahead record: by the process that wrote it, or by one that heals."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slipway.errors import ConflictError, SlipwayError, UnansweredError, UnavailableError
from slipway.iceberg.catalogs.next_step import Action, Plan, Position, decide
from slipway.iceberg.catalogs.updates import UpdateMover
from slipway.iceberg.commit import conflict, create_namespaces, position, writing
from slipway.iceberg.staged_table import StagedTable
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.records.release_records import Intent
from slipway.records.store import Records
from slipway.releases.candidates import staged_of

_ROUNDS = 20  # looks at the catalog; each but the last had something to do
_IDLE = 3  # rounds without effect, after which a table counts as barred; RestMover needs two to change its way of asking
_PAUSES = (1, 2, 4)  # seconds before it is looked at again, when it gave no answer


@dataclass(frozen=True)
class Settled:
    """How a publication ended.

    Args:
        plan: ``published``, ``withdrawn`` or ``waiting``.
        refusal: why it was withdrawn.
        whole: whether one request was for all tables.
    """

    plan: Plan
    refusal: ConflictError | None = None
    whole: bool = False


def positions(
    tables: Tables, intent: Intent, now: Mapping[TableName, str] | None = None
) -> dict[str, Position]:
    """Where the tables of a publication are, in the order in which they are moved."""
    names = {name: TableName.parse(name) for name in intent.in_order()}
    now = tables.locations(names.values()) if now is None else now
    return {
        name: position(tables, identifier, intent.tables[name], now.get(identifier), intent.tag)
        for name, identifier in names.items()
    }


def settle(
    tables: Tables, records: Records, intent: Intent, staged: Sequence[StagedTable] | None = None
) -> Settled:
    """Move tables until all of them show the release, or none does.

    Args:
        tables: the environment.
        records: where the write-ahead record is, and where going back is written down before it begins.
        intent: the write-ahead record.
        staged: the tables of the release, by the process that publishes it; without them a publication that was not
            begun is left as it is, and one that was is finished or undone.

    Raises:
        UnavailableError: the catalog cannot be read or written.
        SlipwayError: what is needed to go on is gone.
    """
    moves, refusal, items, begun = tables.kind.mover(tables), None, _by_name(staged or []), False
    before, idle = None, 0
    pauses = iter(_PAUSES)
    try:
        if staged:
            create_namespaces(tables, staged)
        for _ in range(_ROUNDS):
            now = tables.locations([TableName.parse(name) for name in intent.tables])
            found = positions(tables, intent, now)
            plan = decide(found, begin=staged is not None, going_back=records.is_taken_back(intent.number))
            refusal = refusal or _refusal(tables, intent, found)
            if plan.is_end:
                return Settled(plan, refusal, whole=begun and staged is not None and moves.whole)
            before, idle = now, idle + 1 if now == before else 0
            if plan.action is Action.FORWARD and idle == _IDLE:
                records.take_back(intent.number)
                refusal = refusal or _barred(plan.tables[0])
                continue
            if plan.action is Action.BACK:
                records.take_back(intent.number)
            items = items or _by_name(_candidate(tables, records, intent))
            begun = True
            try:
                with writing(tables):
                    _carry_out(plan, moves, items, intent)
            except UnansweredError:
                if (pause := next(pauses, None)) is None:
                    raise
                before = None  # what it was asked for may take effect
                time.sleep(pause)
    except UnavailableError as error:
        if begun and (isinstance(error, UnansweredError) or not _is_untouched(tables, intent)):
            raise _in_part(intent, error.line()) from error
        raise
    raise _in_part(intent, "others keep moving its tables")


def _is_untouched(tables: Tables, intent: Intent) -> bool:
    try:
        return not any(where.shows_release for where in positions(tables, intent).values())
    except UnavailableError:
        return False


def _carry_out(plan: Plan, moves: UpdateMover, items: Mapping[str, StagedTable], intent: Intent) -> None:
    """Move tables until one is not where it was expected."""
    wanted = [items[name] for name in plan.tables]
    if plan.action is Action.FORWARD:
        # retired ones when all others show the release, so that readers never miss what another name is to show
        moves.forward_all([item for item in wanted if not item.retires] or wanted)
        return
    for item in wanted:
        if not moves.back(item, intent.tag):
            return


def _candidate(tables: Tables, records: Records, intent: Intent) -> list[StagedTable]:
    """The staged tables of a publication that another process began."""
    written = {str(record.name): record for record in records.staged_for(intent)}
    if missing := [name for name in intent.tables if name not in written]:
        raise SlipwayError(
            f"Release {intent.number} is published in part and cannot be finished or undone",
            f"run {intent.run_id} has no record of {', '.join(missing)}",
            "Restore its folder in the warehouse",
        )
    return [staged_of(tables, written[name]) for name in intent.tables]


def _refusal(tables: Tables, intent: Intent, found: Mapping[str, Position]) -> ConflictError | None:
    name = next((name for name, where in found.items() if where is Position.ELSEWHERE), None)
    return conflict(tables, TableName.parse(name), intent.tables[name].base) if name else None


def _barred(name: str) -> ConflictError:
    return ConflictError(
        f"Nothing was published: {name} cannot be moved",
        "the catalog refuses it, although nobody moved it; something else that is no Iceberg table may have its name",
        "Look at it in the catalog, then run again",
    )


def _in_part(intent: Intent, why: str) -> UnavailableError:
    return UnavailableError(
        f"Release {intent.number} may be published in part",
        why,
        "The next run or publication finishes or undoes it",
    )


def _by_name(staged: Sequence[StagedTable]) -> dict[str, StagedTable]:
    return {str(item.identifier): item for item in staged}
