"""Releases: published in one step or table by table, recorded, and healed when the process died before the end.

Where tables are moved one by one, a write-ahead record leads: the process that wrote it, or one that heals.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pyiceberg.table import Table

from slipway.errors import ConflictError, SlipwayError, UnansweredError, UnavailableError, UnrecordedError
from slipway.iceberg.catalogs.movers import UpdateMover
from slipway.iceberg.catalogs.next_step import Action, Plan, Position, decide, published_at
from slipway.iceberg.commit import conflict, create_namespaces, positions, publish, writing
from slipway.iceberg.metadata_files import summary_of
from slipway.iceberg.snapshots import REWRITES, Moved, StagedTable, release_tags
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.records.release_records import Intent, Move, Release, ReleasedTable
from slipway.records.store import Records
from slipway.releases.candidates import staged_of
from slipway.releases.holds import Holds
from slipway.releases.published import OUTSIDE, check_catalog, check_file, visible_tables
from slipway.releases.signatures import left_unsigned
from slipway.releases.table_state import read_state


def release(tables: Tables, records: Records, staged: Sequence[StagedTable], intent: Intent) -> Release:
    """Publish a candidate and record the release.

    What others published and did not record is recorded before it. Then the intent is written: if the process dies
    after that, ``heal`` finds out by it what was published, and finishes or undoes what was published in part.

    Raises:
        SlipwayError: the environment is on hold, or there is no table to publish; nothing was published.
        DamagedError: the record of the last release cannot be read; nothing was published.
        ConflictError: a table moved since the run began; nothing was published.
        UnavailableError: the catalog or the store cannot be written.
        UnrecordedError: it is published, and only its record could not be written.
    """
    if not staged:
        raise SlipwayError(
            "Nothing was published",
            "no table would change: readers see already what was to be published",
            "Look at what they see with slipway releases",
        )
    check_store(tables, records)
    moves = {
        str(item.identifier): Move(
            base=item.base, metadata_location=None if item.retires else item.table.metadata_location
        )
        for item in staged
    }
    intent = intent.model_copy(update={"tables": moves})
    if not intent.rolls_back:  # asked here, too: a hold may have been placed while the run was building
        Holds(records).refuse(f"A publication in {tables.environment.name}")
    heal(tables, records)
    records.last_release()  # one that is damaged is reported before anything moves
    records.write_intent(intent)
    moved, whole = _publish(tables, records, staged, intent)
    try:
        return _record(tables, records, intent, moved, whole=whole)
    except UnavailableError as error:
        raise UnrecordedError(
            f"Release {intent.number} is published, but not recorded",
            error.line(),
            "The next run or publication records it",
        ) from error


def check_store(tables: Tables, records: Records) -> str:
    """What to report of a store that does not keep records written once; empty for one that does.

    Raises:
        UnavailableError: the catalog needs a write-ahead record, which would not be safe there; or it cannot hold a
            release.
    """
    if why := tables.kind.cannot_hold:
        raise UnavailableError(
            f"Cannot publish to {tables.environment.name}", why, "Use a server that keeps what is committed"
        )
    if records.store.is_write_once:
        return ""
    what = f"{records.store.root} ignores conditional writes"
    if tables.kind.is_atomic:
        return f"{what}: runs that publish go one after the other there, whatever their tables"
    raise UnavailableError(
        f"Cannot publish to {tables.environment.name}",
        f"{what}, so a write-ahead record would not be safe there",
        "Use a store that honours If-None-Match, or a SQL catalog",
    )


def _publish(
    tables: Tables, records: Records, staged: Sequence[StagedTable], intent: Intent
) -> tuple[Moved | None, bool]:
    """What the catalog shows from then on, where it says so, and whether all tables were moved at once.

    Raises:
        ConflictError: the release is not published.
    """
    if tables.kind.is_atomic:
        try:
            return publish(tables, staged), True
        except ConflictError:
            records.withdraw(intent.number)
            raise
        except UnavailableError:  # the answer to the commit may be all that was lost
            if any(where.shows_release for where in positions(tables, intent).values()):
                return None, True
            raise
    settled = settle(tables, records, intent, staged)
    if settled.plan.action is Action.PUBLISHED:
        return None, settled.whole
    records.withdraw(intent.number, settled.plan.tables)
    refusal = settled.refusal or ConflictError(
        "Nothing was published", "another process took the release back", "Run again"
    )
    raise _in_part(intent, refusal, settled.plan.tables)


def _in_part(intent: Intent, refusal: ConflictError, kept: Sequence[str]) -> ConflictError:
    if not kept:
        return refusal
    return ConflictError(
        f"Release {intent.number} was taken back, except {', '.join(kept)}",
        f"someone committed on top of it there; {refusal.what.partition(': ')[2]}: {refusal.why}",
        "Run again on top of it",
    )


def heal(tables: Tables, records: Records) -> list[str]:
    """Finish, undo or record publications of processes that died before they could.

    One that was not begun is left as it is: its process may be about to do it.

    Returns:
        One line for each that was found.

    Raises:
        UnavailableError: the catalog cannot be read or written.
        SlipwayError: a publication can neither be finished nor undone.
        DamagedError: a record of one cannot be read, or the catalog is not the environment's.
    """
    notes = []
    check_file(records)
    intents = records.open_intents()
    if intents:
        check_catalog(tables, records, tables.locations())
    for intent in intents:
        end, refusal = _end(tables, records, intent)
        name = f"healed: release {intent.number} of run {intent.run_id}"
        if end.action is Action.PUBLISHED:
            _record(tables, records, intent, _left_by(tables, records, intent))
            notes.append(f"{name} was published and is now recorded")
        elif end.action is Action.WITHDRAWN:
            records.withdraw(intent.number, end.tables)
            if refusal and end.tables:
                notes.append(f"{name}: {_in_part(intent, refusal, end.tables).line()}")
            elif records.is_taken_back(intent.number):
                notes.append(f"{name} was published in part and is taken back")
    return notes


def unrecorded(tables: Tables, records: Records) -> list[str]:
    """Releases that readers see and that are not recorded: their processes died, or are about to do it."""
    return [
        f"release {intent.number} of run {intent.run_id}"
        for intent in records.open_intents()
        if any(where.shows_release for where in positions(tables, intent).values())
    ]


def _end(tables: Tables, records: Records, intent: Intent) -> tuple[Plan, ConflictError | None]:
    if not tables.kind.is_atomic:
        settled = settle(tables, records, intent)
        return settled.plan, settled.refusal
    # all tables or none were published, so any one of them tells
    found = positions(tables, intent).values()
    if any(where.shows_release for where in found):
        return Plan(Action.PUBLISHED), None
    return Plan(Action.WITHDRAWN if Position.ELSEWHERE in found else Action.WAITING), None


def _left_by(tables: Tables, records: Records, intent: Intent) -> Moved:
    """What a publication that nobody recorded left; tables of it that moved on are as it left them."""
    locations = dict(visible_tables(tables, records).locations)
    for name, where in positions(tables, intent, locations).items():
        if where is Position.BEYOND:
            locations[TableName.parse(name)] = intent.tables[name].metadata_location or ""
    return Moved(locations, datetime.now(UTC))


def _record(
    tables: Tables, records: Records, intent: Intent, moved: Moved | None, *, whole: bool = False
) -> Release:
    """Write down what an environment shows right after a publication: what changed, and what did not."""
    last = records.last_release()
    moved = moved or Moved(visible_tables(tables, records).locations, datetime.now(UTC))
    shows = shown(tables, moved.locations, last, intent)
    cut = intent.published(
        target=tables.environment.name,
        published_at=published_at(moved.at, shows, last),
        guarantee=tables.kind.guarantee(whole=whole),
        tables=shows,
        previous=records.previous(last),
    )
    records.write_release(cut)
    return cut


def settled(tables: Tables, records: Records, what: str, *, dry: bool) -> list[str]:
    """Have publications of dead processes end before anything else is planned, and return a line for each; a dry run refuses them.

    Raises:
        SlipwayError: there is one, and nothing may be written.
        DamagedError: there is no catalog, or another.
    """
    check_file(records)
    if not dry:
        return [*heal(tables, records), *left_unsigned(records)]
    if found := unrecorded(tables, records):
        raise SlipwayError(
            f"What {what} is not known: readers see {found[0]}, and it is not recorded",
            "its process died, or is about to record it",
            "Run slipway doctor --fix, then ask again",
        )
    return []


def shown(
    tables: Tables, locations: Mapping[TableName, str], last: Release | None, intent: Intent | None = None
) -> dict[str, ReleasedTable]:
    """What a catalog shows, ``layer.table`` to its state; without tables of other programs that cannot be read.

    Metadata files that the last release names are not opened again. The intent is that of what was just published.
    """
    known = last.tables if last else {}
    found = {}
    for identifier, location in sorted(locations.items()):
        name = str(identifier)
        before = known.get(name)
        if identifier[0] in OUTSIDE:
            continue
        if intent and name in intent.tables:
            found[name] = released_table(tables.load(identifier, location), intent)
        elif before and before.metadata_location == location:
            found[name] = before.model_copy(update={"changed": False})
        else:
            try:
                found[name] = released_table(tables.load(identifier, location), None)
            except UnavailableError:
                if before and before.run_id:
                    raise
    return found


def figures(table: Table | None) -> dict[str, int | None]:
    """Rows, files and bytes of a table's current snapshot, only from its summary."""
    current = table.current_snapshot() if table else None
    summary = summary_of(current)

    def number(name: str) -> int | None:
        return int(summary[name]) if name in summary else (0 if current is None else None)

    return {
        "rows": number("total-records"),
        "files": number("total-data-files"),
        "bytes": number("total-files-size"),
    }


