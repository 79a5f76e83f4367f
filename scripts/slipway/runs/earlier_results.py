"""What earlier runs found out about tests: each as the newest run says that came to it."""

from __future__ import annotations

from collections.abc import Collection

from slipway.records.run_manifest import RunManifest, Status, TestResult


class EarlierResults:
    """Results of runs whose tables are what is published, or were.

    A test passed under a key that names everything it depends on. So it does not matter how long ago that was, and runs with
    ``--select`` do not make the others forgotten.

    Attributes:
        newest: the manifest of the newest of them.
    """

    def __init__(self) -> None:
        self._nodes: set[str] = set()
        self._tests: dict[str, TestResult] = {}
        self._is_whole = False
        self.newest: RunManifest | None = None

    def add(self, run: RunManifest) -> None:
        """Take over what a run says of tests that no newer one came to."""
        self.newest = self.newest or run
        self._nodes.update(node.unique_id for node in run.nodes)
        for test in run.tests.results:
            if not test.status.left_out:
                self._tests.setdefault(test.unique_id, test)
        self._is_whole = not (run.options.select or run.options.exclude or run.tests.not_run)

    def suffices(self, selected: Collection[str]) -> bool:
        """Whether no older run is worth reading: all that is selected is known, or the last one that was added selected everything.

        Args:
            selected: unique ids.
        """
        return self._is_whole or (self._nodes | self._tests.keys()).issuperset(selected)

    def passed(self, unique_id: str) -> str | None:
        """The key under which a test passed, None if it did not."""
        found = self._tests.get(unique_id)
        return found.key if found and found.status is Status.PASS else None
