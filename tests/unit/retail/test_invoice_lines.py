"""Lines are typed exactly or set aside: against the same rules written down a second time, in plain Python."""

import csv
from collections import Counter, defaultdict
from dataclasses import astuple, dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.retail.conftest import FEED

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.retail.conftest import Shop

LONDON = ZoneInfo("Europe/London")
Values = tuple[str | None, ...]


@dataclass(frozen=True)
class Line:
    """What the eight values of a good line mean."""

    invoice_id: str
    stock_code: str
    description: str | None
    quantity: int
    invoiced_at: datetime
    revenue_date: date
    unit_price: Decimal
    customer_id: int | None
    country: str

    @property
    def line_type(self) -> str:
        if self.invoice_id.startswith("C"):
            return "cancellation"
        return "sale" if self.quantity > 0 and self.unit_price > 0 else "adjustment"


@cache
def number(text: str | None) -> Decimal | None:
    """Plain decimal notation only: no exponent, no thousands separator, no infinity."""
    if text is None or not set(text) <= set("0123456789.+-"):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


@cache
def whole_number(text: str | None, bits: int) -> int | None:
    """Plain decimal notation that starts with a digit, has no fraction but zeros, and fits."""
    value = number(text)
    if text is None or value is None or not text.lstrip("+-")[:1].isdigit():
        return None
    return (
        int(value)
        if Fraction(value).denominator == 1 and -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)
        else None
    )


@cache
def local_time(text: str | None) -> tuple[datetime, date] | None:
    """UTC and local date of an ISO time without offset that London's clocks show; of two equal hours the second."""
    if text is None or [text[place : place + 1] for place in (4, 7)] != ["-", "-"]:
        return None
    if text[10:11] not in {" ", "T"} or ":" not in text or not set(text[11:]) <= set("0123456789:."):
        return None
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        return None
    instant = local.replace(tzinfo=LONDON, fold=1).astimezone(UTC)
    exists = instant.astimezone(LONDON).replace(tzinfo=None) == local
    return (instant.replace(tzinfo=None), local.date()) if exists else None


def read_line(values: Values) -> Line | None:
    """The line that eight values stand for, or None where one of them is missing, unreadable or against the rules."""
    invoice, code, description, *rest = ((value or "").strip() or None for value in values)
    quantity, at, price, customer, country = rest
    pieces, pounds = whole_number(quantity, 32), number(price)
    account, instant = whole_number(customer, 64), local_time(at)
    if invoice is None or code is None or instant is None or pieces is None or pounds is None:
        return None
    if pieces == 0 or (customer is not None and account is None):
        return None
    if pounds < 0 or pounds >= 10**14 or (Fraction(pounds) * 10**4).denominator != 1:
        return None
    country = country or "Unspecified"
    return Line(invoice, code.upper(), description, pieces, *instant, pounds, account, country)


@dataclass(frozen=True)
class Expected:
    """What the landing files of a shop hold."""

    rows: int
    bad: list[Values]
    good: list[Line]


@pytest.fixture(scope="module")
def expected(built_shop: "tuple[Shop, list[Path]]") -> Expected:
    rows = 0
    lines: dict[Values, Line | None] = {}
    for path in built_shop[1]:
        with path.open(encoding="utf-8", newline="") as file:
            for row in list(csv.reader(file))[1:]:
                rows += 1
                if tuple(row) not in lines:
                    lines[tuple(row)] = read_line(tuple(row))
    bad = [values for values, line in lines.items() if line is None]
    return Expected(rows, bad, [line for line in lines.values() if line is not None])


COLUMNS = "invoice_id, stock_code, description, quantity, timezone('UTC', invoiced_at), revenue_date, unit_price, customer_id, country"


def test_every_distinct_line_is_typed_or_quarantined(
    built_shop: "tuple[Shop, list[Path]]", expected: Expected
) -> None:
    shop, _ = built_shop
    stored = shop.query(f"select {COLUMNS}, line_type, is_sale, amount from {shop.relation('invoice_lines')}")
    assert Counter(stored) == Counter(
        (*astuple(line), line.line_type, line.line_type == "sale", line.quantity * line.unit_price)
        for line in expected.good
    )
    feed = ", ".join(f"""coalesce("{name}", '')""" for name in FEED)
    assert Counter(shop.query(f"select {feed} from {shop.relation('quarantine_invoice_lines')}")) == Counter(
        expected.bad
    )
    assert shop.query(f"select count(*) from {shop.relation('online_retail')}") == [(expected.rows,)]


