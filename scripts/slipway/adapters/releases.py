"""Releases: published in one step, recorded, and healed when the process died between the two."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from pyiceberg.table import Table

from slipway.adapters.iceberg.commit import guarantee, publish
from slipway.adapters.iceberg.tables import StagedTable, TableId, Tables
from slipway.adapters.records import Records
from slipway.domain.errors import ConflictError, UnavailableError, UnrecordedError
from slipway.domain.manifest import Intent, Release, ReleasedTable

_OUTSIDE = frozenset({"ops"})
"""Namespaces that are written outside of releases."""


def release(tables: Tables, records: Records, staged: Sequence[StagedTable], intent: Intent) -> Release:
    """Publish a candidate and record the release.

    The intent is written first: if the process dies after the catalog took the tables and before the record
    is written, ``heal`` finds the one by the other.

    Raises:
        ConflictError: a table moved since the run began; nothing was published.
        UnavailableError: the catalog or the store cannot be written.
        UnrecordedError: it is published, and only its record could not be written.
    """
    names = [".".join(item.identifier) for item in staged]
    records.write_intent(intent.model_copy(update={"tables": sorted(names)}))
    try:
        publish(tables, staged)
    except ConflictError:
        records.withdraw(intent.number)
        raise
    try:
        return _record(tables, records, intent, {item.identifier for item in staged})
    except UnavailableError as error:
        raise UnrecordedError(
            f"release {intent.number} is published, but not recorded",
            error.line(),
            "the next run or publication records it",
        ) from error


def heal(tables: Tables, records: Records) -> list[str]:
    """Record releases that were published by a process which died before it could.

    An intent that was not carried out is left as it is: its process may be about to do it.

    Returns:
        One line for each that was found.
    """
    told = []
    for intent in records.open_intents():
        identifiers = {(name.rsplit(".", 1)[0], name.rsplit(".", 1)[1]) for name in intent.tables}
        if _is_published(tables, identifiers, f"release-{intent.number}"):
            _record(tables, records, intent, identifiers)
            told.append(
                f"healed: release {intent.number} of run {intent.run_id} was published and is now recorded"
            )
    return told


def _is_published(tables: Tables, identifiers: Collection[TableId], tag: str) -> bool:
    """All tables or none were published, so any one of them tells."""
    locations = tables.locations()
    return any(
        tag in tables.load(identifier, locations[identifier]).metadata.refs
        for identifier in identifiers
        if identifier in locations
    )


def _record(tables: Tables, records: Records, intent: Intent, changed: Collection[TableId]) -> Release:
    cut = _cut(tables, intent, changed, datetime.now(UTC))
    records.write_release(cut)
    return cut


def _cut(tables: Tables, intent: Intent, changed: Collection[TableId], now: datetime) -> Release:
    """What an environment shows right after a run was published: what changed, and what it stands beside."""
    found = {
        ".".join(identifier): _released(
            tables.load(identifier, location), intent.number, staged=identifier in changed
        )
        for identifier, location in sorted(tables.locations().items())
        if identifier[0] not in _OUTSIDE
    }
    return Release(
        number=intent.number,
        run_id=intent.run_id,
        target=tables.environment.name,
        published_at=now,
        code=intent.code,
        guarantee=guarantee(tables.catalog),
        tables=found,
    )


def figures(table: Table | None) -> dict[str, int | None]:
    """Rows, files and bytes of a table's current snapshot, from its summary alone."""
    current = table.current_snapshot() if table else None
    summary = current.summary.additional_properties if current and current.summary else {}

    def number(name: str) -> int | None:
        return int(summary[name]) if name in summary else (0 if current is None else None)

    return {
        "rows": number("total-records"),
        "files": number("total-data-files"),
        "bytes": number("total-files-size"),
    }


def _released(table: Table, number: int, *, staged: bool) -> ReleasedTable:
    """A table of the cut. One that was built to the same content has the snapshot of an earlier release."""
    current = table.current_snapshot()
    tags = [
        name
        for name, ref in table.metadata.refs.items()
        if current and ref.snapshot_id == current.snapshot_id and name.startswith("release-")
    ]
    summary = current.summary.additional_properties if current and current.summary else {}
    return ReleasedTable(
        snapshot_id=str(current.snapshot_id) if current else None,
        schema_id=table.schema().schema_id,
        metadata_location=table.metadata_location,
        rows=figures(table)["rows"],
        changed=staged and tags == [f"release-{number}"],
        run_id=summary.get("slipway.run-id"),
    )
