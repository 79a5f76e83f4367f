"""What the invented shop of the bundled sample sells, to whom, and the dirt that its files carry."""

from dataclasses import dataclass
from datetime import date

# one line of a file: the eight values of the feed, as text
Row = tuple[str, str, str, str, str, str, str, str]


@dataclass(frozen=True)
class Product:
    """An article: code, price as the feed writes it, description, and the description it has from April on."""

    code: str
    price: str
    description: str
    renamed: str = ""


@dataclass(frozen=True)
class Customer:
    """A customer: number, country, and where and when the customer moved to."""

    number: int
    country: str = "United Kingdom"
    moved_to: str = ""
    moved_on: date = date.max

    def country_on(self, day: date) -> str:
        """The country of the customer on a day."""
        return self.moved_to if day >= self.moved_on else self.country


# in the order of their popularity
PRODUCTS = (
    Product("41001", "2.95", "ENAMEL MUG SKY"),
    Product("41002", "2.95", "ENAMEL MUG MOSS", "ENAMEL MUG FOREST"),
    Product("41010", "0.85", "BEESWAX CANDLE SMALL"),
    Product("41011", "1.65", "BEESWAX CANDLE LARGE"),
    Product("41020A", "4.25", "LINEN TEA TOWEL, STRIPED"),
    Product("41020B", "4.25", "LINEN TEA TOWEL, DOTTED"),
    Product("41033", "12.75", "WALL CLOCK STATION"),
    Product("41034", "7.95", "ALARM CLOCK ROUND"),
    Product("41040", "0.42", "PAPER STAR WHITE"),
    Product("41041", "0.42", "PAPER STAR RED"),
    Product("41042", "0.55", "PAPER GARLAND"),
    Product("41050", "3.75", "BREAD BASKET WOVEN"),
    Product("41051", "9.95", "PICNIC BASKET WOVEN"),
    Product("41060BL", "1.25", "GLASS MARBLES BLUE"),
    Product("41060GR", "1.25", "GLASS MARBLES GREEN"),
    Product("41070", "5.45", "CAFÉ CHALKBOARD"),
    Product("41071", "2.10", 'RULER "12 INCH" WOOD'),
    Product("41080", "6.35", "HOT WATER BOTTLE KNITTED", "HOT WATER BOTTLE, KNITTED COVER"),
    Product("41090", "1.06", "SEED TIN HERBS"),
    Product("41091", "1.06", "SEED TIN FLOWERS"),
    Product("41100", "8.50", "DOORMAT HARBOUR"),
    Product("41110", "0.001", "GIFT TAG SPARE"),
    Product("gift_0001_10", "8.33", "Gift Voucher £10.00"),
    Product("M", "15.00", "Manual"),
)

# in the order of how often they buy
CUSTOMERS = (
    Customer(20011),
    Customer(20012),
    Customer(20013, "Germany"),
    Customer(20014),
    Customer(20015, "France"),
    Customer(20016),
    Customer(20017),
    Customer(20018, "EIRE"),
    Customer(20019),
    Customer(20020, "Netherlands", "Belgium", date(2025, 3, 16)),
    Customer(20021),
    Customer(20022, "Unspecified", "United Kingdom", date(2025, 4, 1)),
    Customer(20023),
    Customer(20024),
    Customer(20025, "Spain"),
    Customer(20026),
    Customer(20027),
    Customer(20028, "Germany", "Austria", date(2025, 5, 4)),
    Customer(20029),
    Customer(20030, "France"),
    Customer(20031),
    Customer(20032),
    Customer(20033, "Portugal"),
    Customer(20034),
    Customer(20035),
    Customer(20036, "Norway"),
    Customer(20037),
    Customer(20038),
    Customer(20039),
    Customer(20040, "Japan"),
)

_HOME = "United Kingdom"