def test_revenue_by_day_and_country_adds_up(
    built_shop: "tuple[Shop, list[Path]]", expected: Expected
) -> None:
    shop, _ = built_shop
    groups: dict[tuple[date, str], list[Line]] = defaultdict(list)
    for line in expected.good:
        if line.line_type != "adjustment":
            groups[line.revenue_date, line.country].append(line)
    added_up = {}
    for key, lines in groups.items():
        sales = [line for line in lines if line.line_type == "sale"]
        gross = sum((line.quantity * line.unit_price for line in sales), Decimal())
        net = sum((line.quantity * line.unit_price for line in lines), Decimal())
        customers = {line.customer_id for line in sales} - {None}
        counts = (
            len({line.invoice_id for line in sales}),
            len(customers),
            sum(line.quantity for line in sales),
        )
        added_up[key] = (gross, net - gross, net, *counts)
    columns = "gross_revenue, cancelled_revenue, net_revenue, orders, customers, units"
    stored = shop.query(f"select revenue_date, country, {columns} from {shop.relation('daily_revenue')}")
    assert {(day, country): values for day, country, *values in stored} == {
        key: list(values) for key, values in added_up.items()
    }


@pytest.mark.long
@pytest.mark.parametrize("built_shop", ["real"], indirect=True)
def test_real_files_have_their_known_totals(
    built_shop: "tuple[Shop, list[Path]]", expected: Expected
) -> None:
    """The totals of the 219 published days of December 2010 to August 2011."""
    shop, files = built_shop
    assert len(files) == 219
    lines, days = shop.relation("invoice_lines"), shop.relation("daily_revenue")
    by_type = shop.query(
        f"select line_type, count(*), sum(quantity * unit_price) from {lines} group by 1 order by 1"
    )
    assert expected.rows == 320_705
    assert (len(expected.good), len(expected.bad)) == (318_220, 2)
    assert by_type == [
        ("adjustment", 1_792, Decimal(0)),
        ("cancellation", 5_824, Decimal("-520435.47")),
        ("sale", 310_604, Decimal("6292754.772")),
    ]
    assert shop.query(f"select count(*) from {days} where gross_revenue > 0") == [(1_031,)]


blanks = st.sampled_from(["", "", "", " ", "\t", "\u00a0", "\u2003 ", "\x1f"])
digits = st.text("0123456789.+-", max_size=7)
numbers = st.one_of(
    st.integers(-20, 20).map(str),
    st.decimals(-9, 9, places=4).map(str),
    st.sampled_from(
        ["6.7", "2.55555", "1e3", "0,42", "1.0000000", "-0.0", "99999999999999.9999", "1" * 30, "inf", "٣"]
    ),
    digits,
)
times = st.one_of(
    st.datetimes(datetime(2010, 12, 1), datetime(2011, 12, 31)).map(str),  # noqa: DTZ001 - the feed has no offset
    st.builds(
        "{}-{:02}-{:02} {:02}:{:02}".format, st.just(2011), *(st.integers(0, top) for top in (13, 32, 24, 60))
    ),
    # the hours in which the clocks change
    st.builds(
        "2011-{}T{:02}:{:02}:00".format,
        st.sampled_from(["03-27", "10-30"]),
        st.integers(0, 3),
        st.integers(0, 59),
    ),
    st.sampled_from(
        ["2011-01-04", "2011-01-04 10", "20110104 10:00", "2011-W01-2 10:00", "2011-01-04 10:00:00+00:00"]
    ),
    st.text("0123456789-: T", max_size=19),
)
words = st.one_of(st.none(), st.text("AaCc19 ?", max_size=4))


def padded(values: st.SearchStrategy[str]) -> st.SearchStrategy[str | None]:
    return st.one_of(st.builds("{}{}{}".format, blanks, values, blanks), st.sampled_from([None, "", " "]))


# a good line with one to all of its values replaced, so that good and bad lines are both common
good = ("536365", "85123A", "LANTERN", "6", "2011-01-04 10:00:00", "2.55", "17850.0", "France")
odd = (words, words, words, padded(numbers), padded(times), padded(numbers), padded(numbers), words)
lines = st.tuples(*(st.one_of(st.just(usual), values) for usual, values in zip(good, odd, strict=True)))


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(batch=st.lists(lines, min_size=1, max_size=40))
def test_no_value_is_changed_on_the_way(shop: "Shop", batch: list[Values]) -> None:
    shop.raw([(*values, "a.csv", position) for position, values in enumerate(batch)])
    rows = shop.query(f"select _source_line, rule_id, {COLUMNS} from ({shop.sql('invoice_lines_checked')})")
    found = {position: Line(*values) if rule is None else None for position, rule, *values in rows}
    assert found == {position: read_line(values) for position, values in enumerate(batch)}


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    batch=st.lists(
        st.sampled_from([("a", "b"), ("ab", ""), ("", "ab"), ("ab", None), ("a", "b ")]), max_size=12
    )
)
def test_the_first_of_equal_lines_stays(shop: "Shop", batch: list[tuple[str, str | None]]) -> None:
    rows = [
        ("1", code, text, "1", "2011-01-04 10:00", "1", None, None, "a.csv", 20 - at)
        for at, (code, text) in enumerate(batch)
    ]
    shop.raw(rows)
    shop.seed("non_product_codes")
    shop.build("invoice_lines", "quarantine_invoice_lines")
    kept = [
        line
        for name in ("invoice_lines", "quarantine_invoice_lines")
        for (line,) in shop.query(f"select _source_line from {shop.relation(name)}")
    ]
    assert sorted(kept) == sorted({row[:8]: row[9] for row in rows}.values())
