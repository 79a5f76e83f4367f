"""What the list says of all characters and of each time zone, on both engines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from tests.integration.spark.translation.engines import BothEngines

from slipway.engines.spark.translation.moment_functions import ZONES


def compare(engines: BothEngines, sql: str) -> None:
    expected, actual = engines.by_duckdb(sql), engines.by_spark(sql)
    assert not expected.error
    assert not actual.error
    different = [pair for pair in zip(expected.rows, actual.rows, strict=True) if pair[0] != pair[1]]
    assert different[:5] == []
    assert expected.types == actual.types


def test_every_character(engines: BothEngines) -> None:
    """Alone and among others, for what maps, counts, trims, cuts or finds characters."""
    characters = [chr(point) for point in range(1, 0x110000) if not 0xD800 <= point <= 0xDFFF]
    words = ["".join(characters[at : at + 40]) for at in range(0, len(characters), 40)]
    landed = pa.table({"c": words})
    engines.duckdb.register("landed_characters", landed)
    engines.duckdb.execute("create or replace table characters as select * from landed_characters")
    engines.share("characters", "characters")
    compare(
        engines,
        "select c, upper(c) as u, lower(c) as l, length(c) as n, trim(c) as t, substring(c, 7, 20) as s, md5(c) as h from characters",
    )
    compare(engines, "select c, regexp_replace(c, '\\w|\\s|\\d|.', '', 'g') as r from characters")
    compare(
        engines,
        "select c, regexp_replace(c, '[\\s\\x0b\\x1c-\\x1f\\x{85}\\p{Z}]', '<', 'g') as r from characters",
    )


def changes(zone: str) -> list[datetime]:
    """The hours, in UTC, in which the offset of a zone changes from 1970 to 2037."""
    found, at, known = [], datetime(1970, 1, 3, tzinfo=UTC), ZoneInfo(zone)
    while at.year < 2038:
        after = at + timedelta(hours=6)
        if at.astimezone(known).utcoffset() != after.astimezone(known).utcoffset():
            found.append(at)
        at = after
    return found


@pytest.mark.parametrize("zone", sorted(ZONES))
def test_every_time_zone(engines: BothEngines, zone: str) -> None:
    """Every ten minutes of two days around each change of the clock."""
    moments = sorted(
        {
            change + timedelta(minutes=10 * step)
            for change in changes(zone) or [datetime(2000, 1, 1, tzinfo=UTC)]
            for step in range(-144, 181)
        }
    )
    landed = pa.table({"tz": pa.array(moments, pa.timestamp("us", "UTC"))})
    name = "around_" + zone.lower().replace("/", "_")
    engines.duckdb.register("landed_moments", landed)
    engines.duckdb.execute(
        f"create or replace table {name} as select tz, tz::timestamp as ts from landed_moments"
    )
    engines.share(name, name)
    compare(
        engines,
        f"select ts, timezone('{zone}', ts) as instant, timezone('{zone}', tz) as local, timezone('{zone}', timezone('{zone}', ts)) as again from {name}",
    )
