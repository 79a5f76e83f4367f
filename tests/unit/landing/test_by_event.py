"""Files that are landed one by one, as events name them: the ledger knows what one look at everything would have found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.harness.landing_area import Area, lines

from slipway.contracts.model import FileMode

CONTENTS = (lines("1,a,2.5"), lines("2,b,3"), lines("3,c,1", "4,d,2"), "id,other\n1,2\n", "")
"""Of which the last two are set aside."""
FILES = st.lists(st.integers(0, len(CONTENTS) - 1), min_size=1, max_size=5)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[int], list[list[int]]]:
    """Contents of files, and batches of events: each file at least once, in any order, some several times."""
    files = draw(FILES)
    numbers = list(range(len(files)))
    order = draw(st.permutations(numbers + draw(st.lists(st.sampled_from(numbers), max_size=4))))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=3)))
    edges = [0, *cuts, len(order)]
    return files, [order[low:high] for low, high in pairwise(edges) if low < high]


def known(area: Area) -> tuple[set[str], set[str], set[str], list[tuple[object, ...]]]:
    """Contents that were accepted, paths that were set aside, all paths, and the rows without where they came from."""
    ledger = area.landing.ledger
    latest = ledger.latest("orders").made()
    rejected = {path for path, entry in latest.items() if entry.verdict == "rejected"}
    return set(ledger.accepted("orders")), rejected, set(latest), sorted(row[:3] for row in area.rows())


def filled(folder: Path, files: Sequence[int], mode: FileMode) -> Area:
    area = Area(folder)
    area.feed = replace(area.feed, mode=mode)
    for number, content in enumerate(files):
        area.put(f"{number}.csv", CONTENTS[content])
    return area


@settings(max_examples=8)
@given(deliveries())
def test_any_order_and_repetition_of_events_leads_to_the_same(
    given_events: tuple[list[int], list[list[int]]],
) -> None:
    files, batches = given_events
    with TemporaryDirectory() as first, TemporaryDirectory() as second:
        one_by_one, at_once = (filled(Path(folder), files, FileMode.APPEND) for folder in (first, second))
        for batch in batches:
            one_by_one.land({f"{number}.csv" for number in batch})
        at_once.land()
        assert known(one_by_one) == known(at_once)
        assert not one_by_one.land()  # a look at everything finds nothing new
        one_by_one.close()
        at_once.close()


def test_a_copy_of_what_is_there_is_a_duplicate(tmp_path: Path) -> None:
    area = filled(tmp_path, [0, 0], FileMode.APPEND)
    assert area.land({"1.csv"})["1.csv"].verdict == "accepted"
    assert area.land({"0.csv"})["0.csv"].reason == "same content as orders/1.csv"
    area.close()


def test_a_copy_of_what_is_gone_is_taken_in(tmp_path: Path) -> None:
    area = filled(tmp_path, [0, 0], FileMode.APPEND)
    area.land({"1.csv"})
    (area.folder / "1.csv").unlink()
    assert area.land({"0.csv"})["0.csv"].verdict == "accepted"
    area.close()


def test_what_is_not_there_or_hidden_is_nothing(tmp_path: Path) -> None:
    area = filled(tmp_path, [0], FileMode.APPEND)
    area.put("_temporary/2.csv", CONTENTS[1])
    assert area.land({"9.csv", "_temporary/2.csv", ""}) == {}
    area.close()


def test_the_newest_of_files_that_are_each_the_whole_does_not_depend_on_the_order_of_events(
    tmp_path: Path,
) -> None:
    area = filled(tmp_path, [0, 1], FileMode.FULL)
    assert set(area.land({"1.csv"})) == {"0.csv", "1.csv"}
    assert area.land({"0.csv"}) == {}
    area.close()
