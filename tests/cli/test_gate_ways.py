"""A gate that cannot be satisfied is no gate: what is asked for can be done, or the way is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

LATEST = """\
{{ config(materialized='incremental', unique_key='depot', on_schema_change='append_new_columns') }}
select depot, max(weighed_on) as weighed_on, cast(sum(kg) as decimal(9, 3)) as kg
from {{ ref('weights') }}
{% if is_incremental() %} where weighed_on > (select max(weighed_on) from {{ this }}) {% endif %}
group by depot
"""
UNIT_TESTS = """\
unit_tests:
  - name: only_later_rows
    model: latest
    overrides: {macros: {is_incremental: true}}
    given:
      - input: ref('weights')
        rows: [{depot: N, weighed_on: 2024-05-01, kg: 1}, {depot: N, weighed_on: 2024-05-02, kg: 2}]
      - input: this
        rows: [{depot: N, weighed_on: 2024-05-01}]
    expect:
      rows: [{depot: N, weighed_on: 2024-05-02, kg: 2}]
"""


@pytest.mark.long
def test_a_unit_test_on_a_table_that_is_not_there_yet(workshop: Workshop) -> None:
    """Nor on a column that it does not have yet: the test runs before the model does."""
    workshop.write("models/serving/latest.sql", LATEST)
    workshop.write("models/serving/_latest.yml", UNIT_TESTS)
    first = workshop.run("--target", "ci")
    assert (first["outcome"], first["tests"]["not_run"], first["tests"]["failed"]) == ("published", 0, 0)
    assert {t["status"] for t in first["tests"]["results"] if "only_later" in t["unique_id"]} == {"pass"}

    workshop.edit("models/serving/latest.sql", "as kg\n", "as kg, count(*) as parcels\n")
    workshop.edit(
        "models/serving/latest.sql",
        "unique_key",
        "on_code_change={'keep': 'counted from now on'}, unique_key",
    )
    workshop.edit(
        "models/serving/_latest.yml",
        "- input: this\n        rows: [{",
        "- input: this\n        rows: [{parcels: 7, ",
    )
    second = workshop.run("--target", "ci")
    assert (second["outcome"], second["tests"]["failed"]) == ("published", 0)

    # and it is a test: the model's logic is wrong now
    workshop.edit("models/serving/latest.sql", "weighed_on > (", "weighed_on >= (")
    third = workshop.run("--target", "ci", code=1)
    assert {t["status"] for t in third["tests"]["results"] if "only_later" in t["unique_id"]} == {"fail"}
