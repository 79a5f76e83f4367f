"""An increment whose query also reads a table whole: what changed there reaches rows of earlier runs, or the run says that it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.harness.projects import Meters

SITES = "seeds/reference/meters.csv"
AT_SITE = """
{{ config(materialized='incremental', unique_key=['meter', 'read_on'], OTHER) }}
select meter, cast(read_on as date) as read_on, site
from {{ ref('readings') }} inner join {{ ref('INPUT') }} using (meter)
{% if is_incremental() %} where {{ rows_added(ref('readings')) }} {% endif %}
"""
BY_SITE = """
{{ config(materialized='incremental', incremental_strategy='insert_overwrite', partitioned_by=['read_on']) }}
select read_on, site, sum(kwh) as kwh
from {{ ref('consumption') }} inner join {{ ref('meters') }} using (meter)
{% if is_incremental() %} where {{ partitions_changed(ref('consumption'), 'read_on') }} {% endif %}
group by read_on, site
"""
KEPT = "on_input_change={'keep': 'a reading belongs to the site of its day'}"


def at_site(own_input: str = "meters", other: str = "") -> str:
    return AT_SITE.replace("OTHER", other).replace("INPUT", own_input)


def test_a_changed_table_that_is_joined_reaches_rows_of_earlier_runs(project: Meters) -> None:
    project.write("models/serving/at_site.sql", at_site("upper_sites"))
    project.write(
        "models/curated/upper_sites.sql",
        "{{ config(materialized='ephemeral') }} select meter, upper(site) as site from {{ ref('meters') }}",
    )
    project.write("models/serving/by_site.sql", BY_SITE)
    project.write("models/serving/kept.sql", at_site(other=KEPT))
    project.dbt("build")
    before = project.rows("serving.kept", "meter", "read_on", "site")
    assert {row[2] for row in before} == {"north", "south"}

    project.edit(SITES, "m1,north", "m1,west")
    printed = project.dbt("build")
    why = "reference.meters changed, which the query reads without a condition"
    assert f"REBUILT 5 rows: {why}" in printed
    assert {row[2] for row in project.rows("serving.at_site", "meter", "read_on", "site")} == {
        "WEST",
        "NORTH",
        "SOUTH",
    }
    assert [row[1] for row in project.rows("serving.by_site", "read_on", "site")].count("west") == 2
    assert project.rows("serving.kept", "meter", "read_on", "site") == before
    (kept,) = [one for one in project.manifests()[-1]["nodes"] if one["unique_id"].endswith(".kept")]
    assert (
        f"{why}: rows of earlier runs stay as they are (a reading belongs to the site of its day)"
        in kept["notes"]
    )
    state = project.state()
    project.dbt("build", "--full-refresh", "--exclude", "kept", "readings")
    assert {name: state[name] for name in ("serving.at_site", "serving.by_site")} == {
        name: project.state()[name] for name in ("serving.at_site", "serving.by_site")
    }

    # the same rows in another order are no change, and neither are new rows of the other input
    lines = project.read(SITES).splitlines()
    project.write(SITES, "\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    project.readings("day-3.csv", "m1,2024-05-03,4,")
    assert "REBUILT" not in project.dbt("build")
    assert len(project.rows("serving.at_site", "meter", "read_on", "site")) == 6


def test_a_table_that_is_never_rebuilt_is_not_published_with_rows_of_both_states(project: Meters) -> None:
    project.write("models/serving/at_site.sql", at_site(other="full_refresh=false"))
    project.dbt("build")
    published = project.published()
    project.edit(SITES, "m1,north", "m1,west")
    printed = project.refused("build")
    assert "at_site cannot be brought up to date by merge" in printed
    assert "declare on_input_change: {keep: <the reason>}" in printed
    assert project.published() == published
    project.write("models/serving/at_site.sql", at_site(other=f"full_refresh=false, {KEPT}"))
    project.dbt("build")
    assert {row[2] for row in project.rows("serving.at_site", "meter", "read_on", "site")} == {
        "north",
        "south",
    }


def test_a_declaration_without_reason_or_effect_is_refused(project: Meters) -> None:
    project.write("models/serving/at_site.sql", at_site(other="on_input_change='keep'"))
    assert "on_input_change is 'keep': rows that were made from earlier rows" in project.refused(
        "build", "--select", "at_site"
    )
    project.write(
        "models/serving/at_site.sql", f"{{{{ config(materialized='table', {KEPT}) }}}} select 1 as n"
    )
    assert "on_input_change has no effect with a table" in project.refused("build", "--select", "at_site")


BATCHED = """
{{ config(materialized='incremental', incremental_strategy='microbatch', event_time='read_on', begin='2024-05-01', batch_size='day') }}
select meter, read_on, site from {{ ref('consumption') }} inner join {{ ref('meters') }} using (meter)
"""


def test_batches_that_keep_what_was_made_from_an_earlier_table_are_reported(project: Meters) -> None:
    project.edit("models/curated/consumption.sql", "unique_key", "event_time='read_on', unique_key")
    project.write("models/serving/batched.sql", BATCHED)
    whole = ("--event-time-start", "2024-05-01", "--event-time-end", "2024-05-03")
    assert "without a condition" not in project.dbt("build", *whole)
    project.edit(SITES, "m1,north", "m1,west")
    printed = project.dbt("build", "--event-time-start", "2024-05-02", "--event-time-end", "2024-05-03")
    note = "reference.meters changed, which the query reads without a condition: batches that this run does not build keep"
    assert f"serving.batched: {note}" in printed
    sites = {row[:2]: row[2] for row in project.rows("serving.batched", "meter", "read_on", "site")}
    assert sorted(site for (meter, _), site in sites.items() if meter == "m1") == ["north", "west"]
    assert "without a condition" not in project.dbt("build", *whole, "--full-refresh")
