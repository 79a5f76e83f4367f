"""The line that says what happened to a run."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.records.node_results import Change, Node, Status
from slipway.records.run_manifest import Outcome, RunManifest
from slipway.runs.end import summary_line


@pytest.mark.parametrize(
    ("built", "same", "expected"),
    [
        (0, 0, "0 tables"),
        (1, 0, "1 table"),
        (2, 0, "2 tables"),
        (1200, 0, "1,200 tables"),
        (3, 1, "3 tables and 1 with the same content"),
        (1, 2, "1 table and 2 with the same content"),
    ],
)
def test_tables_are_counted_in_words(built: int, same: int, expected: str) -> None:
    """One table is not "1 tables", and a table with the same content is none that changed."""
    changes = [Change.BUILT] * built + [Change.SAME_CONTENT] * same + [Change.UNCHANGED, Change.PINNED]
    nodes = [
        Node(unique_id=f"model.shop.m{number}", table=f"raw.m{number}", status=Status.SUCCESS, change=change)
        for number, change in enumerate(changes)
    ]
    facts: dict[str, Any] = {"run_id": "R", "outcome": Outcome.PUBLISHED, "release": 7, "scratch": None}
    manifest = RunManifest.model_construct(**facts, nodes=nodes)

    assert summary_line(manifest) == f"published release 7: {expected} of run R"
