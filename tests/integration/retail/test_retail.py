"""The bundled example, counted another way: Python's csv and Decimal on the same files."""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

if TYPE_CHECKING:
    from tests.integration.retail.conftest import Retail

SAMPLE = Path(__file__).parents[3] / "seeds" / "landing" / "online_retail"
LONDON = ZoneInfo("Europe/London")
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
BUILD = ("build", "--exclude-resource-type", "test", "unit_test")


@dataclass(frozen=True)
class Totals:
    """What the files hold, money in pounds."""

    landed: int
    distinct: int
    quarantined: int
    curated: int
    sales: tuple[int, Decimal]
    cancellations: tuple[int, Decimal]
    adjustments: int
    days_and_countries: int


def whole(text: str) -> int | None:
    """A whole number, also written with a fraction of zeros."""
    found = Decimal(text) if NUMBER.fullmatch(text) else None
    return int(found) if found is not None and found == found.to_integral_value() else None


def price_of(text: str) -> Decimal | None:
    """A number with at most four decimals."""
    found = Decimal(text) if NUMBER.fullmatch(text) else None
    return found if found is not None and found == round(found, 4) else None


def moment(text: str) -> datetime | None:
    """A time that the clock of the shop has shown."""
    try:
        local = datetime.fromisoformat(text) if re.search(r"\d[ T]\d", text) else None
    except ValueError:
        return None
    if (
        local is None
        or local.replace(tzinfo=LONDON).astimezone(UTC).astimezone(LONDON).replace(tzinfo=None) != local
    ):
        return None
    return local


def totals_of(files: Sequence[Path]) -> Totals:
    """Count files as the definitions of the tables say, without any of the code that builds them."""
    records = []
    for path in files:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            records += [tuple(record) for record in csv.reader(stream)][1:]
    sales, cancellations, adjustments, bad = [], [], 0, 0
    cells = set()
    for record in set(records):
        invoice, stock, _, quantity_text, date_text, price_text, customer, country = map(str.strip, record)
        quantity, at = whole(quantity_text), moment(date_text)
        price = price_of(price_text)
        customer_is_right = not customer or whole(customer) is not None
        good = (
            invoice and stock and at and customer_is_right and quantity and price is not None and price >= 0
        )
        if not good:
            bad += 1
            continue
        assert quantity is not None
        assert price is not None
        assert at is not None
        if invoice.startswith("C"):
            cancellations.append(quantity * price)
        elif quantity > 0 and price > 0:
            sales.append(quantity * price)
            cells.add((at.date(), country))
        else:
            adjustments += 1
    distinct = len(set(records))
    return Totals(
        landed=len(records),
        distinct=distinct,
        quarantined=bad,
        curated=distinct - bad,
        sales=(len(sales), sum(sales, Decimal(0))),
        cancellations=(len(cancellations), sum(cancellations, Decimal(0))),
        adjustments=adjustments,
        days_and_countries=len(cells),
    )


def totals_in(retail: Retail) -> Totals:
    """The same from the published tables, read by pyiceberg."""
    lines = retail.rows("curated.invoice_lines", "line_type", "quantity", "unit_price")
    amounts = {
        kind: [quantity * price for line_type, quantity, price in lines if line_type == kind]
        for kind in ("sale", "cancellation", "adjustment")
    }
    quarantined = len(retail.rows("quarantine.invoice_lines", "rule_id"))
    revenue = retail.rows("serving.daily_revenue", "gross_revenue", "cancelled_revenue", "orders")
    sales = sum(amounts["sale"], Decimal(0))
    cancelled = sum(amounts["cancellation"], Decimal(0))
    assert sum((gross for gross, _, _ in revenue), Decimal(0)) == sales
    assert sum((back for _, back, _ in revenue), Decimal(0)) == cancelled
    return Totals(
        landed=len(retail.rows("raw.online_retail", "_source_line")),
        distinct=len(lines) + quarantined,
        quarantined=quarantined,
        curated=len(lines),
        sales=(len(amounts["sale"]), sales),
        cancellations=(len(amounts["cancellation"]), cancelled),
        adjustments=len(amounts["adjustment"]),
        days_and_countries=sum(orders > 0 for _, _, orders in revenue),
    )


def land(retail: Retail, files: Sequence[Path], prefix: str = "") -> None:
    for path in files:
        retail.land(f"{prefix}{path.name}", path.read_bytes())


