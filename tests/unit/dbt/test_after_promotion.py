"""Which difference a run names when it builds a promoted table again."""

from __future__ import annotations

import pytest

from slipway.dbt.after_promotion import difference
from slipway.records.node_results import Definition
from slipway.releases.table_state import TableState

KNOWN = TableState("k1", {"raw.lines": "1", "raw.notes": "2"}, definition=Definition(key="d1"))


@pytest.mark.parametrize(
    ("inputs", "definition", "expected"),
    [
        pytest.param({"raw.lines": "3", "raw.notes": "2"}, "d2", "it reads raw.lines in", id="input"),
        pytest.param({"raw.notes": "2"}, "d1", "it reads raw.lines in another state", id="input-gone"),
        pytest.param(
            dict.fromkeys("abcd", "3"), "d1", "it reads a, b, c and 3 more in another state", id="inputs"
        ),
        pytest.param(KNOWN.inputs, "d2", "its code or variables are others", id="definition"),
        pytest.param(KNOWN.inputs, "d1", "its layout, its checks, settings", id="engine"),
    ],
)
def test_what_differs(inputs: dict[str, str], definition: str, expected: str) -> None:
    assert expected in difference(KNOWN, TableState("k2", inputs, definition=Definition(key=definition)))
