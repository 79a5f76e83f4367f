"""``microbatch`` models under dbt itself: batches, late data, retries and what is carried."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.test_materializations import bare, seed

if TYPE_CHECKING:
    from tests.harness.projects import Meters

CONFIG = (
    "materialized='incremental', incremental_strategy='microbatch', event_time='seen_at', begin='2024-03-30'"
)
SEEDS = """
seeds:
  - name: input
    config: {{event_time: seen_at, column_types: {{k: integer, seen_at: {}}}}}
"""
WHOLE = ("--event-time-start", "2024-03-30", "--event-time-end", "2024-04-03")


def events(project: Meters, *rows: str, kind: str = "timestamptz") -> None:
    project.write("seeds/reference/_seeds.yml", SEEDS.format(kind))
    seed(project, *rows, header="k,seen_at")


def model(project: Meters, config: str = "batch_size='day'", name: str = "batched", sql: str = "*") -> None:
    project.write(
        f"models/serving/{name}.sql",
        f"{{{{ config({CONFIG}, {config}) }}}}\nselect {sql} from {{{{ ref('input') }}}}\n",
    )


def batches(project: Meters) -> dict[str, list[list[str]]]:
    """Windows that the last command built and failed to build, as dbt's results say."""
    results = json.loads((project.target / "run_results.json").read_text(encoding="utf-8"))["results"]
    found: dict[str, Any] = next(r["batch_results"] for r in results if r["unique_id"].endswith("batched"))
    return found


def keys(project: Meters, name: str = "batched") -> list[int]:
    return [row[0] for row in project.rows(f"serving.{name}", "k")]


@pytest.mark.parametrize(
    "size",
    [
        pytest.param("hour", marks=pytest.mark.long),
        "day",
        pytest.param("month", marks=pytest.mark.long),
        pytest.param("year", marks=pytest.mark.long),
    ],
)
def test_batches_give_what_one_build_gives(project: Meters, size: str) -> None:
    bare(project)
    events(
        project,
        "1,2024-03-30 00:00:00+00",
        "2,2024-03-30 23:59:59.999999+00",
        "3,2024-03-31 01:30:00+00",
        "4,2024-03-31 23:00:00-02",
        "5,2024-04-02 12:00:00+00",
    )
    end = "2024-03-31T02:00:00" if size == "hour" else "2024-04-03"
    model(project, f"batch_size='{size}', concurrent_batches=true")
    model(project, f"batch_size='{size}', partitioned_by=['day(seen_at)']", name="split")
    project.dbt("build", "--event-time-start", "2024-03-30", "--event-time-end", end)
    expected = [1, 2, 3] if size == "hour" else [1, 2, 3, 4, 5]
    assert keys(project) == keys(project, "split") == expected
    assert len(project.table("serving.batched").metadata.snapshots) == 1
    count = {"hour": 26, "day": 4, "month": 2, "year": 1}[size]
    assert len(batches(project)["successful"]) == count
    node = next(n for n in project.manifests()[-1]["nodes"] if n["table"] == "serving.batched")
    assert (node["change"], node["rows_after"], node["rows_added"]) == ("built", len(expected), len(expected))


@pytest.mark.long
def test_late_rows_come_with_the_batches_that_are_built_again(project: Meters) -> None:
    bare(project)
    events(project, *(f"{day},2024-03-{day} 10:00:00" for day in (30, 31)), kind="timestamp")
    model(project)
    project.dbt("build", *WHOLE)
    files = project.files("serving.batched")
    late = [
        "30,2024-03-30 10:00:00",
        "31,2024-03-31 11:00:00",
        "32,2024-03-31 23:59:59",
        "33,2024-04-02 00:00:00",
    ]
    events(project, *late, kind="timestamp")
    project.dbt("build", "--event-time-start", "2024-03-31", "--event-time-end", "2024-04-03")
    assert keys(project) == [30, 31, 32, 33]
    assert len(files & project.files("serving.batched")) == 1
    whole = project.state()["serving.batched"]
    # nothing changed, and every one of these batches was built from it: carried, one by one
    project.dbt("build", "--event-time-start", "2024-04-01", "--event-time-end", "2024-04-03")
    assert project.state()["serving.batched"] == whole
    assert project.changes()["serving.batched"] == "unchanged"
    # one that was not, from this input, is built, and it is what it was
    project.dbt("build", "--event-time-start", "2024-03-30", "--event-time-end", "2024-04-01")
    assert project.changes()["serving.batched"] == "same_content"
    project.dbt("build", *WHOLE)
    assert project.changes()["serving.batched"] == "unchanged"
    assert project.state()["serving.batched"] == whole
    project.dbt("build", *WHOLE, "--full-refresh")
    assert keys(project) == [30, 31, 32, 33]
    assert project.changes()["serving.batched"] == "same_content"


