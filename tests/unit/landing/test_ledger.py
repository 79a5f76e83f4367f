"""What the ledger answers, compared with a plain reading of all its entries, and that it makes no entry that nobody asks for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harness.landing_area import Area, lines

from slipway.landing import ledger as module
from slipway.landing.land import Verdict
from slipway.landing.ledger import Ledger
from slipway.records.landed_files import LandedFile
from slipway.records.run_ids import new_run_id

START = datetime(2024, 5, 1, tzinfo=UTC)
ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(["orders", "parcels"]),
        st.sampled_from("abc"),
        st.sampled_from(["1", "2", "3"]),
        st.sampled_from(["accepted", "rejected", "duplicate"]),
        st.sampled_from([None, 0, 5]),
    ),
    max_size=12,
)


class Given(Ledger):
    """A ledger of given entries."""

    def __init__(self, entries: list[LandedFile]) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self._given = entries

    def _read(self) -> pa.Table:
        return module._rows(reversed(self._given))


@pytest.fixture
def area(tmp_path: Path) -> Iterator[Area]:
    made = Area(tmp_path)
    yield made
    made.close()


def entry(number: int, feed: str, path: str, sha: str, verdict: Verdict, rows: int | None) -> LandedFile:
    now = START + timedelta(hours=number)
    return LandedFile(
        feed=feed,
        path=path,
        size_bytes=number,
        etag="1",
        sha256=sha,
        rows=rows,
        verdict=verdict,
        reason="",
        landed_at=now,
        run_id=new_run_id(now),
    )


@given(ENTRIES)
def test_questions_are_answered_as_by_reading_every_entry(
    drawn: list[tuple[str, str, str, Verdict, int]],
) -> None:
    known = [entry(number, *one) for number, one in enumerate(drawn)]
    ledger = Given(known)
    assert ledger.entries() == known
    assert ledger.last_at() == max((one.landed_at for one in known), default=None)
    mine = [one for one in known if one.feed == "orders"]
    latest = {one.path: one for one in mine}
    accepted: dict[str, LandedFile] = {}
    for one in mine:
        if one.verdict == "accepted":
            accepted[one.sha256] = one
        elif one.verdict == "rejected" and one.sha256 in accepted and accepted[one.sha256].path == one.path:
            del accepted[one.sha256]
    assert ledger.latest("orders").made() == dict(ledger.latest("orders")) == latest
    assert ledger.accepted("orders").made() == dict(ledger.accepted("orders")) == accepted
    assert ledger.latest("orders", ["a", "x"]).made() == {k: v for k, v in latest.items() if k == "a"}
    assert ledger.accepted("orders", ["2"]).made() == {k: v for k, v in accepted.items() if k == "2"}
    at_a = [one for one in accepted.values() if one.path == "a"]
    assert sorted(ledger.accepted_at("orders", "a"), key=repr) == sorted(at_a, key=repr)
    refused = [one for one in latest.values() if one.verdict == "rejected" and one.sha256 not in accepted]
    assert sorted(ledger.rejected("orders"), key=repr) == sorted(refused, key=repr)
    assert ledger.with_rows("orders") == {sha for sha, one in accepted.items() if one.rows}
    assert ledger.last_landed_at("orders") == max((one.landed_at for one in accepted.values()), default=None)
    assert ledger.made("orders", ledger.noted("orders")) == mine


def test_what_is_not_there_any_more_costs_no_entries(area: Area, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger has far more entries than the landing area has files: a look makes those of the files only."""
    for number in range(30):
        area.put(f"{number}.csv", lines(f"{number},a,2"))
    area.land()
    for number in range(28):
        (area.folder / f"{number}.csv").unlink()
    made: list[LandedFile] = []
    real = module._entry

    def counted(values: dict[str, Any]) -> LandedFile:
        made.append(real(values))
        return made[-1]

    monkeypatch.setattr(module, "_entry", counted)
    assert area.land() == {}
    assert len(made) == 2
