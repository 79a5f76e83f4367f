"""Which tables above a table brought its differences, decided by column lineage where that is known, and by tables where it is not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from slipway.comparison.results import Difference, Method, TableComparison, Verdict
from slipway.governance.column_lineage import TableLineage

BY_COLUMNS = "decided by column lineage"
_NOT_RECORDED = "it is not recorded"


def is_differing(table: TableComparison) -> bool:
    """Whether a table may have brought differences to others: also one that was not compared."""
    return table.verdict not in (Verdict.IDENTICAL, Verdict.NO_EVIDENCE)


def changed_columns(table: TableComparison) -> frozenset[str] | None:
    """Columns of a table that differ, tolerated differences among them, and those that were not looked at; None where its rows differ, or that is not known."""
    rows = table.rows
    if table.coverage.method is not Method.KEY or rows.added or rows.removed:
        return None
    if not (table.base.exists and table.head.exists):
        return None
    schema = table.schema_changes
    found = {column.name for column in table.columns if column.matching < column.compared}
    found |= {*schema.added, *schema.removed, *schema.renamed, *(one.column for one in schema.type_changed)}
    return frozenset(found | set(table.coverage.not_compared))


class Origins:
    """Finds the tables that differences come from.

    Args:
        comparisons: of all tables.
        parents: ``layer.table`` to the tables that its model reads.
        changed: tables whose own code changed, or that are new.
        lineage: column lineage of tables, as far as it is known.
    """

    def __init__(
        self,
        comparisons: Sequence[TableComparison],
        parents: Mapping[str, Collection[str]],
        changed: Collection[str],
        lineage: Mapping[str, TableLineage],
    ) -> None:
        self._tables = {one.name: one for one in comparisons if is_differing(one)}
        self._columns = {name: changed_columns(one) for name, one in self._tables.items()}
        self._parents, self._changed, self._lineage = parents, changed, lineage
        self._known: dict[tuple[str, str | None], tuple[str, ...]] = {}

    def of_difference(self, table: TableComparison, difference: Difference) -> tuple[str, ...]:
        """The nearest tables above that may have brought a difference, and are edited or read none that may have."""
        if difference.column is not None:
            return self._of(table.name, difference.column)
        # a row is added or removed where its key changed, and without a key where any column did
        key = table.coverage.key if table.coverage.method is Method.KEY else ()
        columns = key or self._all_columns(table.name)
        found = {
            *self._of(table.name, None),
            *(name for one in columns for name in self._of(table.name, one)),
        }
        return tuple(sorted(found))

    def of_table(self, table: TableComparison) -> tuple[str, ...]:
        """The same for all of its differences, or for its rows where they were not compared."""
        found = {name for one in table.differences for name in self.of_difference(table, one)}
        return tuple(sorted(found)) if table.differences else self._of(table.name, None)

    def how(self, name: str) -> str:
        """How the origins of a table were decided, for the report; empty where no table above it differs."""
        if not set(self._parents.get(name, ())) & self._tables.keys():
            return ""
        lineage = self._lineage.get(name)
        why = _NOT_RECORDED if lineage is None else lineage.unknown
        return f"decided by tables, because the column lineage is not known: {why}" if why else BY_COLUMNS

    def _all_columns(self, name: str) -> Collection[str]:
        lineage = self._lineage.get(name)
        return lineage.columns if lineage else ()

    def _of(self, name: str, column: str | None) -> tuple[str, ...]:
        if (name, column) in self._known:
            return self._known[name, column]
        self._known[name, column] = ()  # a circle, which dbt refuses, would end here
        found: set[str] = set()
        lineage = self._lineage.get(name)
        for parent in sorted(set(self._parents.get(name, ())) & self._tables.keys()):
            changed = self._columns[parent]
            if lineage and not lineage.depends_on(column, parent, changed):
                continue
            found |= (
                {parent}
                if parent in self._changed
                else set(self._above(lineage, column, parent) or (parent,))
            )
        self._known[name, column] = tuple(sorted(found))
        return self._known[name, column]

    def _above(self, lineage: TableLineage | None, column: str | None, parent: str) -> set[str]:
        """The origins of what a column sees of a table above, which is not edited itself."""
        changed = self._columns[parent]
        if changed is None:
            return set(self.of_table(self._tables[parent]))
        seen = [one for one in changed if lineage is None or lineage.depends_on(column, parent, {one})]
        return {name for one in seen for name in self._of(parent, one)}
