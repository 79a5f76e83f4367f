"""Verdicts of canaries, kept below ``_slipway/comparisons``: how a commit compares with another one on the same inputs."""

from __future__ import annotations

from slipway.records.promotion_records import CodeComparison
from slipway.records.record_files import read_record
from slipway.records.store import Records

COMPARISONS = "comparisons"
"""Folder of the verdicts, in an environment and in what came with a promotion."""


def keep_comparison(records: Records, comparison: CodeComparison) -> None:
    """Write a comparison down, once."""
    key = f"{COMPARISONS}/{comparison.commit}/{comparison.comparison_id}.json"
    records.store.create(key, comparison.model_dump_json(indent=1).encode())


def comparisons_of(records: Records, commit: str) -> list[CodeComparison]:
    """The comparisons of a commit, whatever their verdicts are, oldest first.

    Raises:
        DamagedError: one cannot be read.
    """
    keys = sorted(item.key for item in records.store.entries(f"{COMPARISONS}/{commit}"))
    return [read_record(records.store, CodeComparison, key, commit=commit) for key in keys]
