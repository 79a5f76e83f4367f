"""dbt's build without a rule that two builds to be compared cannot have: that nothing is built after a test that fails.

Source: ``BuildTask`` of dbt-core, whose graph has an edge from each test to what comes after the nodes that it tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dbt.artifacts.resources.types import NodeType
from dbt.artifacts.schemas.results import NodeStatus
from dbt.task import build
from dbt.task.base import ConfiguredTask
from dbt.task.test import TestRunner


class _UnitTestRunner(TestRunner):
    """Runs a unit test; one that cannot be run fails, with the error as its message."""

    def error_result(self, *arguments: Any) -> Any:
        result: Any = super().error_result(*arguments)  # type: ignore[no-untyped-call]
        result.status = NodeStatus.Fail
        return result


class _BuildTask(build.BuildTask):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        stopping = self.MARK_DEPENDENT_ERRORS_STATUSES
        self.MARK_DEPENDENT_ERRORS_STATUSES = [status for status in stopping if status != NodeStatus.Fail]
        self.RUNNER_MAP = {**self.RUNNER_MAP, NodeType.Unit: _UnitTestRunner}

    def compile_manifest(self) -> None:
        ConfiguredTask.compile_manifest(self)


_NAME = "BuildTask"


@contextmanager
def whatever_tests_say() -> Iterator[None]:
    """Have ``dbt build`` build all nodes, whether tests of those before them fail or not, until the block is left."""
    of_dbt = getattr(build, _NAME)
    setattr(build, _NAME, _BuildTask)
    try:
        yield
    finally:
        setattr(build, _NAME, of_dbt)
