"""What a run says of landed files that are not in raw, and how fresh a feed is."""

from __future__ import annotations

from datetime import UTC, datetime

from slipway.records.landed_files import Freshness, Outstanding, outstanding_lines
from slipway.records.run_ids import AHEAD


def item(path: str, feed: str | None = "orders") -> Outstanding:
    return Outstanding(feed=feed, path=path, reason="empty file")


def test_the_first_are_named_and_the_others_counted() -> None:
    assert outstanding_lines([]) == []
    assert outstanding_lines([item("orders/a.csv")]) == [
        "outstanding: 1 landed file is not in raw",
        "  orders/a.csv: empty file",
    ]
    found = [*(item(f"orders/{number}.csv") for number in range(6)), item("x/", None), item("y.csv", None)]
    assert outstanding_lines(found, {"orders/0.csv"}) == [
        "outstanding: 6 landed files are not in raw",
        "  orders/1.csv: empty file",
        "  orders/2.csv: empty file",
        "  orders/3.csv: empty file",
        "  … and 2 more",
        "not a feed: x/, y.csv in the landing area; no contract describes it",
    ]


def test_a_name_cannot_write_lines_of_its_own() -> None:
    lines = outstanding_lines([item("orders/a\n\x1b[32mall good.csv")])
    assert len(lines) == 2
    assert not any(sign in line for line in lines for sign in "\n\x1b")


def test_what_landed_in_the_future_is_not_fresh() -> None:
    def status(age: float | None) -> str:
        one = Freshness(
            source="x",
            last_landed_at=datetime(2024, 5, 1, 12, tzinfo=UTC),
            age_seconds=age,
            error_after_seconds=60,
        )
        return one.status

    assert [status(age) for age in (10, 61, None, -1, -AHEAD.total_seconds() - 1)] == [
        "pass",
        "error",
        "error",
        "pass",
        "error",
    ]