def equal(left: list[tuple[Any, ...]], right: list[tuple[Any, ...]]) -> bool:
    """Equal rows in any order; binary floating point may differ in the last digits."""

    def same(one: object, other: object) -> bool:
        both_float = isinstance(one, float) and isinstance(other, float)
        return isclose(one, other, rel_tol=1e-9) if both_float else one == other  # type: ignore[arg-type]

    return len(left) == len(right) and all(
        all(map(same, one, other)) for one, other in zip(left, right, strict=True)
    )


def land_in_batches(retail: Retail, files: Sequence[Path], batches: int, chance: random.Random) -> None:
    """Files in any order, some again under another name with a later batch."""
    shuffled = list(files)
    chance.shuffle(shuffled)
    size = -(-len(shuffled) // batches)
    for number in range(batches):
        land(retail, shuffled[number * size : (number + 1) * size])
        if number:
            land(retail, chance.sample(shuffled[: number * size], 2), prefix=f"again-{number}-")
        retail.dbt(*BUILD)


def differing(left: Retail, right: Retail) -> list[str]:
    assert set(left.published()) == set(right.published())
    return [name for name in left.published() if not equal(left.content(name), right.content(name))]


@pytest.mark.long
def test_totals_of_a_few_days(retail: Retail) -> None:
    files = sorted(SAMPLE.glob("*.csv"))[:5]
    land(retail, files)
    retail.dbt(*BUILD, "--select", "+daily_revenue", "quarantine_invoice_lines")
    assert totals_in(retail) == totals_of(files)


@pytest.mark.long
def test_the_sample_in_any_order_and_batches_gives_the_same_tables(retail: Retail) -> None:
    files = sorted(SAMPLE.glob("*.csv"))
    land(retail, files)
    retail.dbt(*BUILD)
    assert totals_in(retail) == totals_of(files)
    batched = retail.another("batched")
    land_in_batches(batched, files, 4, random.Random(7))
    assert differing(retail, batched) == []
    assert "nothing changed" in batched.dbt(*BUILD)


@pytest.mark.long
def test_the_bundled_project_passes_its_own_tests(retail: Retail) -> None:
    retail.settings["SLIPWAY_LANDING"] = str(SAMPLE.parent)
    retail.dbt("build")
    assert (
        {"success", "pass"} <= set(retail.results().values()) <= {"success", "pass", "no-op"}
    )  # the last of exposures
    run = retail.manifests()[-1]
    assert (run["tests"]["failed"], run["tests"]["not_run"]) == (0, 0)
    conservation = run["conservation"][0]
    totals = totals_of(sorted(SAMPLE.glob("*.csv")))
    assert (conservation["landed"], conservation["curated_rows"]) == (totals.landed, totals.curated)
    assert conservation["deduplicated"] == totals.landed - totals.distinct


@pytest.mark.long
def test_part_of_the_real_files_in_any_order_gives_the_same_tables(
    retail: Retail, real_files: list[Path]
) -> None:
    files = real_files[:40]
    land(retail, files)
    retail.dbt(*BUILD)
    assert totals_in(retail) == totals_of(files)
    for seed in (1, 2):
        batched = retail.another(f"batched-{seed}")
        land_in_batches(batched, files, 5, random.Random(seed))
        assert differing(retail, batched) == [], seed


@pytest.mark.long
def test_totals_of_all_real_files(retail: Retail, real_files: list[Path]) -> None:
    land(retail, real_files)
    retail.dbt("build")
    expected = totals_of(real_files)
    assert totals_in(retail) == expected
    if len(real_files) == 219:
        assert expected == Totals(
            landed=320_705,
            distinct=318_222,
            quarantined=2,
            curated=318_220,
            sales=(310_604, Decimal("6292754.7720")),
            cancellations=(5_824, Decimal("-520435.47")),
            adjustments=1_792,
            days_and_countries=1_031,
        )
    assert "nothing changed" in retail.dbt("build")


@pytest.mark.long
def test_one_more_real_day_writes_what_that_day_needs(retail: Retail, real_files: list[Path]) -> None:
    land(retail, real_files[:60])
    retail.dbt(*BUILD)
    names = ("raw.online_retail", "curated.invoice_lines", "serving.daily_revenue")
    before = {name: retail.files(name) for name in names}
    land(retail, real_files[60:61])
    retail.dbt(*BUILD)
    for name in names:
        assert before[name] < retail.files(name), name
        assert len(retail.files(name) - before[name]) == 1, name
    nodes = {node["table"]: node for node in retail.manifests()[-1]["nodes"]}
    added = nodes["curated.invoice_lines"]["rows_added"]
    assert added < 0.1 * nodes["curated.invoice_lines"]["rows_after"]
