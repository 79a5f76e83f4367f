"""Each landed row is in exactly one place, whatever order files, rules, reference data, retries and rollbacks come in."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable

import pytest
from tests.harness.projects import Workshop

CHECKED = """
{{ config(materialized='ephemeral') }}
select
    *,
    case
        when try_cast(kg as decimal(9, 3)) is null then 'kg_is_a_number'
        when try_cast(kg as decimal(9, 3)) > LIMIT then 'kg_is_small'
        when depot not in (select depot from {{ ref('depots') }}) then 'depot_is_known'
    end as rule_id
from {{ ref('parcels_raw') }}
"""
OUTPUT = """
{{ config(materialized='incremental', incremental_strategy='append', CONFIG) }}
{%- set parcels = ref('parcels_raw') %}
select parcel, depot, cast(weighed_on as date) as weighed_on, try_cast(kg as decimal(9, 3)) as kg, rule_id,
    _source_file, _source_line, _file_sha256, _landed_at, _run_id
from {{ ref('parcels_checked') }}
where rule_id is CONDITION null
{%- if is_incremental() %} and {{ rows_added(parcels) }}{% endif %}
"""


class History:
    """A project that goes through random steps; after each of them the rows are counted."""

    def __init__(self, workshop: Workshop, seed: int) -> None:
        self.workshop, self.random, self.files = workshop, random.Random(seed), 0
        for name in ("weights.sql", "weights_quarantined.sql"):
            (workshop.path / "models/curated" / name).unlink()
        (workshop.path / "tests/dbt/weights_are_positive.sql").unlink()
        workshop.write("models/_models.yml", "models: []")
        self.rule(100)
        workshop.write("models/curated/weights.sql", output("", "on_code_change={'keep': 'retried'}"))
        workshop.write(
            "models/curated/rejected.sql",
            output(
                "not",
                "schema='quarantine', conserves={'raw': 'raw.parcels', 'curated': 'curated.weights'},"
                " on_code_change={'keep': 'retried'}",
            ),
        )
        workshop.run()
        self.check()

    def rule(self, limit: int) -> None:
        self.workshop.write("models/curated/parcels_checked.sql", CHECKED.replace("LIMIT", str(limit)))

    def land(self) -> None:
        """Rows are repeated in a file and among files, and some break a rule."""
        self.files += 1
        rows = [
            f"p{self.random.randint(1, 4)},{self.random.choice('NSX')},2024-05-01,{self.random.choice(['1', '50', 'heavy', ''])}"
            for _ in range(self.random.randint(1, 6))
        ]
        self.workshop.land(f"more-{self.files}.csv", rows)
        self.workshop.run()

    def change_rule(self) -> None:
        self.rule(self.random.choice([10, 100]))
        self.workshop.run()

    def change_reference(self) -> None:
        depots = "".join(f"{depot},City\n" for depot in self.random.choice(["N", "NS", "NSX"]))
        self.workshop.write("seeds/reference/depots.csv", f"depot,city\n{depots}")
        self.workshop.run()

    def retry(self) -> None:
        self.workshop.answer("quarantine", "retry", "rejected")
        # after a retry each row is where the rules of now put it
        limit = (
            10 if "> 10 " in (self.workshop.path / "models/curated/parcels_checked.sql").read_text() else 100
        )
        known = set(
            (self.workshop.path / "seeds/reference/depots.csv").read_text()[len("depot,city\n") :].split()
        )
        for row in self.workshop.table("raw.parcels").scan().to_arrow().to_pylist():
            good = (row["kg"] or "x").replace(".", "").isdigit() and float(row["kg"]) <= limit
            good = good and any(place.startswith(f"{row['depot']},") for place in known)
            assert place_of(row) in self.places("curated.weights" if good else "quarantine.rejected")

    def roll_back(self) -> None:
        numbers = [release["number"] for release in self.workshop.releases()]
        self.workshop.answer("rollback", "--to", str(self.random.choice(numbers)), "--yes")

    def places(self, table: str) -> Counter[tuple[str, int]]:
        return Counter(map(place_of, self.workshop.table(table).scan().to_arrow().to_pylist()))

    def check(self) -> None:
        landed = self.places("raw.parcels")
        assert max(landed.values()) == 1
        assert self.places("curated.weights") + self.places("quarantine.rejected") == landed
        books = json.loads(self.workshop.answer("books", "-o", "json"))
        (total,) = books["totals"]
        assert (total["landed"], total["deduplicated"], books["balances"]) == (len(landed), 0, True)


def output(condition: str, config: str) -> str:
    return OUTPUT.replace("CONDITION", condition).replace("CONFIG", config)


def place_of(row: dict[str, object]) -> tuple[str, int]:
    return str(row["_file_sha256"]), int(str(row["_source_line"]))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_each_row_is_in_one_place(workshop: Workshop, seed: int) -> None:
    history = History(workshop, seed)
    steps: list[Callable[[], None]] = [
        history.land,
        history.change_rule,
        history.change_reference,
        history.retry,
        history.roll_back,
    ]
    history.random.shuffle(steps)
    for step in [*steps, history.random.choice(steps)]:
        step()
        history.check()
