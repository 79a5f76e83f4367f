"""The bundled landing sample: an invented shop with the columns, the habits and the dirt of the online_retail feed.

``python -m retail.sample DIR`` writes one CSV a trading day to DIR. The same code always writes the same bytes: only
``random.Random.random`` is used, whose sequence for a seed Python promises to keep.
"""

import csv
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path

from retail.sample_catalog import CUSTOMERS, DIRT, PRODUCTS, Customer, Product, Row

HEADER = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
FIRST_DAY = date(2025, 1, 12)
LAST_DAY = date(2025, 5, 29)
# The shop trades on three days a week, never on a Saturday; the factor is the share of an average day's orders.
DEMAND_BY_WEEKDAY = {1: 1.0, 3: 1.35, 6: 0.7}
CLOSED = frozenset({date(2025, 4, 17), date(2025, 4, 20)})
ORDERS_A_DAY = 6.0
GROWTH_A_DAY = 0.006
SEED = 20250112


@dataclass
class Shop:
    """The state of the shop between days: the next invoice number and the sales that can still be cancelled."""

    rng: random.Random
    next_invoice: int = 700001
    cancellable: list[Row] = field(default_factory=list)

    def below(self, limit: int) -> int:
        """A number from 0 to ``limit - 1``."""
        return int(self.rng.random() * limit)

    def happens(self, probability: float) -> bool:
        """Whether an event of the given probability occurs."""
        return self.rng.random() < probability

    def invoice_number(self) -> str:
        """The next invoice number, without prefix."""
        self.next_invoice += 1
        return str(self.next_invoice - 1)


def trading_days() -> Iterator[date]:
    """The days on which the shop trades, in order."""
    day = FIRST_DAY
    while day <= LAST_DAY:
        if day.weekday() in DEMAND_BY_WEEKDAY and day not in CLOSED:
            yield day
        day += timedelta(days=1)


def sample_days() -> Iterator[tuple[date, list[Row]]]:
    """The lines of each trading day as text, in the order of the file."""
    shop = Shop(random.Random(SEED))  # noqa: S311 - invented data, not secrets
    for number, day in enumerate(trading_days()):
        orders = ORDERS_A_DAY * DEMAND_BY_WEEKDAY[day.weekday()] * (1 + GROWTH_A_DAY * number)
        rows: list[Row] = []
        for position in range(max(2, round(orders + 2 * shop.rng.random() - 1))):
            opened = datetime.combine(day, time(8)) + timedelta(minutes=60 * position + shop.below(50))
            rows.extend(order(shop, opened))
            if shop.cancellable and shop.happens(0.25):
                rows.append(cancellation(shop, opened + timedelta(minutes=9)))
        if shop.happens(0.4):
            rows.append(stock_note(shop, datetime.combine(day, time(18, 5))))
        rows.extend(DIRT.get(day, ()))
        if shop.happens(0.6):
            repeated = shop.below(len(rows))
            rows.insert(repeated + 1, rows[repeated])
        yield day, rows


def order(shop: Shop, opened: datetime) -> Iterator[Row]:
    """One sale invoice: its product lines, then postage when it goes abroad."""
    invoice = shop.invoice_number()
    # customers at the head of the list buy most often; a quarter of the orders has no customer
    customer = CUSTOMERS[int(len(CUSTOMERS) * shop.rng.random() ** 1.6)] if shop.happens(0.75) else None
    lines = 3 + shop.below(11)
    for position in range(lines):
        # a long invoice is sometimes keyed over two minutes
        minute = timedelta(minutes=position // 10)
        row = product_line(shop, invoice, opened + minute, customer)
        if customer:
            shop.cancellable.append(row)
        yield row
    if customer and customer.country_on(opened.date()) != "United Kingdom":
        yield text_line(invoice, "POST", "POSTAGE", 1, opened, "18.00", customer)


def product_line(shop: Shop, invoice: str, at: datetime, customer: Customer | None) -> Row:
    """One line of a sale; the catalogue's text changes now and then in case and surrounding blanks."""
    product = PRODUCTS[int(len(PRODUCTS) * shop.rng.random() ** 1.3)]
    quantity = (1, 1, 2, 3, 4, 6, 6, 12, 24)[shop.below(9)]
    code = product.code.lower() if shop.happens(0.02) else product.code
    return text_line(
        invoice, code, described(shop, product, at.date()), quantity, at, product.price, customer
    )


def described(shop: Shop, product: Product, day: date) -> str:
    """The product's description on a day, sometimes with a blank at its end."""
    text = product.renamed if product.renamed and day >= date(2025, 4, 1) else product.description
    return text + " " if shop.happens(0.1) else text


def cancellation(shop: Shop, at: datetime) -> Row:
    """The cancellation of an earlier sale line, of the whole quantity in three of four cases."""
    sale = shop.cancellable.pop(shop.below(len(shop.cancellable)))
    quantity = int(sale[3])
    cancelled = quantity if shop.happens(0.75) else max(1, quantity // 2)
    return ("C" + shop.invoice_number(), sale[1], sale[2], str(-cancelled), at.isoformat(" "), *sale[5:])


def stock_note(shop: Shop, at: datetime) -> Row:
    """A stock adjustment: no price, no customer, a remark or nothing as description."""
    product = PRODUCTS[shop.below(len(PRODUCTS))]
    note = ("damaged", "?", "", "found in the back room", "wrong code")[shop.below(5)]
    return text_line(shop.invoice_number(), product.code, note, -1 - shop.below(12), at, "0.0", None)


def text_line(
    invoice: str,
    code: str,
    description: str,
    quantity: int,
    at: datetime,
    price: str,
    customer: Customer | None,
) -> Row:
    """One line as the feed writes it: customer ids with ``.0``, unknown customers empty."""
    customer_id = f"{customer.number}.0" if customer else ""
    country = customer.country_on(at.date()) if customer else "United Kingdom"
    return (invoice, code, description, str(quantity), at.isoformat(" "), price, customer_id, country)


def write_sample(directory: Path) -> list[Path]:
    """Write one CSV a trading day to ``directory`` and return the files.

    Raises:
        OSError: the directory cannot be made or written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for day, rows in sample_days():
        path = directory / f"{day.isoformat()}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(HEADER)
            writer.writerows(rows)
        written.append(path)
    return written


def main(arguments: Sequence[str]) -> int:
    """Write the sample to the one directory that the arguments name."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m retail.sample DIR\n")
        return 2
    write_sample(Path(arguments[0]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