@pytest.mark.long
def test_without_dates_the_last_batches_are_built_again(project: Meters) -> None:
    bare(project)
    today = dt.datetime.now(dt.UTC).date()
    days = [today - dt.timedelta(days=back) for back in (3, 2, 1, 0)]
    events(project, *(f"{at},{day} 00:30:00" for at, day in enumerate(days)), kind="timestamp")
    model(project, "batch_size='day', lookback=1")
    path = project.path / "models/serving/batched.sql"
    path.write_text(
        path.read_text(encoding="utf-8").replace("begin='2024-03-30'", f"begin='{days[0]}'"), encoding="utf-8"
    )
    project.dbt("build")
    assert keys(project) == [0, 1, 2, 3]
    events(project, *(f"{10 + at},{day} 00:45:00" for at, day in enumerate(days)), kind="timestamp")
    project.dbt("build")
    built = {window[0][:10] for window in batches(project)["successful"]}
    assert str(today) in built
    expected = [10 + at if str(day) in built else at for at, day in enumerate(days)]
    assert keys(project) == sorted(expected)
    assert len(built) == 2


@pytest.mark.long
def test_a_batch_that_fails_publishes_nothing_and_only_it_is_retried(project: Meters) -> None:
    bare(project)
    rows = [f"{n},2024-{day} 10:00:00" for n, day in enumerate(("03-30", "03-31", "04-01", "04-02"))]
    events(project, *rows, kind="timestamp")
    broken = "case when k = 2 and not {} then error('not yet') else k end as k, seen_at"
    ready = "{{ env_var('READY') }}"
    project.settings["READY"] = "false"
    model(project, sql=broken.format(ready))
    project.write("models/serving/after.sql", "select count(*) as n from {{ ref('batched') }}\n")
    assert "not yet" in project.refused("build", *WHOLE)
    assert project.published() == {}
    found = batches(project)
    assert [len(found["successful"]), len(found["failed"])] == [3, 1]
    project.settings["READY"] = "true"
    assert "Batch 1 of 1 OK" in project.dbt("retry")
    assert keys(project) == [0, 1, 2, 3]
    assert project.rows("serving.after") == [(4,)]
    table = project.table("serving.batched")
    assert len(table.metadata.snapshots) == 1
    assert len(project.releases()) == 1
    # again, on a table that is there: what is published stays until all batches are
    events(project, *(f"1{row}" for row in rows), kind="timestamp")
    project.settings["READY"] = "false"
    model(project, sql=broken.format(ready).replace("k = 2", "k = 13"))
    project.refused("build", *WHOLE)
    assert keys(project) == [0, 1, 2, 3]
    project.settings["READY"] = "true"
    project.dbt("retry")
    assert keys(project) == [10, 11, 12, 13]
    assert len(project.table("serving.batched").metadata.snapshots) == 2


@pytest.mark.long
def test_a_python_model_is_built_in_batches(project: Meters) -> None:
    bare(project)
    events(project, "1,2024-03-30 10:00:00", "2,2024-04-01 10:00:00", kind="timestamp")
    project.write(
        "python_models/serving/batched.py",
        "def model(dbt, session):\n"
        "    dbt.config(materialized='incremental', incremental_strategy='microbatch', event_time='seen_at',\n"
        "               begin='2024-03-30', batch_size='day', concurrent_batches=True)\n"
        "    return dbt.ref('input').df()\n",
    )
    project.dbt("build", *WHOLE, "--threads", "4")
    assert keys(project) == [1, 2]
    events(
        project, "1,2024-03-30 10:00:00", "3,2024-04-01 11:00:00", "4,2024-03-31 11:00:00", kind="timestamp"
    )
    project.dbt("build", *WHOLE, "--threads", "4")
    assert keys(project) == [1, 3, 4]


@pytest.mark.long
def test_a_key_may_move_to_an_earlier_batch(project: Meters) -> None:
    bare(project)
    model(project, "batch_size='day', on_schema_change='fail', contract={'enforced': true}")
    project.write(
        "models/_batched.yml",
        "models: [{name: batched, columns: [{name: k, data_type: integer, constraints: [{type: unique}]},"
        " {name: seen_at, data_type: timestamp}]}]\n",
    )
    events(project, "1,2024-03-30 10:00:00", "2,2024-04-01 10:00:00", kind="timestamp")
    project.dbt("build", *WHOLE)
    events(project, "1,2024-03-30 10:00:00", "2,2024-03-30 11:00:00", kind="timestamp")
    project.dbt("build", *WHOLE)
    assert keys(project) == [1, 2]

    twice = ("1,2024-03-30 10:00:00", "2,2024-03-30 11:00:00", "2,2024-03-31 11:00:00")
    events(project, *twice, kind="timestamp")
    message = "serving.batched breaks its contract: unique k: 1 row"
    assert message in project.refused("build", *WHOLE)
    found = batches(project)
    assert [len(found["successful"]), len(found["failed"])] == [3, 1]
    assert message in project.refused("retry")
    assert keys(project) == [1, 2]
    events(project, *twice[:2], "3,2024-03-31 11:00:00", kind="timestamp")
    project.dbt("build", *WHOLE)
    assert keys(project) == [1, 2, 3]
    # a model that reads itself is staged with every batch, and its keys are looked at with the last one all the same
    itself = "{% if is_incremental() %} where (select count(*) from {{ this }}) > 0 {% endif %}\n"
    batched = project.path / "models/serving/batched.sql"
    project.write("models/serving/batched.sql", batched.read_text(encoding="utf-8") + itself)
    events(project, *twice[:2], "3,2024-03-30 11:00:00", "4,2024-04-02 11:00:00", kind="timestamp")
    project.dbt("build", *WHOLE)
    assert keys(project) == [1, 2, 3, 4]


