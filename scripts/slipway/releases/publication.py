"""Releases: published in one step, recorded, and healed when the process died between the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pyiceberg.table import Table

from slipway.errors import ConflictError, SlipwayError, UnavailableError, UnrecordedError
from slipway.iceberg.catalogs.next_step import Action, Plan, Position, published_at
from slipway.iceberg.commit import publish
from slipway.iceberg.reading import summary_of
from slipway.iceberg.snapshots import REWRITES, release_tags
from slipway.iceberg.staged_table import Moved, StagedTable
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.records.release_records import Intent, Move, Release, ReleasedTable
from slipway.records.store import Records
from slipway.releases.holds import Holds
from slipway.releases.published import OUTSIDE, check_catalog, check_file, visible_tables
from slipway.releases.table_state import read_state
from slipway.releases.write_ahead import positions, settle


def release(tables: Tables, records: Records, staged: Sequence[StagedTable], intent: Intent) -> Release:
    """Publish a candidate and record the release.

    What others published and did not record is recorded before it. Then the intent is written: if the process dies
    after that, ``heal`` finds out by it what was published, and finishes or undoes what was published in part.

    Raises:
        SlipwayError: the environment is on hold; nothing was published.
        DamagedError: the record of the last release cannot be read; nothing was published.
        ConflictError: a table moved since the run began; nothing was published.
        UnavailableError: the catalog or the store cannot be written.
        UnrecordedError: it is published, and only its record could not be written.
    """
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
    """What to tell of a store that does not keep records written once; empty for one that does.

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
    """Have publications of dead processes come to their end, before anything else is planned.

    Args:
        tables: the environment.
        records: its records.
        what: what would be planned, for the message.
        dry: nothing is written, and such a publication is refused.

    Returns:
        A line for each.

    Raises:
        SlipwayError: there is one, and nothing may be written.
        DamagedError: there is no catalog, or another.
    """
    check_file(records)
    if not dry:
        return heal(tables, records)
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

    Args:
        tables: the environment.
        locations: what the catalog names.
        last: an earlier release; the metadata files that it names are not opened again.
        intent: what was just published.
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
