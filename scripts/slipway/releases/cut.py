"""A cut: which version of each table a reader sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

_CLOSE = 0.7  # resemblance from which a name is worth mentioning
_AS_GOOD = 0.1  # and how much less than the best one it may resemble


@dataclass(frozen=True)
class TableVersion:
    """One state of a table.

    Args:
        metadata_location: the Iceberg metadata file whose current snapshot it is.
        snapshot_id: that snapshot, to find it again when the metadata file is gone.
    """

    metadata_location: str
    snapshot_id: str | None = None


@dataclass(frozen=True)
class Cut:
    """Tables as they stood together.

    Args:
        label: what the cut is called in messages, for example ``release 3 of dev``.
        tables: ``layer.table`` to the version of it.
        warning: what readers of it should know.
        option: what ``slipway sql`` is given to read it; nothing for what is published now.
    """

    label: str
    tables: Mapping[str, TableVersion]
    warning: str = ""
    option: str = ""

    def mentioned_in(self, sql: str) -> list[str]:
        """Tables that a query may read: layer and name both occur in its text.

        This finds more than the query reads (an alias or a text may be the same word), never less: quotes,
        comments, CTEs and table functions need no understanding. DuckDB then resolves the names itself.
        """
        text = sql.casefold()
        return [
            name
            for name in sorted(self.tables)
            if all(part.casefold().replace('"', '""') in text for part in name.rsplit(".", 1))
        ]

    def hint(self, name: str) -> str:
        """What to do about a name that is not there."""
        close = self.close_to(name)
        if not close:
            return (
                f"List the tables with {' '.join(filter(None, ('slipway sql', self.option)))} 'show tables'"
            )
        return f"Perhaps {' or '.join(close)} is meant"

    def close_to(self, name: str) -> list[str]:
        """Tables whose name, with or without its layer, resembles a name that is not there; best first."""
        wanted = name.replace('"', "").casefold()
        scores = {table: _resemblance(wanted, table.casefold()) for table in sorted(self.tables)}
        best = max(scores.values(), default=0.0)
        close = [table for table, score in scores.items() if score >= max(_CLOSE, best - _AS_GOOD)]
        return sorted(close, key=lambda table: -scores[table])[:3]


def _resemblance(wanted: str, table: str) -> float:
    """From 0 to 1; the same name in another layer counts as much as a slip of the pen."""
    whole = SequenceMatcher(None, wanted, table).ratio()
    return max(whole, SequenceMatcher(None, wanted.rpartition(".")[2], table.rpartition(".")[2]).ratio())
