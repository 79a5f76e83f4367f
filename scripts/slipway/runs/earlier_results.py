"""What earlier runs found out about nodes and tests: each as the newest run says that came to it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from slipway.records.node_results import Change, Node, Status, TestResult
from slipway.records.run_manifest import RunManifest, Versions


@dataclass(frozen=True)
class Tables:
    """The tables of a run.

    Args:
        locations: ``database.layer.table`` to metadata file, of what it read and of what it came to.
        read: names of those that its queries read, or that it made.
    """

    locations: Mapping[str, str]
    read: Collection[str]


Result = TypeVar("Result", Node, TestResult)


@dataclass(frozen=True)
class Earlier(Generic[Result]):
    """What one run says of a node or test, and what else has to be as it was then.

    Args:
        result: of the node or test.
        tables: of the run.
        versions: of the run.
    """

    result: Result
    tables: Tables
    versions: Versions


class EarlierResults:
    """Results of runs whose tables are what is published, or were.

    A test passed, or a table was found unchanged, under a key that names everything it depends on. So it does not matter how long
    ago that was, and runs with ``--select`` do not make the others forgotten.

    Attributes:
        newest: the manifest of the newest of them.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, Earlier[Node]] = {}
        self._tests: dict[str, Earlier[TestResult]] = {}
        self._is_whole = False
        self.newest: RunManifest | None = None

    def add(self, run: RunManifest) -> None:
        """Take over what a run says of nodes and tests that no newer one came to."""
        self.newest = self.newest or run
        tables = _tables(run)
        for node in run.nodes:
            self._nodes.setdefault(node.unique_id, Earlier(node, tables, run.versions))
        for test in run.tests.results:
            if not test.status.left_out:
                self._tests.setdefault(test.unique_id, Earlier(test, tables, run.versions))
        self._is_whole = not (run.options.select or run.options.exclude or run.tests.not_run)

    def suffices(self, selected: Collection[str]) -> bool:
        """Whether no older run is worth reading: all that is selected is known, or the last one that was added selected everything.

        Args:
            selected: unique ids.
        """
        known = self._nodes.keys() | self._tests.keys()
        return self._is_whole or known.issuperset(selected)

    def passed(self, unique_id: str) -> str | None:
        """The key under which a test passed, None if it did not."""
        found = self._tests.get(unique_id)
        return found.result.key if found and found.result.status is Status.PASS else None

    def unchanged(self, unique_id: str) -> Earlier[Node] | None:
        """The run that found the table of a node unchanged, if the last one that came to it did."""
        found = self._nodes.get(unique_id)
        if found is None or found.result.volatile or found.result.status is not Status.SUCCESS:
            return None
        return found if found.result.change is Change.UNCHANGED else None

    def tested(self, unique_id: str) -> Earlier[TestResult] | None:
        """The run in which a test passed that depends on nothing but its key, if the last one that came to it is one."""
        found = self._tests.get(unique_id)
        return found if found and found.result.status is Status.PASS and not found.result.volatile else None


def _tables(run: RunManifest) -> Tables:
    inputs = {item.table: item.metadata_location for item in run.inputs}
    nodes = dict(_of_nodes(run))
    made = [f"{run.target}.{node.table}" for node in run.nodes if node.change.stages]
    return Tables({**nodes, **inputs}, frozenset({*inputs, *made}))


def _of_nodes(run: RunManifest) -> Iterator[tuple[str, str]]:
    for node in run.nodes:
        if node.metadata_location:
            yield f"{run.target}.{node.table}", node.metadata_location
