"""What the catalog, the records and the project say about an environment, for planning its maintenance."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata

from slipway.adapters.iceberg.catalogs.absorb import stands_on
from slipway.adapters.iceberg.snapshots import release_tags
from slipway.adapters.iceberg.tables import TableId, Tables
from slipway.adapters.maintenance.locations import canonical
from slipway.adapters.records import Records
from slipway.domain.errors import DamagedTableError, UnavailableError
from slipway.domain.maintenance.history import (
    Candidate,
    Damage,
    History,
    RecordedRun,
    State,
    Superseded,
    TableHistory,
)
from slipway.domain.maintenance.retention import Retention, parse_retention
from slipway.domain.manifest import RunManifest
from slipway.domain.release import Release
from slipway.domain.replayable import inputs_of, made_by, why_not_replayable
from slipway.domain.run import Outcome, started_at

_PASSED = (Outcome.PUBLISHED, Outcome.UNCHANGED)
_ENDED = (Outcome.PUBLISHED, Outcome.UNCHANGED, Outcome.DISCARDED)


def read_history(
    tables: Tables, records: Records, variables: Mapping[str, Any], now: datetime, older_than: timedelta
) -> History:
    """Everything that decides what is kept.

    Args:
        tables: the environment.
        records: its records.
        variables: the project's vars, which may set the default policy.
        now: the moment that ages are counted from.
        older_than: how long files are left alone.

    Raises:
        UnavailableError: the catalog or the store cannot be read.
        SlipwayError: a record within the policy's days cannot be read, so nobody knows what it needs.
        ConfigError: a policy is not one.
    """
    default = parse_retention("vars of dbt_project.yml", variables, Retention())
    releases, locations = records.releases(), managed(tables)
    loaded, damaged = _loaded(tables, locations)
    policies = _policies(records, default, {release.run_id for release in releases})
    longest = max([older_than, default.period, *(policy.period for policy in policies.values())])
    published = {release.run_id for release in releases if release.by_run}
    runs: list[RecordedRun] = []
    candidates: list[Candidate] = []
    for run_id in records.run_ids():
        began = started_at(run_id)
        if began is None:
            continue
        if began < now - longest:
            break
        manifest = records.manifest(run_id)
        if manifest is not None and not why_not_replayable(manifest):
            runs.append(_recorded(manifest))
        if run_id not in published and (manifest is None or manifest.outcome not in _ENDED):
            outcome = manifest.outcome if manifest else None
            candidates += [
                _candidate(tables, locations, record, run_id, began, outcome)
                for record in records.candidate(run_id)
            ]
    return History(
        now=now,
        older_than=older_than,
        tables={
            name: _table(table.metadata, table.metadata_location, releases) for name, table in loaded.items()
        },
        damaged=damaged,
        releases=releases,
        runs=runs,
        candidates=candidates,
        intents=records.open_intents(),
        policies=policies,
        default=default,
    )


def _loaded(tables: Tables, locations: Mapping[TableId, str]) -> tuple[dict[str, Table], dict[str, Damage]]:
    """Tables by name, and why the others cannot be read."""
    found: dict[str, Table] = {}
    damaged: dict[str, Damage] = {}
    for identifier, location in locations.items():
        try:
            found[".".join(identifier)] = tables.load(identifier, location)
        except DamagedTableError as error:
            damaged[".".join(identifier)] = Damage(location, error.line())
    return found, damaged


def managed(tables: Tables) -> dict[TableId, str]:
    """Tables of the catalog that lie in the environment's warehouse; a catalog may hold others, too."""
    root = canonical(tables.environment.warehouse)
    return {
        identifier: location
        for identifier, location in tables.locations().items()
        if canonical(location).startswith(f"{root}/")
    }


def _policies(records: Records, default: Retention, released: Collection[str]) -> dict[str, Retention]:
    """Policies in the meta of models, seeds and snapshots, as the last run had them that was published or found nothing new.

    The manifest of a run that waited for approval says for ever that it is staged; the releases say that it is published.
    """
    for run_id in records.run_ids():
        manifest = records.manifest(run_id)
        if manifest is None or not (run_id in released or manifest.outcome in _PASSED):
            continue
        if described := records.dbt_manifest(run_id):
            return dict(_declared(described, default))
    return {}


def _declared(described: Mapping[str, Any], default: Retention) -> Iterator[tuple[str, Retention]]:
    for node in described.get("nodes", {}).values():
        if node.get("resource_type") in ("model", "seed", "snapshot"):
            name = f"{node['schema']}.{node['alias']}"
            meta = (node.get("config") or {}).get("meta") or {}
            policy = parse_retention(f"meta of {node['name']}", meta, default)
            if policy != default:
                yield name, policy


def _recorded(manifest: RunManifest) -> RecordedRun:
    return RecordedRun(
        run_id=manifest.run_id,
        started_at=manifest.started_at,
        inputs={name: State(*where) for name, where in inputs_of(manifest).items()},
        made={
            name: State(node.metadata_location, node.candidate_snapshot)
            for name, node in made_by(manifest).items()
            if node.metadata_location
        },
    )


def _candidate(
    tables: Tables,
    locations: Mapping[TableId, str],
    record: Mapping[str, Any],
    run_id: str,
    began: datetime,
    outcome: Outcome | None,
) -> Candidate:
    namespace, name = record["table"]
    base, now = record["base"], locations.get((namespace, name))
    try:
        stands = stands_on(tables, (namespace, name), base, now)
    except UnavailableError:
        stands = False
    return Candidate(
        run_id=run_id,
        started_at=began,
        table=f"{namespace}.{name}",
        base=now if stands else base,  # a property that another program set is no obstacle
        state=State(record["metadata_location"], record["snapshot_id"]),
        outcome=outcome,
    )


def _table(metadata: TableMetadata, location: str, releases: list[Release]) -> TableHistory:
    shown: dict[str, datetime] = {}
    for release in releases:
        for state in release.tables.values():
            shown.setdefault(state.metadata_location, release.published_at)
    entries = [(entry.metadata_file, _moment(entry.timestamp_ms)) for entry in metadata.metadata_log]
    following = [*entries[1:], (location, _moment(metadata.last_updated_ms))]  # one too many without entries
    return TableHistory(
        location=location,
        snapshot_id=_text(metadata.current_snapshot_id),
        snapshots={str(one.snapshot_id): _moment(one.timestamp_ms) for one in metadata.snapshots},
        refs={name: str(ref.snapshot_id) for name, ref in metadata.refs.items()},
        release_tags=release_tags(metadata),
        log=[
            # what was staged is named by the catalog only when it is published
            Superseded(file, max(moment, shown.get(after, moment)))
            for (file, _), (after, moment) in zip(entries, following, strict=False)
        ],
        made_by={
            made
            for one in metadata.snapshots
            if one.summary and (made := one.summary.additional_properties.get("slipway.run-id"))
        },
    )


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)
