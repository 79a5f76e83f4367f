"""What moves tables in a catalog that has no transaction around them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from slipway.adapters.iceberg.tables import StagedTable


class Mover(ABC):
    """Moves single tables, each only if it still is where it is expected; False when it is not.

    ``whole`` says that until now nothing was moved but all tables that were asked for, at once.
    """

    whole = False

    @abstractmethod
    def forward(self, item: StagedTable) -> bool:
        """From the base to the staged state; makes a new table."""

    @abstractmethod
    def back(self, item: StagedTable, tag: str) -> bool:
        """From the staged state, which carries the tag, to the base; drops a new table."""

    def forward_all(self, items: Sequence[StagedTable]) -> None:
        """As many as can be, in this order, until one is not where it is expected."""
        for item in items:
            if not self.forward(item):
                return
