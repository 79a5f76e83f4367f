"""Which files are compacted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slipway.maintenance.retention import ENOUGH, MIN_FILES, LiveFile, pack

TARGET = 100
SIZES = st.lists(st.tuples(st.integers(1, 150), st.sampled_from("ab")), max_size=60)


@given(SIZES)
def test_bins(sizes: list[tuple[int, str]]) -> None:
    files = [LiveFile(str(number), size, part) for number, (size, part) in enumerate(sizes)]
    bins = pack(files, TARGET)
    packed = [file for one in bins for file in one.files]
    assert len(packed) == len(set(packed))
    assert set(packed) <= set(files)
    for one in bins:
        assert len({file.partition for file in one.files}) == 1
        assert all(file.size < TARGET * ENOUGH for file in one.files)
        assert one.size <= TARGET
        assert len(one.files) >= MIN_FILES or (len(one.files) > 1 and one.size >= TARGET * ENOUGH)
    for part in "ab":  # what is left of a partition is less than would be worth it
        left = [file for file in files if file.partition == part and file not in packed and file.size < 75]
        assert pack(left, TARGET) == []


def test_what_is_put_together_stays_together() -> None:
    many = [LiveFile(f"{number:04d}", 1) for number in range(1000)]
    bins = pack(many, TARGET)
    assert [len(one.files) for one in bins] == [100] * 10
    assert pack([LiveFile(str(number), one.size) for number, one in enumerate(bins)], TARGET) == []
    assert pack([LiveFile("a", 1), LiveFile("b", 1), LiveFile("c", 76)], TARGET) == []
    assert [len(one.files) for one in pack([LiveFile("a", 40), LiveFile("b", 40)], TARGET)] == [2]
