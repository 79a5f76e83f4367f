"""How often monitors are wrong, and what they find, on 219 real days: ``python -m benchmarks.monitors FOLDER``.

The folder holds one CSV file for each trading day of the UCI data set "Online Retail" (doi 10.24432/C5BW33). Days come in their order, as a scheduled environment
would see them: each is compared with the days before it, by the functions that the generic tests call, on profiles that DuckDB makes. Then 20 faults are
injected, into one day at a time. Defaults were chosen only on the first 100 days; what is reported is of the others.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
from pyiceberg import types as ice
from pyiceberg.schema import Schema

from slipway.monitors.column_profiles import DayColumn, profile_columns
from slipway.monitors.service_levels import calendar, due, judge_freshness
from slipway.monitors.verdicts import (
    DRIFT,
    RATES,
    VOLUME,
    DayOfValues,
    History,
    judge_drift,
    judge_nulls,
    judge_volume,
)

TUNED_ON = 100
"""Days that defaults were chosen on."""
SCHEMA = Schema(
    ice.NestedField(1, "day", ice.DateType()),
    ice.NestedField(2, "stock_code", ice.StringType()),
    ice.NestedField(3, "description", ice.StringType()),
    ice.NestedField(4, "quantity", ice.LongType()),
    ice.NestedField(5, "invoiced_at", ice.TimestampType()),
    ice.NestedField(6, "unit_price", ice.DecimalType(18, 4)),
    ice.NestedField(7, "customer_id", ice.StringType()),
    ice.NestedField(8, "country", ice.StringType()),
)
COLUMNS = [column.name for column in SCHEMA.fields]
NULLS = ("customer_id", "description")
VALUES = ("quantity", "unit_price", "invoiced_at", "country", "stock_code")
# the shop is closed on Saturdays, on English bank holidays and around the new year: what somebody who configures it knows
CLOSED = (
    *(str(date(2010, 12, 24) + timedelta(days=one)) for one in range(11)),
    *("2011-04-22", "2011-04-25", "2011-04-29", "2011-05-02", "2011-05-30", "2011-08-29"),
)
OPEN = calendar("Europe/London", ("sun", "mon", "tue", "wed", "thu", "fri"), CLOSED)


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong with the rows of a day.

    Args:
        what: in words.
        columns: column to SQL that takes its place.
        where: SQL for the rows that are left.
        again: every row is there so many times.
        is_late: rows carry the date of the trading day before.
    """

    what: str
    columns: Mapping[str, str] = field(default_factory=dict)
    where: str = "true"
    again: int = 1
    is_late: bool = False


def some(percent: int, then: str, otherwise: str) -> str:
    """SQL that changes about so many rows of a hundred, the same ones each time."""
    return f"case when hash(line, 7) % 100 < {percent} then {then} else {otherwise} end"


FAULTS = (
    Fault("prices in pence", {"unit_price": "unit_price * 100"}),
    Fault("quantities in dozens", {"quantity": "greatest(1, quantity // 12)"}),
    Fault("half of the file missing", where="line <= lines / 2"),
    Fault("nine tenths of the file missing", where="line <= lines / 10"),
    Fault("a file without rows", where="false"),
    Fault("every row twice", again=2),
    Fault("times shifted by 5 hours", {"invoiced_at": "invoiced_at + interval 5 hour"}),
    Fault("times shifted by 1 hour", {"invoiced_at": "invoiced_at + interval 1 hour"}),
    Fault("times cut to the day", {"invoiced_at": "day::timestamp"}),
    Fault("a third of customers NULL", {"customer_id": some(33, "null", "customer_id")}),
    Fault("2 % of descriptions NULL", {"description": some(2, "null", "description")}),
    Fault("a new country in 5 % of rows", {"country": some(5, "'Atlantis'", "country")}),
    Fault("the largest country dropped", where="country <> 'United Kingdom'"),
    Fault("Germany and France dropped", where="country not in ('Germany', 'France')"),
    Fault("a tenth of prices negative", {"unit_price": some(10, "-unit_price", "unit_price")}),
    Fault("prices cut to whole numbers", {"unit_price": "trunc(unit_price)"}),
    Fault("quantity constant", {"quantity": "1"}),
    Fault("quantity and price swapped", {"quantity": "unit_price::bigint", "unit_price": "quantity"}),
    Fault("stock codes without their first character", {"stock_code": "substr(stock_code, 2)"}),
    Fault("dates of the trading day before", is_late=True),
)


