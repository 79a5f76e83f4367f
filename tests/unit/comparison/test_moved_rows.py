"""Rows that go to quarantine, and come back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from benchmarks.lake import Lake

from slipway.comparison.compare import compare_states
from slipway.comparison.moved_rows import quarantines_of, with_moves
from slipway.comparison.policy import ComparisonPolicy
from slipway.comparison.report import make_report
from slipway.comparison.results import Move
from slipway.comparison.shared_files import TableState
from slipway.comparison.text_report import to_text


@pytest.fixture
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    found = Lake(tmp_path_factory.mktemp("lake"))
    yield found
    found.connection.close()


def state(lake: Lake, name: str, lines: dict[int, str]) -> TableState:
    """A table of lines of one file, each with its rule; partitioned, so that states share files."""
    listed = ", ".join(f"('f', {line}, '{rule}', {line // 4})" for line, rule in lines.items())
    query = f"from (values {listed}) as t(_file_sha256, _source_line, rule_id, part)"
    lake.write(name, query, "replace", partitioned_by=["part"])
    return TableState(lake.table(name))


def test_rows_are_followed_by_file_and_line(lake: Lake) -> None:
    good = dict.fromkeys(range(8), "")
    curated = state(lake, "lines", good), state(lake, "lines", dict.fromkeys((0, 1, 2, 3, 4, 9), ""))
    # 5 and 6 are refused now, by two rules; 7 is lost; 9 comes back; 20 was never accepted
    refused = (
        state(lake, "refused", {9: "late", 12: "late"}),
        state(lake, "refused", {5: "late", 6: "price", 12: "late", 20: "price"}),
    )
    tables = {"curated.lines": curated, "quarantine.lines": refused}
    compared = [
        compare_states(lake.connection, name, *both, ComparisonPolicy()) for name, both in tables.items()
    ]
    node = {
        "schema": "quarantine",
        "alias": "lines",
        "config": {"conserves": {"raw": "raw.x", "curated": "curated.lines"}},
    }
    quarantines = quarantines_of({"nodes": {"model.x": node, "test.y": {"config": {}}}})
    _, found = with_moves(lake.connection, compared, quarantines, tables)
    assert found.moves == (
        Move(curated="curated.lines", rule="late", to_quarantine=1, back=1),
        Move(curated="curated.lines", rule="price", to_quarantine=1, back=0),
    )
    text = to_text(make_report([found]))
    assert "rule late: 1 row moved here from curated.lines, 1 row moved from here to curated.lines" in text
