"""The page of a comparison has plots, and shows names and values as text."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from slipway.comparison.html_report import to_html
from slipway.comparison.report import make_report
from slipway.comparison.results import (
    ColumnComparison,
    Coverage,
    Method,
    RowCounts,
    Segment,
    Side,
    TableComparison,
    judge,
)

HOSTILE = "</svg><script>alert('1')</script>&amp;"
DIFFERS = TableComparison(
    name="serving.daily",
    coverage=Coverage(method=Method.KEY, key=("day",)),
    base=Side(rows=100),
    head=Side(rows=100),
    rows=RowCounts(changed=40, identical=60),
    columns=(
        ColumnComparison(name="same", type="INTEGER", compared=100, matching=100, match_rate=1.0),
        ColumnComparison(name="little", type="INTEGER", compared=100, matching=90, match_rate=0.9),
        ColumnComparison(name=HOSTILE, type="INTEGER", compared=100, matching=60, match_rate=0.6),
    ),
    segments=(Segment(column="country", value=HOSTILE, rows=30, of_rows=40, table_share=0.3),),
)


def plots(page: str) -> list[ET.Element]:
    return [ET.fromstring(f"<svg{part.partition('</svg>')[0]}</svg>") for part in page.split("<svg")[1:]]  # noqa: S314 - our own


def test_what_differs_is_drawn_the_most_first() -> None:
    columns, segments = plots(to_html(make_report([judge(DIFFERS)])))
    bars = [
        (float(bar.get("y", 0)), float(bar.get("width", 0)))
        for bar in columns.iter("{http://www.w3.org/2000/svg}rect")
        if bar.get("fill") != "none"
    ]
    (_, most), (_, least) = sorted(bars)  # from the top
    assert most == pytest.approx(4 * least, abs=1)  # 40 and 10 percent
    words = [text.text for text in columns.iter("{http://www.w3.org/2000/svg}text")]
    assert "little" in words
    assert "same" not in words
    assert segments.get("aria-label") == "Of the rows that differ, those with a value, serving.daily"


def test_names_and_values_are_text() -> None:
    page = to_html(make_report([judge(DIFFERS)]))
    assert "<script" not in page
    assert len(plots(page)) == 2


def test_what_does_not_differ_has_no_plot() -> None:
    same = DIFFERS.model_copy(update={"rows": RowCounts(identical=100), "columns": (), "segments": ()})
    assert plots(to_html(make_report([judge(same)]))) == []
