"""Tables whose model is gone: retired and brought back, renamed with their history, dropped by another program."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

OLD = "models/serving/old.sql"
LOG = """{{{{ config(materialized='incremental', incremental_strategy='append'{more}) }}}}
select parcel from {{{{ ref('weights') }}}}
"""


def rows(workshop: Workshop, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = workshop.table(name).scan().to_arrow().to_pylist()
    return found


def drop(workshop: Workshop, name: str, *, purge: bool = False) -> None:
    """Drop a table as another program does."""
    with workshop.catalog() as catalog:
        (catalog.purge_table if purge else catalog.drop_table)(name)


@pytest.mark.long
def test_a_table_is_retired_and_comes_back(workshop: Workshop) -> None:
    workshop.write(OLD, "select 7 as n")
    workshop.run()
    before = workshop.locations()["serving.old"]
    printed = workshop.refusal("retire", "serving.old", code=1)
    assert printed.startswith(f"serving.old cannot be retired: model old ({OLD}) makes it")
    (workshop.path / OLD).unlink()
    assert "no model makes serving.old any more" in workshop.slipway("run").err
    assert "no model makes it any more" in workshop.slipway("doctor").out
    assert "Nothing was changed" in workshop.slipway("retire", "serving.old", "--dry-run").err
    assert workshop.locations()["serving.old"] == before
    printed = workshop.refusal("retire", "serving.nothing", code=2)
    assert printed.startswith("serving.nothing: no table of a release has that name")

    killed = workshop.start(
        "retire",
        "serving.o*",
        "--yes",
        "--reason",
        "unused",
        kill_before="slipway.records.store:Records.write_release",
    ).wait()
    assert killed.code is None
    assert "serving.old" not in workshop.locations()
    assert "was published and is now recorded" in workshop.slipway("run").err
    (record,) = (one for one in workshop.releases() if one["retirement"])
    assert (record["retired"], record["reason"]) == ({"serving.old": before}, "unused")
    assert "serving.old" not in record["tables"]
    assert "retires serving.old: unused" in workshop.answer("releases")
    assert "has no table serving.old" in workshop.refusal("sql", "from serving.old", code=3)
    assert workshop.answer("sql", "from serving.old", "--release", "1", "--output", "csv") == "n\n7\n"
    assert "no model" not in workshop.slipway("run").err
    assert "release 2: it is not signed" in workshop.slipway("doctor").out
    assert workshop.slipway("doctor", "--fix").code == 0
    assert workshop.slipway("doctor").code == 0
    workshop.answer("maintain", "--older-than", "1h")

    assert "comes back" in workshop.answer("rollback", "--yes")
    assert rows(workshop, "serving.old") == [{"n": 7}]
    assert "is retired" in workshop.answer("rollback", "--to", str(record["number"]), "--yes")
    assert "serving.old" not in workshop.locations()
    workshop.write(OLD, "select 8 as n")
    workshop.run()
    assert rows(workshop, "serving.old") == [{"n": 8}]


@pytest.mark.long
def test_a_renamed_table_keeps_its_history(workshop: Workshop) -> None:
    workshop.write("models/serving/log.sql", LOG.format(more=""))
    workshop.run()
    first = workshop.table("serving.log")
    (workshop.path / "models/serving/log.sql").unlink()
    workshop.write("models/serving/journal.sql", LOG.format(more=", was='log'"))
    assert workshop.run()["outcome"] == "published"
    journal = workshop.table("serving.journal")
    assert "serving.log" not in workshop.locations()
    assert journal.metadata.table_uuid == first.metadata.table_uuid
    assert [one.snapshot_id for one in journal.snapshots()] == [one.snapshot_id for one in first.snapshots()]
    assert len(rows(workshop, "serving.journal")) == 4  # an append that ran again would have doubled them
    assert workshop.run()["outcome"] == "unchanged"
    assert "retires serving.log" in workshop.answer("releases")

    found = json.loads(workshop.answer("diff", "1", "2", "serving.journal", "-o", "json"))
    (one,) = found["tables"]
    assert (one["name"], one["was"], one["verdict"]) == ("serving.journal", "serving.log", "explained")
    assert [each["kind"] for each in one["differences"]] == ["table_renamed"]
    assert one["rows"]["identical"] == 4
    # by either name, and the other way round
    back = json.loads(workshop.answer("diff", "2", "1", "serving.journal", "-o", "json"))["tables"]
    assert [(each["name"], each["was"]) for each in back] == [("serving.log", "serving.journal")]

    assert "comes back" in workshop.answer("rollback", "--to", "1", "--yes")
    assert {"serving.log"} == {
        name for name in workshop.locations() if name in ("serving.log", "serving.journal")
    }
    assert len(rows(workshop, "serving.log")) == 4
    workshop.answer("rollback", "--to", "2", "--yes")
    assert "serving.log" not in workshop.locations()
    workshop.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    (workshop.path / "models/serving/journal.sql").unlink()
    workshop.write("models/serving/diary.sql", LOG.format(more=", was='serving.journal'"))
    (diary,) = (node for node in workshop.run()["nodes"] if node["table"] == "serving.diary")
    assert (diary["change"], diary["stale"]) == ("built", "")  # the same code under another name
    assert len(rows(workshop, "serving.diary")) == 4 + 5
    assert workshop.table("serving.diary").metadata.table_uuid == first.metadata.table_uuid
    assert workshop.slipway("doctor").code == 0
    workshop.write("models/serving/log.sql", LOG.format(more=""))
    workshop.write("models/serving/other.sql", LOG.format(more=", was='serving.log'"))
    assert "other has was: serving.log, and log makes serving.log" in workshop.refusal("run", code=2)


def test_rollback_after_another_program_dropped_a_table(built: Workshop) -> None:
    before = rows(built, "serving.depot_weights")
    built.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    built.run()
    drop(built, "serving.depot_weights")
    assert "slipway rollback --to 2 --select serving.depot_weights" in built.slipway("doctor").out
    built.answer("rollback", "--to", "2", "--select", "serving.depot_weights", "--yes")
    assert len(rows(built, "serving.depot_weights")) == 2
    drop(built, "serving.depot_weights")
    built.answer("rollback", "--to", "1", "--yes")
    assert rows(built, "serving.depot_weights") == before
    drop(built, "serving.depot_weights", purge=True)
    done = built.slipway("rollback", "--to", "2", "--yes")
    assert done.code == 0, done
    assert "serving.depot_weights cannot be brought back" in done.err
    assert "The other tables can be rolled back" in done.err
    assert len(rows(built, "curated.weights")) == 5
    assert "shows part of release 2" in done.out


@pytest.mark.long
def test_maintenance_after_a_rename(workshop: Workshop) -> None:
    """The old name and the new one share a folder; what rollback needs of the old one stays, and the rest goes."""
    workshop.write("models/serving/log.sql", LOG.format(more=""))
    workshop.run()
    (workshop.path / "models/serving/log.sql").unlink()
    workshop.write("models/serving/journal.sql", LOG.format(more=", was='log'"))
    workshop.run()
    for number in range(3, 8):
        workshop.land(f"day-{number}.csv", (f"p{number + 3},S,2024-05-0{number},10.125",))
        workshop.run()
    now = rows(workshop, "serving.journal")
    aged(workshop)
    done = json.loads(workshop.answer("maintain", "--older-than", "1h", "-o", "json"))
    assert "serving.journal" in {step["table"] for step in done["steps"] if step["step"] == "compact"}
    aged(workshop)
    workshop.answer("maintain", "--older-than", "1h")
    assert sorted(map(str, rows(workshop, "serving.journal"))) == sorted(map(str, now))
    assert workshop.slipway("doctor", "--deep").code == 0
    workshop.answer("rollback", "--to", "1", "--yes")
    assert len(rows(workshop, "serving.log")) == 4
    aged(workshop)
    workshop.answer("maintain", "--older-than", "1h")
    assert len(rows(workshop, "serving.log")) == 4
    workshop.answer("rollback", "--to", "7", "--yes")
    assert sorted(map(str, rows(workshop, "serving.journal"))) == sorted(map(str, now))
    assert workshop.slipway("doctor", "--deep").code == 0


@pytest.mark.long
def test_a_renaming_run_that_failed_is_continued(workshop: Workshop) -> None:
    workshop.write("models/serving/log.sql", LOG.format(more=""))
    workshop.run()
    (workshop.path / "models/serving/log.sql").unlink()
    workshop.write("models/serving/journal.sql", LOG.format(more=", was='log'"))
    broken = "select 1 / (select count(*) from {{ ref('journal') }} where parcel = 'x')::int as n, error('no') as e"
    workshop.write("models/serving/after.sql", broken)
    assert workshop.slipway("run").code == 1
    assert "serving.journal" not in workshop.locations()
    assert len(rows(workshop, "serving.log")) == 4
    workshop.write("models/serving/after.sql", "select count(*) as n from {{ ref('journal') }}")
    workshop.dbt("retry")
    assert "serving.log" not in workshop.locations()
    assert len(rows(workshop, "serving.journal")) == 4
    assert rows(workshop, "serving.after") == [{"n": 4}]
    assert workshop.slipway("doctor").code == 0


def aged(workshop: Workshop) -> None:
    """Let all files of the warehouse look as if they had been written long ago."""
    then = time.time() - 10 * 86_400
    for path in workshop.warehouse().rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))
