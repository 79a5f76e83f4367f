"""Retire: take tables away from readers whose models are gone, as a release that a rollback takes back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.code.versions import code_of
from slipway.environments.environment import Environment, Mode
from slipway.environments.profiles import Profile
from slipway.errors import NotFoundError, SlipwayError
from slipway.iceberg.earlier_states import retired
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.processes import too_late
from slipway.records.release_records import Intent, Release, ReleasedTable
from slipway.records.run_manifest import Code
from slipway.records.store import Records
from slipway.releases.attestation import release_signed
from slipway.releases.candidates import record_of
from slipway.releases.holds import Holds
from slipway.releases.lookup import readers_of
from slipway.releases.publication import heal, settled, shown
from slipway.releases.published import check_catalog
from slipway.releases.rollback_rules import Exposure, chosen_tables, ours, refuse_foreign

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

Parse = Callable[[Path, str], "Manifest | None"]


@dataclass(frozen=True)
class Retirement:
    """What is going to be retired.

    Args:
        environment: where.
        tables: ``layer.table`` to its state.
        code: of the project, which has no model of these tables.
        last: the release before.
        exposures: who reads these tables.
        notes: what of all this is not known, and why.
        healed: publications of dead processes that were recorded, finished or undone first, a line each.
    """

    environment: Environment
    tables: dict[str, ReleasedTable]
    code: Code
    last: Release
    exposures: Sequence[Exposure] = ()
    notes: Sequence[str] = ()
    healed: Sequence[str] = ()


def propose(
    project: Path, target: str | None, names: Sequence[str], parse: Parse, *, dry: bool = False
) -> Retirement:
    """Find out what would be retired, by tables or patterns of them; nothing is.

    ``parse`` makes dbt's manifest of a project for a target, None where dbt cannot parse it. A dry run writes nothing at all, not even
    the end of a publication whose process died.

    Raises:
        UsageError: a pattern names no published table of a release.
        NotFoundError: nothing was published yet.
        ConflictError: another program committed to a table, and that would be hidden.
        SlipwayError: a model or a source of the project has one of the tables, dbt cannot parse the project, or the
            environment is production and the work tree is not a commit.
        DamagedError: a record cannot be read, or the catalog is not the environment's.
    """
    environment = Profile(project).environment(target)
    code = code_of(project)
    _refuse_unknown_code(environment, code)
    records, tables = Records(environment), Tables(environment)
    healed = settled(tables, records, "would be retired", dry=dry)
    releases = records.releases()
    if not releases:
        raise NotFoundError(
            "Nothing can be retired", "there is no release yet", "Publish one with slipway run"
        )
    locations = tables.locations()
    check_catalog(tables, records, locations)
    now = shown(tables, locations, releases[-1])
    chosen = sorted(chosen_tables(ours(releases) & now.keys(), names, ""))
    if len(chosen) == len(now):
        raise SlipwayError(
            "Nothing was retired",
            "the catalog would name no table, which is taken for a catalog that is gone",
            "Leave one of the tables",
        )
    for name in chosen:
        refuse_foreign(name, now[name], releases, "retired")
    _refuse_in_use(parse(project, environment.name), environment, chosen)
    exposures, notes = readers_of(records, releases[-1], chosen)
    return Retirement(
        environment, {name: now[name] for name in chosen}, code, releases[-1], exposures, notes, healed
    )


def retire(proposal: Retirement, reason: str) -> Release:
    """Take the tables out of the catalog in one step, recorded as a release; their files stay until maintenance.

    Raises:
        SlipwayError: the environment is on hold; nothing was changed.
        ConflictError: a table moved since the proposal was made; nothing was changed.
        UnavailableError: the catalog or the store cannot be written.
    """
    records, tables = Records(proposal.environment), Tables(proposal.environment)
    Holds(records).refuse(f"A retirement in {proposal.environment.name}")
    heal(tables, records)
    number = records.reserve()
    staged = []
    for name, table in proposal.tables.items():
        staged.append(retired(tables, TableName.parse(name), table.metadata_location))
        records.write_rollback(number, name, record_of(staged[-1], number))
    intent = Intent(
        number=number, run_id=proposal.last.run_id, code=proposal.code, reason=reason, retirement=True
    )
    with too_late():
        return release_signed(tables, records, staged, intent)


def _refuse_unknown_code(environment: Environment, code: Code) -> None:
    """That no model makes a table is said of a commit in production, as a run there is of one."""
    if environment.mode is Mode.PRODUCTION and (why := code.unknown):
        raise SlipwayError(
            f"A retirement in {environment.name} needs a clean work tree at a commit",
            why,
            "Commit the project without the models of these tables first",
        )


def _refuse_in_use(manifest: Manifest | None, environment: Environment, names: Collection[str]) -> None:
    if manifest is None:
        raise SlipwayError(
            "Nothing was retired",
            "dbt cannot parse the project, so its models are not known",
            "See dbt parse",
        )
    for node in manifest.nodes.values():
        if node.resource_type in ("model", "seed", "snapshot") and f"{node.schema}.{node.alias}" in names:
            raise SlipwayError(
                f"{node.schema}.{node.alias} cannot be retired",
                f"{node.resource_type} {node.name} ({node.original_file_path}) makes it, and the next run would make it again",
                "Remove or disable that first",
            )
    for source in manifest.sources.values():
        if f"{source.schema}.{source.identifier}" in names and source.database == environment.name:
            raise SlipwayError(
                f"{source.schema}.{source.identifier} cannot be retired",
                f"source {source.source_name}.{source.name} ({source.original_file_path}) reads it",
                "Remove that first",
            )