def released_table(table: Table, intent: Intent | None) -> ReleasedTable:
    """A table of the cut, and by the intent of what was published whether that changed it.

    A run that built the same content leaves it at the snapshot of an earlier release.
    """
    current = table.current_snapshot()
    refs = table.metadata.refs
    tags = [
        name
        for name in release_tags(table.metadata)
        if current and refs[name].snapshot_id == current.snapshot_id
    ]
    summary = summary_of(current)
    rewrites = summary.get(REWRITES)  # its tags are of runs that found the same content
    entered = intent is not None and intent.tables[str(TableName.of(table.name()))].base is None
    return ReleasedTable(
        snapshot_id=str(current.snapshot_id) if current else None,
        schema_id=table.schema().schema_id,
        metadata_location=table.metadata_location,
        rows=figures(table)["rows"],
        changed=intent is not None
        and (not intent.by_run or entered or (tags == [intent.tag] and not rewrites)),
        run_id=summary.get("slipway.run-id"),
        rewrites=rewrites,
        stale=read_state(table).stale,
    )


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
            raise _unsure(intent, error.line()) from error
        raise
    raise _unsure(intent, "others keep moving its tables")


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


def _unsure(intent: Intent, why: str) -> UnavailableError:
    return UnavailableError(
        f"Release {intent.number} may be published in part",
        why,
        "The next run or publication finishes or undoes it",
    )


def _by_name(staged: Sequence[StagedTable]) -> dict[str, StagedTable]:
    return {str(item.identifier): item for item in staged}
