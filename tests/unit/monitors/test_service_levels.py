"""Service levels in local time: weekdays, holidays, summer time, and what a contract promises."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.contracts.model import Sla
from slipway.errors import ConfigError
from slipway.monitors.service_levels import (
    Calendar,
    calendar,
    due,
    judge_freshness,
    judge_latency,
    length,
    promised,
    words,
)

WORKDAYS = ("mon", "tue", "wed", "thu", "fri")
LONDON = calendar("Europe/London", WORKDAYS, ["2026-12-25"])
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds UTC


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_days_off_do_not_count() -> None:
    friday, monday = at("2026-11-27T16:00"), at("2026-11-30T10:00")
    assert LONDON.passed(friday, monday) == timedelta(hours=18)
    assert calendar("Europe/London").passed(friday, monday) == monday - friday
    assert LONDON.passed(at("2026-12-24T12:00"), at("2026-12-28T12:00")) == timedelta(hours=24)


def test_a_day_of_the_change_to_summer_time_has_23_hours() -> None:
    assert calendar("Europe/London").passed(at("2026-03-28T12:00"), at("2026-03-29T12:00")) == timedelta(
        hours=24
    )
    local = calendar("Europe/London")
    assert local.start(date(2026, 3, 30)) - local.start(date(2026, 3, 29)) == timedelta(hours=23)
    assert local.start(date(2026, 7, 1), time(9)) == at("2026-07-01T08:00")


@given(MOMENTS, MOMENTS, MOMENTS)
def test_time_adds_up(one: datetime, two: datetime, three: datetime) -> None:
    first, second, last = sorted([one, two, three])
    if last - first > timedelta(days=400):
        last, second = first + timedelta(days=400), min(second, first + timedelta(days=400))
    assert LONDON.passed(first, second) + LONDON.passed(second, last) == LONDON.passed(first, last)
    assert timedelta() <= LONDON.passed(first, last) <= last - first
    assert LONDON.passed(last, first) == -LONDON.passed(first, last)


@given(MOMENTS, MOMENTS)
def test_a_calendar_without_days_off_counts_all_time(one: datetime, two: datetime) -> None:
    first, last = sorted([one, min(two, one + timedelta(days=300))])
    far = Calendar(LONDON.zone, holidays=frozenset({date(2100, 1, 1)}))
    assert far.passed(first, last) == Calendar(LONDON.zone).passed(first, last) == last - first


@given(MOMENTS, st.times(), st.integers(0, 3))
def test_what_is_expected_is_due_and_the_next_day_is_not(now: datetime, hour: time, later: int) -> None:
    hour = hour.replace(tzinfo=None, fold=0)
    found = LONDON.expected(now, hour, later)
    assert found is not None
    assert LONDON.counts(found)
    assert LONDON.due(found, hour, later) <= now
    following = next(
        day for day in (found + timedelta(days=ahead) for ahead in range(1, 10)) if LONDON.counts(day)
    )
    assert LONDON.due(following, hour, later) > now


@pytest.mark.parametrize(
    ("now", "newest", "late"),
    [
        ("2026-11-30T08:59", date(2026, 11, 26), ""),  # Friday's is due on Monday at nine
        (
            "2026-11-30T09:00",
            date(2026, 11, 26),
            "data of 2026-11-27 was due at 2026-11-30 09:00 GMT, and the newest is of 2026-11-26",
        ),
        ("2026-11-30T09:00", date(2026, 11, 27), ""),
        (
            "2026-06-02T08:00",
            at("2026-05-31T22:59"),
            "data of 2026-06-01 was due at 2026-06-02 09:00 BST, and the newest is of 2026-05-31 23:59 BST",
        ),
        ("2026-06-02T08:00", at("2026-05-31T23:00"), ""),  # midnight there: the first of June
    ],
    ids=["not-due", "late", "there", "late-in-summer", "local-day"],
)
def test_data_is_due_at_a_local_time(now: str, newest: date, late: str) -> None:
    verdict = judge_freshness(newest, at(now), LONDON, by=due("09:00"))
    assert [one.text for one in verdict.findings] == [late] * bool(late)


def test_data_is_as_old_as_its_newest_row() -> None:
    days, now = calendar(), at("2026-11-30T12:00")
    assert not judge_freshness(at("2026-11-29T12:00"), now, days, max_age=length("24 hours")).findings
    (late,) = judge_freshness(at("2026-11-29T11:59"), now, days, max_age=length("1 d")).findings
    assert (
        late.text == "the newest data is of 2026-11-29 11:59 UTC, 1 day 1 minute ago, and 1 day are allowed"
    )
    # a day's data is of its end
    assert not judge_freshness(date(2026, 11, 28), now, days, max_age=length("36 hours")).findings
    (none,) = judge_freshness(None, now, days, max_age=length("1 d")).findings
    assert none.text == "there is no data"


def test_rows_that_wait_over_the_weekend_are_not_late() -> None:
    slow = [
        (at("2026-11-27T20:00"), at("2026-11-30T08:00")),
        (at("2026-11-25T08:00"), at("2026-11-26T20:30")),
    ]
    (late,) = judge_latency(slow, LONDON, length("24 h")).findings
    assert late.business_date == date(2026, 11, 25)
    assert late.text == "data of 2026-11-25 took up to 1 day 12 hours to arrive, and 1 day are allowed"


def test_a_contract_promises_a_column_or_its_table() -> None:
    day = timedelta(days=1)
    levels = [
        Sla(property="freshness", value=1, duration=day, element="orders"),
        Sla(property="latency", value=2, duration=2 * day, element="orders.landed_at, items.landed_at"),
        Sla(property="timeOfAvailability", value="09:30-08:00"),
    ]
    found = promised(levels, {"orders"}, "landed_at")
    assert (found.freshness, found.latency) == (day, 2 * day)
    assert found.due is not None
    assert found.due.at == time(9, 30)
    assert Calendar(found.due.zone or UTC).start(date(2026, 5, 1), found.due.at) == at("2026-05-01T17:30")
    assert promised(levels, {"orders"}, "paid_at").latency is None
    assert promised(levels, {"items"}, "landed_at").freshness is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: calendar("Europe/Atlantis"), "There is no time zone Europe/Atlantis"),
        (lambda: calendar(weekdays=["someday"]), "someday is no weekday"),
        (lambda: calendar(holidays=["Christmas"]), "Christmas is no date"),
        (lambda: length("soon"), "soon is no length of time"),
        (lambda: due("25:00"), "25:00 is no time of the day"),
    ],
    ids=["zone", "weekday", "holiday", "length", "due"],
)
def test_arguments_that_are_none_are_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ConfigError, match=message):
        make()


def test_lengths_in_words() -> None:
    assert words(timedelta(seconds=59)) == "less than a minute"
    assert words(timedelta(days=2, minutes=5, seconds=3)) == "2 days 5 minutes"
