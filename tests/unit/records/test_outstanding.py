"""What every run says of landed files that are not in raw."""

from __future__ import annotations

from slipway.records.landed_files import Outstanding, outstanding_lines


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
