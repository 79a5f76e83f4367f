"""A cut: which version of each table a reader sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches


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
    """

    label: str
    tables: Mapping[str, TableVersion]

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

    def close_to(self, name: str) -> list[str]:
        """Tables whose name, with or without its layer, resembles a name that is not there; best first."""
        wanted = name.replace('"', "").casefold()
        full = {table.casefold(): table for table in self.tables}
        bare: dict[str, list[str]] = {}
        for table in sorted(self.tables):
            bare.setdefault(table.rsplit(".", 1)[1].casefold(), []).append(table)
        found = [full[match] for match in get_close_matches(wanted, full, n=3, cutoff=0.7)]
        for match in get_close_matches(wanted.rsplit(".", 1)[-1], bare, n=3, cutoff=0.7):
            found += bare[match]
        return list(dict.fromkeys(found))[:3]