@dataclass(frozen=True)
class Day:
    """What monitors see of one business day: rows, NULLs by column, and values by column."""

    rows: int
    nulls: Mapping[str, int]
    values: Mapping[str, DayOfValues]


Days = dict[date, Day]


@dataclass(frozen=True)
class Limits:
    """What monitors compare with; by themselves the defaults of the generic tests."""

    volume: History = VOLUME
    rates: History = RATES
    drift: History = DRIFT


def load(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Make the table ``landed``: typed rows with their file's day, their line in it, and how many lines it has."""
    connection.execute(
        f"""
        create table landed as
        select
            parse_filename(filename, true)::date as day, StockCode as stock_code, nullif(trim(Description), '') as description,
            Quantity::bigint as quantity, InvoiceDate::timestamp as invoiced_at, UnitPrice::decimal(18, 4) as unit_price,
            nullif(CustomerID, '') as customer_id, Country as country,
            row_number() over (partition by filename) as line, count(*) over (partition by filename) as lines
        from read_csv('{folder}/*.csv', all_varchar = true, filename = true)
        """
    )


def profiled(connection: duckdb.DuckDBPyConnection, fault: Fault = Fault("none")) -> Days:
    """Profiles of all days, with a fault in each of them."""
    columns = ", ".join(f"({fault.columns.get(name, name)}) as {name}" for name in COLUMNS)
    # a file that comes a day late is seen as more rows of the day before
    rows = "landed"
    if fault.is_late:
        rows = """(
            select * from landed union all by name
            select landed.* replace (before.previous as day)
            from landed join (select day, lag(day) over (order by day) as previous from (select distinct day from landed)) as before using (day)
            where before.previous is not null
        )"""
    relation = f"(select {columns} from {rows}, range({fault.again}) where {fault.where})"
    measured = profile_columns(
        connection, relation, SCHEMA, DayColumn.of(SCHEMA, "day", "landed"), "true", rows=0, classified=()
    )
    found: dict[date, dict[str, dict[str, object]]] = {}
    for one in measured:
        found.setdefault(one["business_date"], {})[str(one["column_name"])] = one  # type: ignore[arg-type]
    return {day: _day(columns) for day, columns in found.items()}


def _day(columns: Mapping[str, Mapping[str, object]]) -> Day:
    def values(one: Mapping[str, object]) -> DayOfValues:
        rows = int(str(one["row_count"])) - int(str(one["null_count"]))
        if one["top_values"] is None:
            return DayOfValues(rows, quantiles=one["quantiles"])  # type: ignore[arg-type]
        return DayOfValues(rows, shares=dict(zip(one["top_values"], one["top_rows"], strict=True)))  # type: ignore[call-overload]

    return Day(
        int(str(columns["day"]["row_count"])),
        {name: int(str(columns[name]["null_count"])) for name in NULLS},
        {name: values(columns[name]) for name in VALUES},
    )


def alarms(days: Days, judged: date, limits: Limits) -> Iterator[str]:
    """Monitors that find something about a day."""
    one = [judged]
    if judge_volume({day: found.rows for day, found in days.items()}, one, history=limits.volume).findings:
        yield "volume_in_range"
    for name in NULLS:
        rates = {day: (found.nulls[name], found.rows) for day, found in days.items()}
        if judge_nulls(rates, one, name, history=limits.rates).findings:
            yield f"null_rate {name}"
    for name in VALUES:
        values = {day: found.values[name] for day, found in days.items()}
        if judge_drift(values, one, name, history=limits.drift).findings:
            yield f"distribution_drift {name}"


def late(newest: date, today: date) -> bool:
    """Whether a run in the evening of a day misses its data."""
    now = datetime.combine(today, datetime.min.time(), OPEN.zone) + timedelta(hours=22)
    return bool(judge_freshness(newest, now, OPEN, by=due("21:00"), days_later=0).findings)


def false_alarms(days: Days, of: list[date], limits: Limits) -> dict[date, list[str]]:
    """Monitors that find something about days as they are, by day; also calendar days between them without a file."""
    found = {day: list(alarms(days, day, limits)) for day in of}
    known = sorted(days)
    day = of[0]
    while day <= of[-1]:
        if late(max(one for one in known if one <= day), day):
            found.setdefault(day, []).append("freshness_sla")
        day += timedelta(days=1)
    return {day: names for day, names in found.items() if names}


def caught(
    days: Days, faulty: Days, fault: Fault, of: list[date], limits: Limits
) -> tuple[int, dict[str, int]]:
    """On how many days a fault is found, and by which monitors; one that finds something about the day as it is does not count."""
    known, count = sorted(days), 0
    by: dict[str, int] = {}
    for day in of:
        before = known[known.index(day) - 1]
        seen = {one: found for one, found in days.items() if one < day}
        changed = before if fault.is_late else day
        if changed in faulty:
            seen[changed] = faulty[changed]
        names = []
        if changed in faulty:  # what the day raises as it is does not count
            names = sorted(set(alarms(seen, changed, limits)) - set(alarms(days, changed, limits)))
        if late(max(seen), day):
            names.append("freshness_sla")
        count += bool(names)
        for name in names:
            by[name] = by.get(name, 0) + 1
    return count, by


def report(folder: Path, limits: Limits, chosen: Callable[[list[date]], list[date]]) -> Iterator[str]:
    """The results as Markdown, of the days that are chosen."""
    with duckdb.connect() as connection:
        load(connection, folder)
        days = profiled(connection)
        of = chosen(sorted(days))
        wrong = false_alarms(days, of, limits)
        yield f"Days {of[0]} to {of[-1]}: {len(of)}. False alarms on {len(wrong)} of them:\n"
        yield "| monitor | days |\n| --- | ---: |"
        names = [name for found in wrong.values() for name in found]
        for name in ("volume_in_range", *(f"null_rate {one}" for one in NULLS)):
            yield f"| `{name}` | {names.count(name)} |"
        for name in (*(f"distribution_drift {one}" for one in VALUES), "freshness_sla"):
            yield f"| `{name}` | {names.count(name)} |"
        yield ""
        yield "| fault | found | by |\n| --- | ---: | --- |"
        shares = []
        for fault in FAULTS:
            faulty = profiled(connection, fault)
            count, by = caught(days, faulty, fault, of, limits)
            shares.append(count / len(of))
            best = sorted(by, key=lambda name: (-by[name], name))[:3]
            listed = ", ".join(
                f"{name.replace('distribution_', '')} {by[name] / len(of):.0%}" for name in best
            )
            yield f"| {fault.what} | {count / len(of):.0%} | {listed} |"
        found = sum(share > 0.5 for share in shares)
        yield f"\nFound on more than half of the days: {found} of {len(FAULTS)} faults; on average {sum(shares) / len(shares):.0%} of days."


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monitors", description=__doc__)
    parser.add_argument("folder", type=Path, help="one CSV file a day, such as 2010-12-01.csv")
    parser.add_argument(
        "--tuning", action="store_true", help="the first 100 days, on which defaults are chosen"
    )
    options = parser.parse_args()
    if not any(options.folder.glob("*.csv")):
        sys.stderr.write(f"Nothing is measured: {options.folder} holds no CSV files.\n")
        return
    chosen = (lambda all_: all_[15:TUNED_ON]) if options.tuning else (lambda all_: all_[TUNED_ON:])
    for line in report(options.folder, Limits(), chosen):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
