"""Rows that are let through are read as they were written, and a file that holds something else is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.contracts.released_rows import ReleasedRows, path_of, read_released, write_released
from slipway.errors import ConfigError

ROWS = st.builds(
    ReleasedRows,
    rule=st.text(min_size=1),
    file=st.text(),
    sha256=st.just("0a" * 32),
    lines=st.lists(st.integers(1, 10**9), min_size=1, max_size=3, unique=True).map(
        lambda one: tuple(sorted(one))
    ),
    reason=st.text(min_size=1),
    released_by=st.text(),
    released_at=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001 - hypothesis wants none
        lambda one: one.replace(microsecond=0, tzinfo=UTC)
    ),
)


@settings(max_examples=25)
@given(rows=st.lists(ROWS, max_size=3))
def test_what_is_written_is_read(rows: list[ReleasedRows], tmp_path_factory: pytest.TempPathFactory) -> None:
    project = tmp_path_factory.mktemp("project", numbered=True)
    (project / "contracts").mkdir()
    assert read_released(project, "f") == []
    write_released(project, "f", rows)
    found = read_released(project, "f")
    assert sorted(one.model_dump_json() for one in found) == sorted(one.model_dump_json() for one in rows)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("rule: a", "it is no list"),
        ("- rule: a", "Field required"),
        ("- [", "expected"),
        (
            "- {rule: a, file: f, sha256: x, lines: [1], reason: r, released_by: a, released_at: 2024-05-01}",
            "sha256",
        ),
    ],
)
def test_what_is_none_of_them_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "contracts").mkdir()
    path_of(tmp_path, "f").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=why):
        read_released(tmp_path, "f")
