"""Documents whose objects stand together by their shapes come apart again as they were."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from slipway.site.shared_shapes import shared
from slipway.site.site_folder import squeezed

VALUES = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b", "__proto__", "é"])
DOCUMENTS = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=30,
)


def restored(content: bytes) -> object:
    """What the script of the page makes of it."""
    found = json.loads(content)
    rows, unseen = [0] * len(found["shapes"]), iter(found["values"])

    def cell(code: int) -> object:
        if code >= 0:
            return found["values"][code - 1] if code else next(unseen)
        shape = -1 - code
        row, keys = rows[shape], found["shapes"][shape]
        rows[shape] += 1
        fields = [
            cell(column[row] if isinstance(column, list) else column) for column in found["columns"][shape]
        ]
        return dict(zip(keys, fields, strict=True)) if isinstance(keys, list) else fields

    made = cell(found["root"])
    assert list(unseen) == []
    return made


@given(document=DOCUMENTS)
def test_a_document_comes_apart_as_it_was(document: object) -> None:
    # as text, in which true is not 1, and keys have an order
    assert json.dumps(restored(shared(document))) == json.dumps(document)


def test_equal_objects_take_hardly_more_room_than_one() -> None:
    few, many = (
        len(squeezed(shared([{"name": "column", "type": "BIGINT"} for _ in range(count)])))
        for count in (2, 2000)
    )
    assert many < few + 100
