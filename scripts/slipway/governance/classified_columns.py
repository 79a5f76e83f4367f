"""Classifications follow values: a column that is made from classified columns is classified as they are.

A table whose lineage is not known may have made any of its columns from any that its model reads. A column that has the name of one of these counts as
that one, and any other has the classifications of all of them. The declaration of a table itself, in its contract or in the YAML of its model, always decides.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from slipway.contracts.classification import (
    NOTHING_HIDDEN,
    Classifications,
    classifications,
    described_columns,
)
from slipway.contracts.contract_files import read_contracts
from slipway.governance.column_lineage import Columns, TableLineage, with_all_above
from slipway.governance.recorded_lineage import lineages_above
from slipway.records.store import Records

_Classes = frozenset[str]
_NONE: _Classes = frozenset()


def classifications_of(
    project: Path, dbt_manifest: Mapping[str, Any] | None, *, show_classified: bool = False
) -> Classifications:
    """How the contracts of a project, and ``meta`` of its models, classify columns.

    Args:
        project: folder of dbt_project.yml.
        dbt_manifest: dbt's manifest, None where it is not known.
        show_classified: somebody asked to see all values: nothing is hidden.

    Raises:
        ConfigError: a contract cannot be understood, so that it is not known what it classifies.
    """
    if show_classified:
        return NOTHING_HIDDEN
    return classifications(read_contracts(project), described_columns(dbt_manifest))


def with_lineage(
    given: Classifications,
    dbt_manifest: Mapping[str, Any] | None,
    tables: Collection[str],
    columns: Mapping[str, Columns],
    records: Records,
    made: Callable[[str], str | None],
) -> Classifications:
    """Classifications with those of columns that are made from classified ones, as the queries of models tell.

    Queries are looked at only where a table has a classified column that the tables are made from.

    Args:
        given: what contracts and dbt's YAML declare.
        dbt_manifest: dbt's manifest as JSON; None where it is not known, and then names alone decide.
        tables: ``layer.table`` of those that are asked for.
        columns: ``layer.table`` to its columns, of all tables that are read; asked for only of those that are needed.
        records: of the environment where runs made the tables.
        made: tells the run that made a table; None where that is not known.
    """
    if not given.hidden or dbt_manifest is None:
        return given
    above = with_all_above(dbt_manifest, tables)
    known = {name: found for name in above if (found := columns.get(name))}
    classified = given.hidden | {name for declared in given.declared.values() for name in declared}
    if not any(column.casefold() in classified for found in known.values() for column in found):
        return given
    return with_derived(given, lineages_above(dbt_manifest, tables, known, records, made), known)


def with_derived(
    given: Classifications, lineage: Mapping[str, TableLineage], columns: Mapping[str, Columns]
) -> Classifications:
    """Classifications with those of columns that are made from classified ones.

    Args:
        given: what contracts and dbt's YAML declare.
        lineage: ``layer.table`` to its column lineage, of the tables that are asked for and of those above them.
        columns: ``layer.table`` to its columns, of all tables that are read.
    """
    if not given.hidden:
        return given
    walk = _Walk(given, lineage, columns)
    found = {
        table: {name: made for name in walk.columns_of(table) if (made := walk.derived(table, name))}
        for table in lineage
    }
    return replace(given, derived={table: made for table, made in found.items() if made})


class _Walk:
    """What columns come to, each worked out once."""

    def __init__(
        self, given: Classifications, lineage: Mapping[str, TableLineage], columns: Mapping[str, Columns]
    ) -> None:
        self._given, self._lineage, self._columns = given, lineage, columns
        self._known: dict[tuple[str, str], _Classes] = {}
        self._names: dict[str, list[str]] = {}

    def columns_of(self, table: str) -> list[str]:
        """The columns of a table in small letters, as far as they are known."""
        if table not in self._names:
            names: Iterable[str] = self._columns.get(table) or ()
            if not names and (lineage := self._lineage.get(table)):
                names = lineage.columns
            self._names[table] = [name.casefold() for name in names]
        return self._names[table]

    def derived(self, table: str, column: str) -> _Classes:
        """The classifications that a column has from those it is made from; none where its own table declares one."""
        if column in self._given.declared.get(table, {}) or (lineage := self._lineage.get(table)) is None:
            return _NONE
        if lineage.unknown:
            return self._of_unknown(lineage, column)
        own = {name.casefold(): (name, made) for name, made in lineage.columns.items()}
        if column not in own:
            return _NONE
        name, made = own[column]
        counted = lineage.only_counted.get(name, {})
        return self._all(
            (parent, one.casefold())
            for parent, names in made.items()
            if parent != table
            for one in set(names) - set(counted.get(parent, ()))
        )

    def _of_unknown(self, lineage: TableLineage, column: str) -> _Classes:
        """A column that may be made from any that the model reads; where one of these has its name, it is taken for that one."""
        same = [parent for parent in lineage.parents if column in self.columns_of(parent)]
        if same:
            return self._all((parent, column) for parent in same)
        return self._all((parent, one) for parent in lineage.parents for one in self.columns_of(parent))

    def _all(self, sources: Iterable[tuple[str, str]]) -> _Classes:
        return _NONE.union(*(self._effective(*one) for one in sources))

    def _effective(self, table: str, column: str) -> _Classes:
        """How a column counts for those that are made from it."""
        key = table, column
        if key not in self._known:
            self._known[key] = _NONE  # tables that are made from one another, over several runs
            declared = self._given.declared.get(table, {}).get(column)
            by_name = self._given.by_name.get(column, _NONE)
            self._known[key] = declared or by_name | self.derived(table, column)
        return self._known[key]
