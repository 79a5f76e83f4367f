"""When a run did something, whatever a clock said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from slipway.records.run_ids import AHEAD, happened_at, new_run_id

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def test_a_clock_that_was_in_2106_once() -> None:
    later = datetime(2106, 1, 1, tzinfo=UTC)
    assert happened_at(later, new_run_id(later), NOW) is None
    # the next run's files are entered behind it, and did not land then
    earlier = NOW - timedelta(hours=3)
    assert happened_at(later + timedelta(microseconds=1), new_run_id(earlier), NOW) == earlier
    assert happened_at(earlier, "no run id", NOW) == earlier


@given(noted=MOMENTS, began=MOMENTS, now=MOMENTS)
def test_it_is_never_in_the_future(noted: datetime, began: datetime, now: datetime) -> None:
    found = happened_at(noted, new_run_id(began), now)
    assert found is None or found <= now + AHEAD
    if noted <= now:
        assert found == noted


def test_runs_of_one_second_sort_by_their_milliseconds() -> None:
    moments = [NOW.replace(microsecond=microsecond) for microsecond in (0, 1_000, 99_000, 500_000, 999_999)]
    for _ in range(20):
        found = [new_run_id(moment) for moment in moments]
        assert found == sorted(found)
        assert {len(one) for one in found} == {25}