@pytest.mark.long
def test_rows_that_no_batch_takes_are_reported(project: Meters) -> None:
    bare(project)
    rows = ("1,2024-03-30 10:00:00", "2,2024-03-31 00:00:00", "3,", "4,2024-04-01 23:30:00")
    events(project, *rows, kind="varchar")
    cast = "k, seen_at::timestamp + interval 1 hour as seen_at"
    model(project, sql=cast)
    message = project.refused("build", *WHOLE)
    assert "event_time seen_at of its input reference.input is of type VARCHAR" in message
    assert project.published() == {}
    events(project, *rows, kind="timestamp")
    message = project.dbt("build", *WHOLE)
    # one of the second of April, by the query, from the first, by the input
    assert keys(project) == [1, 2]
    (node,) = (node for node in project.manifests()[-1]["nodes"] if node["table"] == "serving.batched")
    assert sorted(note.split(":")[0] for note in node["notes"]) == [
        "1 row of reference.input has no seen_at",
        "1 row of the query lies outside of the batch that gave them, and is left out",
    ]
    assert "serving.batched: 1 row of reference.input has no seen_at: no batch takes them" in message
    # a row of a day that this run builds no batch of
    events(project, *rows, "5,2024-03-30 11:00:00", kind="timestamp")
    message = project.dbt("build", "--event-time-start", "2024-04-01", "--event-time-end", "2024-04-03")
    assert "reference.input changed for times from 2024-03-30T10:00:00 to 2024-04-01T23:30:00" in message
    assert keys(project) == [1, 2]


@pytest.mark.long
def test_a_table_that_is_rebuilt_in_pieces_is_of_one_code_in_the_end(project: Meters) -> None:
    bare(project)
    events(project, "1,2024-03-30 10:00:00", "2,2024-03-31 10:00:00", "3,2024-04-02 10:00:00")
    model(project)
    project.dbt("build", *WHOLE)
    model(project, sql="k + 10 as k, seen_at")
    stale = []
    for start, end in (("2024-03-30", "2024-04-01"), ("2024-04-01", "2024-04-03")):
        project.dbt("run", "--select", "batched", "--event-time-start", start, "--event-time-end", end)
        (node,) = (node for node in project.manifests()[-1]["nodes"] if node["table"] == "serving.batched")
        stale.append(bool(node["stale"]))
    assert keys(project) == [11, 12, 13]
    assert stale == [True, False]


DESCRIBED = """
models:
  - name: batched
    config: {{contract: {{enforced: true}}, persist_docs: {{columns: true}}, on_schema_change: fail}}
    columns:
      - {{name: k, data_type: integer, description: {}, constraints: {}}}
      - {{name: seen_at, data_type: timestamptz}}
"""


@pytest.mark.long
def test_descriptions_and_constraints_come_with_the_next_run(project: Meters) -> None:
    """As with every other materialization: descriptions without a batch that is built, constraints with one."""
    bare(project)
    events(project, "1,2024-03-30 10:00:00+00", "2,2024-04-02 10:00:00+00")
    model(project)
    yaml = "models/serving/_batched.yml"

    def column() -> tuple[str | None, bool, list[int]]:
        schema = project.table("serving.batched").schema()
        return schema.find_field("k").doc, schema.find_field("k").required, schema.identifier_field_ids

    project.write(yaml, DESCRIBED.format("a", "[{type: primary_key}]"))
    project.dbt("build", *WHOLE)
    key = project.table("serving.batched").schema().find_field("k").field_id
    assert column() == ("a", True, [key])
    snapshot, state = project.table("serving.batched").current_snapshot(), project.state()

    project.write(yaml, DESCRIBED.format("b", "[{type: primary_key}]"))
    assert "DESCRIBED" in project.dbt("build", *WHOLE)
    assert column() == ("b", True, [key])
    assert project.changes()["serving.batched"] == "same_content"
    assert project.table("serving.batched").current_snapshot() == snapshot
    assert project.state() == state
    project.dbt("build", *WHOLE)
    assert project.changes()["serving.batched"] == "unchanged"

    project.write(yaml, DESCRIBED.format("c", "[{type: not_null}]"))
    project.dbt("build", "--event-time-start", "2024-04-02", "--event-time-end", "2024-04-03")
    assert column() == ("c", True, [])
    project.write(yaml, DESCRIBED.format("c", "[]"))
    project.dbt("build", "--event-time-start", "2024-04-02", "--event-time-end", "2024-04-03")
    assert column() == ("c", False, [])
    project.write(yaml, DESCRIBED.format("c", "[{type: primary_key}]"))
    project.dbt("build", *WHOLE)
    assert column() == ("c", False, [])  # what was optional stays so in a table that is added to
    project.dbt("build", *WHOLE, "--full-refresh")
    assert column() == ("c", True, [key])
