from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.unit.retail.conftest import Shop

Day = tuple[date, Decimal, int]

days = st.lists(
    st.tuples(
        st.integers(0, 120).map(lambda number: date(2011, 1, 3) + timedelta(days=number)),
        st.decimals("0.01", 10**6, places=4),
        st.integers(1, 50),
    ),
    unique_by=lambda day: day[0],
    min_size=2,
    max_size=60,
).map(sorted)


def features(shop: "Shop", days: list[Day]) -> list[tuple[object, ...]]:
    relation = shop.relation("trading_days")
    shop.connection.execute(
        f"create or replace table {relation} "
        "(revenue_date date, gross_revenue decimal(38, 4), orders bigint, customers bigint)"
    )
    shop.connection.executemany(f"insert into {relation} values (?, ?, ?, 1)", days)
    return shop.query(f"select * from ({shop.sql('revenue_features')}) order by revenue_date")


@pytest.mark.long
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(days=days, known=st.floats(0, 1), later=st.decimals("0.01", 10**6, places=4))
def test_a_day_knows_nothing_of_itself_or_later(
    shop: "Shop", days: list[Day], known: float, later: Decimal
) -> None:
    """Whatever a day and the days after it sell, the features up to it stay; only its own revenue changes."""
    position = int(known * (len(days) - 1))
    changed = [
        (day, later, 51) if at >= position else (day, revenue, orders)
        for at, (day, revenue, orders) in enumerate(days)
    ]
    before, after = features(shop, days), features(shop, changed)
    assert before[:position] == after[:position]
    day, revenue, *known_before = before[position]
    assert after[position] == (day, later, *known_before)
    assert revenue == days[position][1]
    # and the days after it need not exist at all
    assert features(shop, days[: position + 1]) == before[: position + 1]


# the sum of 24 days, and the mean of each: a 24th of it has its last digit at the fifth place, and a half is rounded
# away from zero; in double the first is a little less than 31824.64875
@pytest.mark.parametrize(
    ("total", "mean"),
    [
        ("763791.57", "31824.6488"),
        ("-763791.57", "-31824.6488"),
        ("763791.56", "31824.6483"),
        ("0.0012", "0.0001"),
        ("0.0011", "0.0000"),
        ("12345678901234567890123.1212", "514403287551440328755.1301"),
    ],
)
def test_a_mean_is_rounded_as_a_decimal(shop: "Shop", total: str, mean: str) -> None:
    days = [
        (date(2011, 1, 3) + timedelta(days=number), Decimal(total) if number == 0 else Decimal(0), 1)
        for number in range(25)
    ]
    assert features(shop, days)[-1][-1] == Decimal(mean)
