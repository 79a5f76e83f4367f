"""What is written next to the axes of plots."""

from __future__ import annotations

import re

import pytest

from slipway.charts import plot, short, short_size


@pytest.mark.parametrize(
    ("value", "written"), [(0.25, "0.25"), (999, "999"), (999.7, "1000"), (1000, "1k"), (12_345, "12.3k")]
)
def test_numbers_have_no_exponent(value: float, written: str) -> None:
    assert short(value) == written


@pytest.mark.parametrize(
    ("value", "written"), [(512, "512 B"), (1000, "1000 B"), (1023, "1023 B"), (1536, "1.5 KiB")]
)
def test_sizes_have_no_exponent(value: float, written: str) -> None:
    assert short_size(value) == written


def axis(drawn: str) -> list[str]:
    """The labels of a plot from the lowest on, without those of its places."""
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    return sorted(
        (text for text in texts if not text.startswith("at ")), key=lambda text: float(text.split()[0])
    )


def test_counts_are_whole_numbers_and_the_others_are_not_rounded() -> None:
    assert axis(plot("n", [("at a", 1), ("at b", 0)])) == ["0", "1", "2", "3"]
    assert axis(plot("n", [("at a", 7), ("at b", 0)])) == ["0", "5", "10", "15"]
    assert axis(plot("minutes", [("at a", 0.6)])) == ["0", "0.2", "0.4", "0.6"]
    assert axis(plot("minutes", [("at a", 0.75)])) == ["0", "0.25", "0.5", "0.75"]
    assert axis(plot("size", [("at a", 5 * 1024)], short_size)) == ["0 B", "2 KiB", "4 KiB", "6 KiB"]
