from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.unit.retail.conftest import Shop


def test_a_rate_is_rounded_as_a_decimal(shop: "Shop") -> None:
    """201 of 3,200 customers are 0.0628125 exactly; the half is rounded away from zero, and double holds less than it."""
    lines = shop.relation("invoice_lines")
    shop.connection.execute(
        f"create table {lines} as select customer_id, true as is_sale, first_day + cast(31 * month as integer) as revenue_date, "
        "customer_id::varchar as invoice_id, cast(1 as decimal(38, 4)) as amount "
        "from range(3200) as customers(customer_id), range(2) as months(month), (select date '2011-01-05' as first_day) "
        "where month = 0 or customer_id < 201"
    )
    rates = shop.query(
        f"select retention_rate from ({shop.sql('customer_cohorts')}) order by months_since_first"
    )
    assert rates == [(Decimal("1.000000"),), (Decimal("0.062813"),)]
