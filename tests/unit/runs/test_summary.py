"""The line that says what happened to a run."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.records.run_manifest import Outcome, RunManifest
from slipway.runs.end import summary_line


@pytest.mark.parametrize(
    ("tables", "said"), [(0, "0 tables"), (1, "1 table"), (2, "2 tables"), (1200, "1,200 tables")]
)
def test_tables_are_counted_in_words(tables: int, said: str) -> None:
    """One table is not "1 tables"."""
    facts: dict[str, Any] = {"run_id": "R", "outcome": Outcome.PUBLISHED, "release": 7, "scratch": None}
    manifest = RunManifest.model_construct(**facts)

    assert summary_line(manifest, tables) == f"published release 7: {said} of run R"
