"""How the rows of an accepted file are read: noted in the ledger where it is not what the contract says by itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

from slipway.names import twin_key


@dataclass(frozen=True)
class Layout:
    """Columns of a file, and by which way they are read.

    Args:
        columns: the contract's name of each column, in the order of the file; of a column that it does not name that of the file.
        names: the names that the file has for them; empty where only their order counts.
        types: DuckDB's types of them; empty where everything is text.
        is_copied: whether a copy is read, because DuckDB does not read the file as it is.
    """

    columns: tuple[str, ...]
    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    is_copied: bool = False

    @property
    def noted(self) -> str:
        """Its form in the ledger."""
        return json.dumps(asdict(self), ensure_ascii=False)

    def others(self, columns: Sequence[str]) -> list[str]:
        """Its columns that are none of the contract's."""
        known = {twin_key(name) for name in columns}
        return [name for name in self.columns if twin_key(name) not in known]

    @cached_property
    def _spelled(self) -> dict[str, str]:
        return {twin_key(name): name for name in self.columns}

    def column(self, name: str) -> str | None:
        """Its name for a column, which it may spell otherwise; None where it does not have it."""
        return self._spelled.get(twin_key(name))

    @classmethod
    def of(cls, noted: str) -> Layout:
        """The layout that was noted of a file."""
        found = json.loads(noted)
        lists = {key: tuple(found[key]) for key in ("columns", "names", "types")}
        return cls(**lists, is_copied=found["is_copied"])
