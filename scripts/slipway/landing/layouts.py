"""How the rows of an accepted file are read: noted in the ledger where it is not what the contract says by itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Layout:
    """Columns of a file, and by which way they are read.

    Args:
        columns: the contract's name of each column, in the order of the file.
        names: the names that the file has for them; empty where only their order counts.
        types: DuckDB's types of them; empty where everything is text.
        is_copied: whether a copy is read, because DuckDB does not read the file as it is.
    """

    columns: tuple[str, ...]
    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    is_copied: bool = False

    def noted(self, columns: Sequence[str]) -> str | None:
        """Its form in the ledger; None where it is that of a CSV file with the contract's columns, read in place."""
        return None if self == Layout(tuple(columns)) else json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def of(cls, noted: str | None, columns: Sequence[str]) -> Layout:
        """The layout that was noted of a file; ``columns`` are the contract's."""
        if noted is None:
            return cls(tuple(columns))
        found = json.loads(noted)
        lists = {key: tuple(found[key]) for key in ("columns", "names", "types")}
        return cls(**lists, is_copied=found["is_copied"])
