"""What may be shown of classified columns: the one rule behind every report, list and profile that shows values of rows or what is computed from them.

| classification | values | sums |
| --- | --- | --- |
| none, ``public`` | shown | shown |
| ``internal`` | hidden | shown of ten rows or more |
| ``confidential``, ``restricted``, any other word | hidden | hidden |

*Values* are also minima, maxima, quantiles, frequent values and the largest change, because each of them is the value of a row. Counts, shares and the
stability index of a distribution are always shown. A column counts by its name in every table, because models pass columns on under their names; of several
classifications that a name has, the strictest counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from slipway.contracts.model import Contract

SECRECY = {"public": 0, "internal": 1, "confidential": 2, "restricted": 3}
"""The usual classifications, each stricter than those before."""

FEW_ROWS = 10
"""A sum over fewer rows tells what single rows have."""
_PUBLIC = frozenset(("public",))
_IN_SUMS = frozenset(("public", "internal"))


@dataclass(frozen=True)
class Classifications:
    """How columns are classified.

    Args:
        by_name: names of columns to all classifications that are given to one of this name, both in small letters.
    """

    by_name: Mapping[str, frozenset[str]] = field(default_factory=dict)

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


NOTHING_HIDDEN = Classifications()
"""Where somebody has asked for all values with ``--show-classified``."""


def classifications(
    contracts: Iterable[Contract], described: Iterable[tuple[str, Any]] = ()
) -> Classifications:
    """How contracts, and ``meta`` of models, classify columns.

    Args:
        contracts: of the project. A column counts under its name and under its header in files, whichever of the two is classified elsewhere.
        described: names of columns with their description in dbt's manifest, as ``described_columns`` gives them.
    """
    found: dict[str, set[str]] = defaultdict(set)
    same: list[tuple[str, str]] = []
    for contract in contracts:
        for column in (column for table in contract.tables for column in table.columns):
            name, header = column.name.casefold(), column.header.casefold()
            same += [(name, header)] if name != header else []
            if column.classification:
                for one in (name, header):
                    found[one].add(column.classification.casefold())
    for name, column in described:
        if given := classification_of(column):
            found[name.casefold()].add(given)
    for name, header in same:
        if both := found.get(name, set()) | found.get(header, set()):
            found[name], found[header] = set(both), set(both)
    return Classifications({name: frozenset(given) for name, given in found.items()})


def described_columns(dbt_manifest: Mapping[str, Any] | None) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Names of the columns of all nodes of dbt's manifest as JSON, with their descriptions; nothing where it is not known."""
    for kind in ("nodes", "sources"):
        for node in ((dbt_manifest or {}).get(kind) or {}).values():
            yield from (node.get("columns") or {}).items()


def classification_of(described: Any) -> str:  # noqa: ANN401 - JSON of dbt's manifest, or dbt's own objects
    """How ``meta`` of a model or a column classifies it, in small letters; empty where it does not.

    Args:
        described: in dbt's manifest, as JSON or as dbt's own object.
    """
    meta = {**(_part(described, "meta") or {}), **(_part(_part(described, "config") or {}, "meta") or {})}
    return str(meta.get("classification") or "").casefold()


def _part(described: Any, name: str) -> Any:  # noqa: ANN401 - as above
    return described.get(name) if isinstance(described, Mapping) else getattr(described, name, None)
