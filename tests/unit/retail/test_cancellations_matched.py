"""The stack in SQL against the sentence it stands for: go through the cancellations, take the latest sale that is left."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.retail.conftest import Shop

START = datetime(2011, 1, 4, 10, tzinfo=UTC)
COLUMNS = "invoice_line_id, line_type, customer_id, stock_code, unit_price, quantity, invoiced_at, _source_file, _source_line"


@dataclass(frozen=True)
class Event:
    """A sale or cancellation line; `customer` may be unknown."""

    key: str
    line_type: str
    customer: int | None
    code: str
    price: Any
    quantity: int
    at: Any
    file: str
    line: int

    @property
    def kind(self) -> tuple[object, ...]:
        return (self.customer, self.code, self.price, abs(self.quantity))


def match(events: list[Event]) -> dict[str, str]:
    """Cancellation to sale: each cancellation in order takes the latest earlier sale of its kind that is left."""
    left: dict[tuple[object, ...], list[Event]] = defaultdict(list)
    taken = {}
    for event in sorted(events, key=lambda event: (event.at, event.file, event.line, event.key)):
        if event.customer is None:
            continue
        if event.line_type == "sale":
            left[event.kind].append(event)
        elif event.quantity < 0 and left[event.kind]:
            taken[event.key] = left[event.kind].pop().key
    return taken


def matched(shop: "Shop") -> dict[str, str]:
    return dict(
        shop.query(f"select cancellation_line_id, sale_line_id from ({shop.sql('cancellations_matched')})")
    )


@st.composite
def events(draw: st.DrawFn) -> list[Event]:
    count = draw(st.integers(0, 25))
    positions = draw(st.permutations(range(count)))
    return [
        Event(
            key=f"{draw(st.integers(0, 9))}-{number}",
            line_type=draw(st.sampled_from(["sale", "cancellation"])),
            customer=draw(st.sampled_from([1, 1, 1, 2, None])),
            code="X",
            price=draw(st.sampled_from([1, 1, 2])),
            quantity=draw(st.sampled_from([1, 1, 1, 2])),
            at=START + timedelta(minutes=draw(st.integers(0, 4))),
            file=draw(st.sampled_from(["a.csv", "b.csv"])),
            line=positions[number],
        )
        for number in range(count)
    ]


@pytest.mark.long
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(events=events())
def test_the_stack_takes_what_the_sentence_says(shop: "Shop", events: list[Event]) -> None:
    signed = [
        Event(
            **{
                **vars(event),
                "quantity": -event.quantity if event.line_type == "cancellation" else event.quantity,
            }
        )
        for event in events
    ]
    fields = [
        "invoice_line_id",
        "line_type",
        "customer_id",
        "stock_code",
        "unit_price",
        "quantity",
        "invoiced_at",
    ]
    kinds = [pa.string(), pa.string(), pa.int64(), pa.string(), pa.decimal128(18, 4), pa.int32()]
    schema = zip(
        [*fields, "_source_file", "_source_line"],
        [*kinds, pa.timestamp("us", "UTC"), pa.string(), pa.int64()],
        strict=True,
    )
    names = vars(Event)["__dataclass_fields__"]
    arrays = [
        pa.array([getattr(event, name) for event in signed], kind)
        for name, (_, kind) in zip(names, schema, strict=True)
    ]
    shop.connection.register("events", pa.table(arrays, [*fields, "_source_file", "_source_line"]))
    relation = shop.relation("invoice_lines")
    shop.connection.execute(
        f"create or replace table {relation} as "
        "select *, invoice_line_id as invoice_id, line_type = 'sale' as is_sale from events"
    )
    assert matched(shop) == match(signed)


@pytest.mark.long
def test_the_landed_files_are_matched_the_same(built_shop: "tuple[Shop, list[Path]]") -> None:
    shop, _ = built_shop
    lines = [Event(*row) for row in shop.query(f"select {COLUMNS} from {shop.relation('invoice_lines')}")]
    expected = match([line for line in lines if line.line_type in {"sale", "cancellation"}])
    assert expected
    assert matched(shop) == expected
