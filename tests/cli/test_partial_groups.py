"""Totals of which an increment reads a part: built again by themselves, or written as they are where that is declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

TOTALS = """
{{ config(materialized='incremental', unique_key='depot') }}
select depot, count(*) as parcels from {{ ref('parcels_raw') }}
{% if is_incremental() %} where {{ rows_added(ref('parcels_raw')) }} {% endif %}
group by depot
"""
ALLOWED = "unique_key='depot', on_partial_groups={'allow': 'only the newest count is asked for'}"


def counts(workshop: Workshop, table: str) -> dict[str, int]:
    read = workshop.table(f"serving.{table}").scan().to_arrow().to_pylist()
    return {row["depot"]: row["parcels"] for row in read}


@pytest.mark.long
def test_totals_of_a_part(built: Workshop) -> None:
    built.write("models/serving/totals.sql", TOTALS)
    built.write("models/serving/newest.sql", TOTALS.replace("unique_key='depot'", ALLOWED))
    built.run()
    # two parcels of N landed on the second day, one on the first, which had two of S
    assert counts(built, "totals") == counts(built, "newest") == {"N": 3, "S": 2}
    built.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    done = built.slipway("run")
    assert done.code == 0, done
    assert counts(built, "totals") == {"N": 3, "S": 3}
    assert counts(built, "newest") == {"N": 3, "S": 1}
    (printed,) = [line for line in done.err.splitlines() if "REBUILT" in line]
    assert "serving.totals" in printed
    assert "the query reads a part of raw.parcels, and has totals" in printed
    built.land("day-4.csv", ("p7,N,2024-05-04,1",))
    built.edit("models/serving/totals.sql", "unique_key='depot'", "unique_key='depot', full_refresh=false")
    before = built.published()
    failed = built.slipway("run", "--exclude", "newest")
    assert failed.code == 1, failed
    assert "totals cannot be brought up to date by merge" in failed.out + failed.err
    assert built.published() == before
