"""Which columns of a query's result have the names of columns that contracts classify."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from slipway.alerts.lineage import Lineage
from slipway.contracts.contract_files import look_at_all
from slipway.contracts.model import Contract
from slipway.errors import SlipwayError
from slipway.landing.feeds import Feed
from slipway.records.store import Records

_OPEN = ("public", "internal")
"""Whoever may query tables may see these."""


def classified_result(
    project: Path, records: Records, columns: Iterable[str], tables: Collection[str]
) -> dict[str, str]:
    """Columns of a result with their classification, by only their names: what an alias or an expression renames is not found.

    A contract counts where the query names its table, or one that is made from it as dbt's manifest of the last release says. Contracts with mistakes
    are passed over.

    Args:
        project: folder of dbt_project.yml.
        records: of the environment.
        columns: names of the result.
        tables: ``layer.table`` of those that the query names.
    """
    wanted = {name.casefold(): name for name in columns}
    contracts = [one.contract for one in look_at_all(project) if one.contract]
    named = [(one, found) for one in contracts if (found := _classified(one, wanted))]
    if not named:
        return {}
    lineage = _lineage(records, contracts)
    shown: dict[str, str] = {}
    for contract, found in named:
        if any(set(tables) & set(lineage.affected(table).tables) for table in _tables(contract)):
            shown |= found
    return shown


def _classified(contract: Contract, wanted: dict[str, str]) -> dict[str, str]:
    return {
        wanted[name.casefold()]: column.classification
        for table in contract.tables
        for column in table.columns
        for name in (column.name, column.header)
        if column.classification
        and column.classification.casefold() not in _OPEN
        and name.casefold() in wanted
    }


def _tables(contract: Contract) -> Iterator[str]:
    with suppress(SlipwayError):  # described wrongly: lint reports it
        if feed := Feed.of(contract):
            yield f"raw.{feed.name}"
            return
    for table in contract.tables:
        name = table.physical_name or table.name
        yield name if "." in name else contract.id


def _lineage(records: Records, contracts: Iterable[Contract]) -> Lineage:
    manifest = None
    with suppress(SlipwayError):  # records that are damaged are reported elsewhere
        last = records.last_release()
        manifest = records.dbt_manifest(last.run_id) if last else None
    return Lineage(manifest or {}, contracts)