DIRT: dict[date, tuple[Row, ...]] = {
    date(2025, 1, 21): (
        # a bad debt: no cancellation, a negative price
        ("A710001", "B", "Adjust bad debt", "1", "2025-01-21 14:50:00", "-1062.06", "", _HOME),
        ("A710002", "B", "Adjust bad debt", "1", "2025-01-21 14:51:00", "1062.06", "", _HOME),
    ),
    date(2025, 1, 30): (
        ("710003", "AMAZONFEE", "AMAZON FEE", "1", "2025-01-30 15:00:00", "220.50", "", _HOME),
        ("C710004", "AMAZONFEE", "AMAZON FEE", "-1", "2025-01-30 15:02:00", "220.50", "", _HOME),
        ("C710005", "D", "Discount", "-1", "2025-01-30 15:09:00", "27.50", "20012.0", _HOME),
    ),
    date(2025, 2, 9): (
        ("710006", "41001", "ENAMEL MUG SKY", "0", "2025-02-09 12:00:00", "2.95", "20011.0", _HOME),
        ("710006", "41010", "BEESWAX CANDLE SMALL", "6.7", "2025-02-09 12:00:00", "0.85", "20011.0", _HOME),
        # the same line again, but for the blanks around it: another line
        (
            "710006",
            " 41011",
            "BEESWAX CANDLE LARGE\u00a0",
            "6",
            "2025-02-09 12:00:00",
            "1.65",
            "20011.0",
            _HOME,
        ),
        ("710006", "41011", "BEESWAX CANDLE LARGE", "6", "2025-02-09 12:00:00", "1.65", "20011.0", _HOME),
    ),
    date(2025, 2, 27): (
        ("710007", "41034", "ALARM CLOCK ROUND", "2", "2025-02-30 10:15:00", "7.95", "20014.0", _HOME),
        ("710007", "41040", "PAPER STAR WHITE", "12", "2025-02-27 10:15:00", "2.55555", "20014.0", _HOME),
        ("710007", "41041", "PAPER STAR RED", "12", "2025-02-27 10:15:00", "0,42", "20014.0", _HOME),
        ("710007", "41042", "PAPER GARLAND", "4", "2025-02-27 10:15:00", "0.55", "guest", _HOME),
    ),
    date(2025, 3, 11): (
        ("C710008", "BANK CHARGES", "Bank Charges", "-1", "2025-03-11 16:00:00", "12.45", "", _HOME),
        ("", "41050", "BREAD BASKET WOVEN", "1", "2025-03-11 16:05:00", "3.75", "20016.0", _HOME),
    ),
    # the clock goes forward at 01:00: half past one does not exist
    date(2025, 3, 30): (
        ("710009", "41060BL", "GLASS MARBLES BLUE", "6", "2025-03-30 00:59:00", "1.25", "20017.0", _HOME),
        ("710010", "41060GR", "GLASS MARBLES GREEN", "6", "2025-03-30 01:30:00", "1.25", "20017.0", _HOME),
        ("710011", "41090", "SEED TIN HERBS", "6", "2025-03-30 02:00:00", "1.06", "20017.0", _HOME),
    ),
    # in summer time: before one o'clock the UTC date is still the day before
    date(2025, 4, 10): (
        ("710012", "41091", "SEED TIN FLOWERS", "6", "2025-04-10 00:20:00", "1.06", "20017.0", _HOME),
        ("710012", "DOT", "DOTCOM POSTAGE", "1", "2025-04-10 00:20:00", "31.50", "20017.0", _HOME),
    ),
    date(2025, 5, 6): (
        # three times the same article; two of the sales are cancelled
        ("710013", "41100", "DOORMAT HARBOUR", "2", "2025-05-06 17:00:00", "8.50", "20023.0", _HOME),
        ("710014", "41100", "DOORMAT HARBOUR", "2", "2025-05-06 17:10:00", "8.50", "20023.0", _HOME),
        ("710015", "41100", "DOORMAT HARBOUR", "2", "2025-05-06 17:20:00", "8.50", "20023.0", _HOME),
        ("C710016", "41100", "DOORMAT HARBOUR", "-2", "2025-05-06 17:30:00", "8.50", "20023.0", _HOME),
        ("C710017", "41100", "DOORMAT HARBOUR", "-2", "2025-05-06 17:40:00", "8.50", "20023.0", _HOME),
    ),
    date(2025, 5, 8): (
        # sent before, in the file of the 6th
        ("710013", "41100", "DOORMAT HARBOUR", "2", "2025-05-06 17:00:00", "8.50", "20023.0", _HOME),
        ("710018", "S", "SAMPLES", "1", "2025-05-08 17:50:00", "2.80", "", _HOME),
    ),
}
