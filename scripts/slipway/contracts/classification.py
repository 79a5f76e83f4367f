"""What may be shown of classified columns: the one rule behind every report, list and profile that shows values of rows or what is computed from them.

| classification | values | sums |
| --- | --- | --- |
| none, ``public`` | shown | shown |
| ``internal`` | hidden | shown of ten rows or more |
| ``confidential``, ``restricted``, any other word | hidden | hidden |

*Values* are also minima, maxima, quantiles, frequent values and the largest change, because each of them is the value of a row. Counts, shares and the
stability index of a distribution are always shown. A column counts by its name in every table, because models pass columns on under their names; of several
classifications that a name has, the strictest counts. A column that is made from classified ones has their classifications, too, unless its own table declares another: ``governance.classified_columns``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from slipway.contracts.model import Column, Contract, Table

SECRECY = {"public": 0, "internal": 1, "confidential": 2, "restricted": 3}
"""The usual classifications, each stricter than those before."""

FEW_ROWS = 10
"""A sum over fewer rows reveals what single rows have."""
_PUBLIC = frozenset(("public",))
_IN_SUMS = frozenset(("public", "internal"))


@dataclass(frozen=True)
class Classifications:
    """How columns are classified.

    Args:
        by_name: names of columns to all classifications that are given to one of this name, both in small letters.
        declared: ``layer.table`` to columns that are classified in this table itself, by its contract or the YAML of its model.
        derived: ``layer.table`` to columns that are made from classified ones, with the classifications of these.
    """

    by_name: Mapping[str, frozenset[str]] = field(default_factory=dict)
    declared: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)
    derived: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)

    def of_table(self, table: str) -> Classifications:
        """The same for the columns of one table, with those that are made from classified ones.

        Args:
            table: ``layer.table``.
        """
        if not (made := self.derived.get(table)):
            return self
        merged = {
            name: self.by_name.get(name, frozenset()) | made.get(name, frozenset())
            for name in {*self.by_name, *made}
        }
        return Classifications(merged)

    @property
    def hidden(self) -> frozenset[str]:
        """Names of columns, in small letters, whose values are hidden."""
        return frozenset(name for name, given in self.by_name.items() if not given <= _PUBLIC)

    def hides_values(self, column: str) -> bool:
        """Whether values of a column are hidden, and with them minima, maxima, quantiles, and frequent values."""
        return not self.by_name.get(column.casefold(), _PUBLIC) <= _PUBLIC

    def hides_sum(self, column: str, rows: int) -> bool:
        """Whether a sum of a column over so many rows is hidden."""
        given = self.by_name.get(column.casefold(), _PUBLIC)
        return not given <= _IN_SUMS or (rows < FEW_ROWS and not given <= _PUBLIC)


def strictest(given: Iterable[str]) -> str:
    """The strictest of some classifications, empty for none; a word that is none of the usual ones is stricter than they are."""
    return max(sorted(given), key=lambda one: SECRECY.get(one.casefold(), len(SECRECY)), default="")


NOTHING_HIDDEN = Classifications()
"""Where somebody has asked for all values with ``--show-classified``."""


def classifications(
    contracts: Iterable[Contract], described: Iterable[tuple[str, str, Any]] = ()
) -> Classifications:
    """How contracts, and ``meta`` of models, classify columns.

    Args:
        contracts: of the project. A column counts under its name and under its header in files, whichever of the two is classified elsewhere.
        described: tables, names of columns and their description in dbt's manifest, as ``described_columns`` gives them.
    """
    found: dict[str, set[str]] = defaultdict(set)
    declared: dict[str, dict[str, set[str]]] = defaultdict(dict)
    same: list[tuple[str, str]] = []
    for contract in contracts:
        for table, column in _columns(contract):
            name, header = column.name.casefold(), column.header.casefold()
            same += [(name, header)] if name != header else []
            if column.classification:
                for one in (name, header):
                    found[one].add(column.classification.casefold())
                    for place in _tables(contract, table):
                        declared[place].setdefault(one, set()).add(column.classification.casefold())
    for place, name, column in described:
        if given := classification_of(column):
            found[name.casefold()].add(given)
            declared[place].setdefault(name.casefold(), set()).add(given)
    for name, header in same:
        if both := found.get(name, set()) | found.get(header, set()):
            found[name], found[header] = set(both), set(both)
    return Classifications(_frozen(found), {table: _frozen(columns) for table, columns in declared.items()})


def _columns(contract: Contract) -> Iterator[tuple[Table, Column]]:
    for table in contract.tables:
        for column in table.columns:
            yield table, column


def _frozen(found: Mapping[str, set[str]]) -> dict[str, frozenset[str]]:
    return {name: frozenset(given) for name, given in found.items()}


def _tables(contract: Contract, table: Table) -> Iterator[str]:
    """``layer.table`` of what a contract describes: the raw table of a feed, or the product that it names with its layer."""
    if (server := contract.landing) is not None:
        folder = (server.path or "").rpartition("/")[0].strip("/")
        yield f"raw.{folder or table.physical_name or table.name}"
        return
    name = table.physical_name or table.name
    if "." in (found := name if "." in name else contract.id):
        yield found


def described_columns(
    dbt_manifest: Mapping[str, Any] | None,
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """The columns of all nodes of dbt's manifest as JSON: table, name and description; nothing where it is not known."""
    for kind in ("nodes", "sources"):
        for node in ((dbt_manifest or {}).get(kind) or {}).values():
            table = f"{node.get('schema')}.{node.get('alias') or node.get('identifier') or node.get('name')}"
            for name, column in (node.get("columns") or {}).items():
                yield table, name, column


def classification_of(described: Any) -> str:  # noqa: ANN401 - JSON of dbt's manifest, or dbt's own objects
    """How ``meta`` of a model or a column classifies it, in small letters; empty where it does not.

    Args:
        described: in dbt's manifest, as JSON or as dbt's own object.
    """
    meta = {**(_part(described, "meta") or {}), **(_part(_part(described, "config") or {}, "meta") or {})}
    return str(meta.get("classification") or "").casefold()


def _part(described: Any, name: str) -> Any:  # noqa: ANN401 - as above
    return described.get(name) if isinstance(described, Mapping) else getattr(described, name, None)
