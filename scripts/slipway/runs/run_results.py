"""What a run knows of its nodes and tests while it is under way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
        engines: unique id to the engine that runs the test, or ran it when it passed; DuckDB runs the others.
        said: unique id to why this engine runs the test, in words.
    """

    def __init__(self, earlier: EarlierResults) -> None:
        self._earlier = earlier
        self.keys: dict[str, str] = {}
        self.carried: set[str] = set()
        self.volatile: dict[str, str] = {}
        self.notes: dict[str, str] = {}
        self.problems: dict[str, list[str]] = {}
        self.engines: dict[str, str] = {}
        self.said: dict[str, str] = {}
        self._by_engine: dict[str, Mapping[str, str]] = {}

    def known_as(self, unique_id: str, keys: Mapping[str, str]) -> str:
        """The key of a test: the one under which it passed, if it can still have that, else the one that it has if DuckDB runs it.

        Args:
            unique_id: the test.
            keys: by engine, DuckDB first.
        """
        passed = self._earlier.passed(unique_id)
        engine = next((one for one, key in keys.items() if key == passed), next(iter(keys)))
        self._by_engine[unique_id] = keys
        self.engines[unique_id], self.keys[unique_id] = engine, keys[engine]
        return keys[engine]

    def runs_by(self, unique_id: str, engine: str, why: str) -> None:
        """Take note of the engine that runs a test, and of the key that it has then.

        The keys are those that were known before dbt ran the test: meanwhile it notes more macros as those that the test calls.

        Args:
            unique_id: the test.
            engine: of ``engines.writers.ENGINES``.
            why: this engine, in words.
        """
        self.engines[unique_id], self.said[unique_id] = engine, why
        if unique_id in self._by_engine:  # a test of freshness has no key
            self.keys[unique_id] = self._by_engine[unique_id][engine]

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
