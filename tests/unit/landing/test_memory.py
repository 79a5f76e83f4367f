"""Looking at a file takes no more memory the larger the file is."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.harness.landing_area import FEED, HEADER, Area

from slipway.landing.feed_files import FeedFiles
from slipway.landing.formats import FileFormat, FileKind

LINES = b"".join(b"%d,text %d,%d.50\n" % (n, n * 7919, n) for n in range(20_000))
OBJECTS = b"".join(
    b'{"id": %d, "text": "text %d", "amount": %d.50}\n' % (n, n * 7919, n) for n in range(20_000)
)


@pytest.mark.parametrize(
    ("pack", "style"),
    [
        pytest.param(lambda text: text, FileFormat(), id="csv"),
        pytest.param(lambda text: gzip.compress(text, 1), FileFormat(), id="gzip"),
        pytest.param(lambda text: text.decode().encode("utf-16"), FileFormat(encoding="utf-16"), id="utf-16"),
        pytest.param(lambda text: text, FileFormat(footer_lines=1), id="footer"),
        pytest.param(lambda text: text, FileFormat(kind=FileKind.JSON), id="json", marks=pytest.mark.long),
    ],
)
def test_memory_does_not_grow_with_the_file(
    tmp_path: Path, pack: Callable[[bytes], bytes], style: FileFormat
) -> None:
    area = Area(tmp_path)
    try:
        feed = replace(FEED, format=style)
        peaks = []
        for name, times in (("small.csv", 8), ("large.csv", 40)):
            text = OBJECTS * times if style.kind is FileKind.JSON else HEADER.encode() + b"\n" + LINES * times
            area.put(name, pack(text))
            del text
            landing = area.landing
            (arrival,) = [one for one in landing.area.arrivals("orders") if one.info.key.endswith(name)]
            tracemalloc.start()
            look = FeedFiles(landing.area).look(feed, arrival)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert look.problem == ""
            assert look.rows == 20_000 * times - style.footer_lines
        small, large = peaks
        assert large < small + (8 << 20), peaks
        assert large < 64 << 20, peaks
    finally:
        area.close()
