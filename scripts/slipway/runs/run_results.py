"""What a run knows of its nodes and tests while it is under way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slipway.records.node_results import Node
from slipway.runs.earlier_results import EarlierResults


class RunNodes:
    """What is known of the nodes that a run came to, each of which one thread builds.

    Attributes:
        known: by unique id.
    """

    def __init__(self) -> None:
        self.known: dict[str, Node] = {}

    def note(self, node: Node) -> None:
        """Take note of a node, in the place of what was known of it."""
        self.known[node.unique_id] = node

    def update(self, unique_id: str, **fields: Any) -> None:
        """Take note of what became of a node."""
        self.known[unique_id] = self.known[unique_id].model_copy(update=fields)


class CarriedTests:
    """Tests that need not run, because they passed before with the same code on the same tables.

    Args:
        earlier: what earlier runs know of them.

    Attributes:
        keys: unique id to what decides about the result of a test.
        carried: unique ids of the tests that are not run.
        volatile: unique id to what else the result of a test depends on, in words.
        notes: unique id to what a test says besides its status, in words.
        problems: unique id to what a test found, in sentences.
    """

    def __init__(self, earlier: EarlierResults) -> None:
        self._earlier = earlier
        self.keys: dict[str, str] = {}
        self.carried: set[str] = set()
        self.volatile: dict[str, str] = {}
        self.notes: dict[str, str] = {}
        self.problems: dict[str, list[str]] = {}

    def carry(self, unique_id: str, key: str, volatile: Callable[[], str], *, runs: bool = False) -> bool:
        """Whether a test need not run.

        Args:
            unique_id: the test.
            key: its key.
            volatile: finds what else its result depends on, in words; empty for nothing. It is asked in any case: the next
                run may carry the test without looking at its query.
            runs: the test is run in any case.
        """
        if why := volatile():
            self.volatile[unique_id] = why
            return False
        if runs or self._earlier.passed(unique_id) != key:
            return False
        self.carried.add(unique_id)
        return True
