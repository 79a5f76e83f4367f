"""Verdicts of canaries, kept below ``_slipway/comparisons``: how a commit compares with another one on the same inputs."""

from __future__ import annotations

from slipway.records.promotion_records import CodeComparison
from slipway.records.record_files import read_record
from slipway.records.store import Records

_FOLDER = "comparisons"


def keep_comparison(records: Records, comparison: CodeComparison) -> None:
    """Write a comparison down, once."""
    key = f"{_FOLDER}/{comparison.commit}/{comparison.comparison_id}.json"
    records.store.create(key, comparison.model_dump_json(indent=1).encode())


def newest_comparison(records: Records, commit: str) -> CodeComparison | None:
    """The newest comparison of a commit, whatever its verdict is; None where there is none.

    Raises:
        DamagedError: it cannot be read.
    """
    keys = sorted(item.key for item in records.store.entries(f"{_FOLDER}/{commit}"))
    return read_record(records.store, CodeComparison, keys[-1], commit=commit) if keys else None
