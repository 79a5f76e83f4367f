"""``slipway run``: what it builds, says, refuses and writes down."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import some
from tests.harness.projects import TABLES

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

WEIGHT_MODEL = "models/serving/depot_weights.sql"
DAY_3 = ("p6,S,2024-05-03,10.125",)
LIGHT = ("p7,N,2024-05-04,-1",)


def nodes(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {node["table"]: node for node in manifest["nodes"]}


def changes(manifest: dict[str, Any]) -> dict[str, str]:
    return {node["table"]: node["change"] for node in manifest["nodes"]}


def folder(workshop: Workshop, run_id: str) -> Path:
    (found,) = workshop.warehouse().glob(f"_slipway/runs/*/{run_id}")
    return found


def snapshots(workshop: Workshop) -> dict[str, int | None]:
    """Current snapshot of every published table."""
    return {name: workshop.table(name).metadata.current_snapshot_id for name in workshop.published()}


@pytest.mark.long
def test_select_and_exclude_take_several_words_as_dbt_does(workshop: Workshop) -> None:
    run = workshop.run("--select", "+weights", "depots", "--exclude", "unique_weights_parcel")
    assert changes(run) == dict.fromkeys(("raw.parcels", "curated.weights", "reference.depots"), "built")
    assert {result["unique_id"].split(".")[2] for result in run["tests"]["results"]} == {
        "not_null_weights_kg",
        "unique_weights_parcel",
        "weights_are_positive",
    }
    assert (run["tests"]["executed"], run["tests"]["not_run"]) == (2, 1)
    assert workshop.published().keys() == changes(run).keys()
    assert changes(workshop.run("-s", "depot_weights", "-s", "depots")) == {
        "reference.depots": "unchanged",
        "serving.depot_weights": "built",
    }


def test_force_builds_what_is_unchanged_and_tests_it(built: Workshop) -> None:
    before = snapshots(built)
    run = built.run("--force")
    assert changes(run).keys() == TABLES
    assert set(changes(run).values()) <= {"built", "same_content"}
    assert (run["tests"]["executed"], run["tests"]["carried"]) == (4, 0)
    # nothing else came out, so readers keep their snapshots
    assert snapshots(built) == before


@pytest.mark.long
def test_a_full_refresh_loses_no_row(built: Workshop) -> None:
    built.land("day-3.csv", DAY_3)
    built.run()
    run = built.run("--full-refresh")
    assert run["outcome"] == "published"
    # raw is built anew from every file that was accepted, not from those it did not hold
    assert nodes(run)["raw.parcels"]["rows_after"] == 6
    rows = built.table("raw.parcels").scan().to_arrow()
    assert sorted(rows.column("parcel").to_pylist()) == ["p1", "p2", "p3", "p4", "p5", "p6"]


@pytest.mark.long
def test_files_that_are_set_aside_do_not_stop_a_run(workshop: Workshop) -> None:
    workshop.land("broken.csv", ("p9,N",), header="parcel,depot")
    done = workshop.slipway("run")
    assert done.code == 0
    assert "landed parcels: 2 files, 5 rows; 1 set aside" in done.err
    assert "files set aside: 1 of 3 new ones" in done.out
    assert "parcels/broken.csv: " in done.out
    assert "Published release 1, 5 tables in dev." in done.out


def test_a_failing_test_publishes_nothing(built: Workshop) -> None:
    before = built.published()
    built.land("day-4.csv", LIGHT)
    run = built.run(code=1)  # stdout is JSON also when a test fails
    assert (run["outcome"], run["release"]) == ("failed", None)
    assert "weights_are_positive" in run["reason"]
    assert run["tests"]["failed"] == 1
    failed = [result for result in run["tests"]["results"] if result["status"] == "fail"]
    assert [(result["unique_id"], result["failures"]) for result in failed] == [
        ("test.parcels.weights_are_positive", 1)
    ]
    assert built.published() == before
    assert built.manifests()[-1]["outcome"] == "failed"
    assert [release["number"] for release in built.releases()] == [1]
    # the candidate stays for inspection
    candidate = folder(built, run["run_id"]) / "candidate"
    assert {path.stem for path in candidate.iterdir()} >= {"raw.parcels", "curated.weights"}


@pytest.mark.long
def test_a_failing_test_is_reported(workshop: Workshop) -> None:
    workshop.land("day-4.csv", LIGHT)
    done = workshop.slipway("run")
    assert done.code == 1
    assert re.search(r"^  FAILED   weights_are_positive .* Got 1 result", done.err, re.MULTILINE)
    assert re.search(r"^  fail  weights_are_positive: Got 1 result", done.out, re.MULTILINE)
    assert re.search(r"^Not published \(failed\) in dev: .*weights_are_positive", done.out, re.MULTILINE)
    assert workshop.published() == {}


def test_a_failing_model_publishes_nothing_and_says_why(workshop: Workshop) -> None:
    workshop.write(
        "models/curated/weights_quarantined.sql", "select error('the scales are broken') as rule_id"
    )
    done = workshop.slipway("run", "--output", "json")
    assert done.code == 1
    run = json.loads(done.out)
    assert run["outcome"] == "failed"
    node = next(node for node in run["nodes"] if node["status"] == "error")
    assert node["unique_id"] == "model.parcels.weights_quarantined"
    assert "the scales are broken" in node["message"]
    # the line on stderr says what is wrong, not only where
    assert re.search(
        r"^  ERROR    curated.weights_quarantined .*the scales are broken", done.err, re.MULTILINE
    )
    assert workshop.published() == {}


@pytest.mark.long
def test_what_depends_on_a_failed_model_is_not_run(workshop: Workshop) -> None:
    workshop.write("models/curated/weights.sql", "select error('the scales are broken') as parcel")
    run = workshop.run(code=1)
    statuses = {node["unique_id"].split(".")[2]: node["status"] for node in run["nodes"]}
    assert statuses["weights"] == "error"
    assert statuses["depot_weights"] == "skipped"
    tests = run["tests"]
    assert tests["expected"] == tests["executed"] + tests["carried"] + tests["not_run"]
    assert (tests["executed"], tests["not_run"]) == (0, 4)


@pytest.mark.long
def test_a_failed_run_is_repaired_by_the_next(workshop: Workshop) -> None:
    workshop.land("day-4.csv", LIGHT)
    workshop.run(code=1)
    workshop.edit("models/curated/weights.sql", "kg is not null", "kg > 0")
    lost = workshop.run(code=1)
    assert lost["reason"].startswith(
        "1 row of raw.parcels is neither in curated.weights nor in quarantine.weights"
    )
    assert workshop.published() == {}
    workshop.edit(
        "models/curated/weights_quarantined.sql",
        "try_cast(kg as decimal(9, 3)) is null",
        "coalesce(try_cast(kg as decimal(9, 3)), 0) <= 0",
    )
    run = workshop.run()
    (item,) = run["conservation"]
    assert (item["landed"], item["curated_rows"], item["quarantined_rows"], item["deduplicated"]) == (
        6,
        4,
        2,
        0,
    )
    assert workshop.table("raw.parcels").scan().to_arrow().num_rows == 6


@pytest.mark.long
def test_rows_are_counted_when_no_model_says_how(workshop: Workshop) -> None:
    """One curated and one quarantine table read the feed; each run counts between these two."""
    quarantine = "models/curated/weights_quarantined.sql"
    workshop.edit(quarantine, "conserves={'raw': 'raw.parcels', 'curated': 'curated.weights'},", "")
    run = workshop.run("--select", "parcels_raw")
    assert run["conservation"] == []
    (item,) = run["not_counted"]
    assert (item["raw"], item["reason"]) == ("raw.parcels", "curated.weights is not there yet")
    run = workshop.run()
    (item,) = run["conservation"]
    assert (item["landed"], item["curated_rows"], item["quarantined_rows"]) == (5, 4, 1)
    workshop.land("day-3.csv", ("p6,N,2024-05-03,6",))
    run = workshop.run("--select", "parcels_raw")
    (item,) = run["not_counted"]
    assert item["reason"] == "curated.weights was not built from all rows that raw.parcels has"
    workshop.edit("models/curated/weights.sql", "kg is not null", "kg > 2")
    assert "is neither in curated.weights nor" in workshop.run(code=1)["reason"].replace(" are ", " is ")


@pytest.mark.parametrize(
    ("arguments", "code", "reported"),
    [
        pytest.param(["--vars", "{a: ["], 2, "--vars is not YAML", id="vars that are no YAML"),
        pytest.param(
            ["--vars", "{apiToken: x}"],
            2,
            "The value of var apiToken seems to be a secret",
            id="a secret in vars",
        ),
        pytest.param(["--vars", "[a]"], 2, "--vars is not a mapping", id="vars that are a list"),
        pytest.param(
            ["--vars", "{a: 2025-02-30}"], 2, "--vars is not YAML", id="vars with a day that is none"
        ),
        pytest.param(
            ["--vars", "{2025-01-01: x}"], 2, "--vars cannot be recorded", id="vars named by a date"
        ),
        pytest.param(
            ["--vars", "{a: &x [*x]}"], 2, "--vars cannot be recorded", id="vars that hold themselves"
        ),
        pytest.param(["--target", "nowhere"], 2, "No target nowhere in profiles.yml", id="unknown target"),
        pytest.param(["--target", "prod"], 2, "Target prod has no warehouse", id="target without settings"),
        pytest.param(["--select", "nothing"], 1, "the selection names no node", id="empty selection"),
    ],
)
def test_refused_before_anything_begins(
    workshop: Workshop, arguments: list[str], code: int, reported: str
) -> None:
    assert reported in workshop.refusal("run", *arguments, code=code)
    assert not workshop.warehouse().exists()


@pytest.mark.parametrize("arguments", [["--threads", "0"], ["--no-such-option"], ["model"]], ids=" ".join)
def test_wrong_usage(workshop: Workshop, arguments: list[str]) -> None:
    done = workshop.slipway("run", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: slipway run [OPTIONS]")


def test_outside_of_a_project(workshop: Workshop) -> None:
    message = workshop.refusal("run", "--project-dir", str(workshop.folder), code=3)
    assert message.startswith("No dbt project at ")


def test_sql_that_does_not_parse_is_one_line(workshop: Workshop) -> None:
    workshop.write(WEIGHT_MODEL, "select {{ ref('nothing_like_it') }}")
    message = workshop.refusal("run", code=1)
    assert "nothing_like_it" in message
    assert workshop.published() == {}


@pytest.mark.long
def test_plain_lines_where_there_is_no_terminal(workshop: Workshop) -> None:
    done = workshop.slipway("run")
    assert "\x1b" not in done.err + done.out
    assert "\r" not in done.err + done.out
    lines = done.err.splitlines()
    assert lines[0].startswith("No commit holds this code (git cannot read")
    assert lines[1] == "landed parcels: 2 files, 5 rows; 0 set aside"
    built = {
        match[1] for line in lines[2:] if (match := re.match(r"  ok       (\S+) +[0-9.]+ s  REPLACE", line))
    }
    assert built == TABLES


@pytest.mark.long
def test_a_live_line_on_a_terminal(workshop: Workshop) -> None:
    workshop.commit()
    screen, terminal = pty.openpty()
    command = [sys.executable, "-m", "slipway.cli.main", "run"]
    with subprocess.Popen(
        command, cwd=workshop.path, env=workshop.env(), stdout=subprocess.PIPE, stderr=terminal
    ) as running:
        os.close(terminal)
        shown = read_terminal(screen)
    assert running.returncode == 0
    # the tables that are built and how far it is, on one line that is erased in the end
    assert re.search(r"\r\x1b\[2K  [1-8]/[0-9] \S+\.\S+", shown)
    assert shown.endswith("\r\x1b[2K")
    kept = [line.rsplit("\x1b[2K", 1)[-1].rstrip("\r") for line in shown.split("\n")]
    assert kept[0] == "landed parcels: 2 files, 5 rows; 0 set aside"
    assert {line.split()[1] for line in kept if line.startswith("  ok ")} == TABLES


def read_terminal(screen: int) -> str:
    """What is written to a terminal until nobody has it open any more."""
    found = b""
    while True:
        try:
            part = os.read(screen, 65536)
        except OSError:  # how Linux says so
            part = b""
        if not part:
            os.close(screen)
            return found.decode()
        found += part


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.long),
    ],
)
def test_interrupted_runs_publish_nothing(built: Workshop, number: int, code: int) -> None:
    before = built.published()
    built.land("day-3.csv", DAY_3)
    built.write(WEIGHT_MODEL, "select count(*) as parcels from range(1000000) as a, range(1000000) as b")
    running = built.start("run")
    wait_for_log(built, "model.parcels.depot_weights")
    began = time.monotonic()
    os.kill(running.pid, number)
    done = running.wait()
    assert time.monotonic() - began < 20
    assert (done.out, done.code) == ("", code), done
    assert done.err.splitlines()[-1] == "slipway: Interrupted. Nothing was published."
    assert "Traceback" not in done.err
    assert built.published() == before
    assert len(built.releases()) == 1
    assert (built.manifests()[-1]["outcome"], built.manifests()[-1]["reason"]) == (
        "failed",
        "interrupted",
    )
    built.write(WEIGHT_MODEL, "select 'all' as depot, count(*) as parcels from {{ ref('weights') }}")
    assert built.run()["outcome"] == "published"
    assert built.table("serving.depot_weights").scan().to_arrow().to_pylist() == [
        {"depot": "all", "parcels": 5}
    ]


def test_interrupted_before_anything_is_built(workshop: Workshop) -> None:
    running = workshop.start("run")
    for _ in range(600):
        if list((workshop.home / "logs").glob("*/*.jsonl")):
            break
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGINT)
    done = running.wait()
    # dbt prints what it was doing when it is interrupted before its own logging is set up
    assert done.code == 130, done
    assert done.err.splitlines()[-1] == "slipway: Interrupted. Nothing was published."
    assert workshop.published() == {}


def wait_for_log(workshop: Workshop, text: str) -> None:
    """Wait until the log of the run that goes on tells something."""
    for _ in range(600):
        for log in (workshop.home / "logs").glob("*/*.jsonl"):
            if text in log.read_text(encoding="utf-8"):
                return
        time.sleep(0.05)
    raise TimeoutError(text)


@pytest.mark.long
def test_event_times_choose_the_batches(workshop: Workshop) -> None:
    config = "materialized='incremental', incremental_strategy='microbatch', event_time='weighed_on'"
    workshop.write(
        "models/serving/weighed.sql",
        f"{{{{ config({config}, batch_size='day', begin='2024-05-01') }}}}\n"
        "select parcel, weighed_on from {{ ref('weights') }}\n",
    )
    days = ("--event-time-start", "2024-05-02", "--event-time-end", "2024-05-03T00:00:00")
    run = workshop.run("--select", "+weighed", *days)
    assert nodes(run)["serving.weighed"]["change"] == "built"
    weighed = workshop.table("serving.weighed").scan().to_arrow().to_pylist()
    assert {str(row["weighed_on"]) for row in weighed} == {"2024-05-02"}
    assert changes(workshop.run("--select", "weighed", *days))["serving.weighed"] == "unchanged"
    for options, expected in {
        ("2024-05-02", None): "give both or none",
        ("2024-05-02", "2024-05-02"): "--event-time-start is not before --event-time-end",
        ("soon", "2024-05-02"): "'soon' does not match",
    }.items():
        named = zip(("--event-time-start", "--event-time-end"), options, strict=True)
        done = workshop.slipway("run", *(part for name, value in named if value for part in (name, value)))
        assert (done.code, expected in done.err) == (2, True), done


@pytest.mark.long
@pytest.mark.parametrize("when", some(2, ["after it was read", "before it is read"]))
def test_a_file_that_is_replaced_during_a_run_waits_and_the_others_go_on(built: Workshop, when: str) -> None:
    built.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    built.land("day-4.csv", ("p8,S,2024-05-04,1",))
    path = built.folder / "landing" / "parcels" / "day-3.csv"
    rows = "('p7', 'N', '2024-05-03', '3'), ('p9', 'N', '2024-05-03', '4')"
    query = f"select * from (values {rows}) as t(parcel, depot, weighed_on, kg)"
    hook = f"copy ({query}) to '{path}' (format csv, header)"
    kind = "pre_hook" if when == "before it is read" else "post_hook"
    built.edit("models/raw/parcels_raw.sql", "{{ config(", f'{{{{ config({kind}="{hook}", ')
    run = built.run()
    first = ["p1", "p2", "p3", "p4", "p5", *(["p6"] if when == "after it was read" else []), "p8"]
    raw = built.table("raw.parcels").scan().to_arrow().to_pylist()
    assert sorted(row["parcel"] for row in raw) == first
    if when == "before it is read":
        (item,) = run["outstanding"]
        assert (item["path"], item["blocks"]) == ("parcels/day-3.csv", False)
        assert item["reason"] == "it changed after it was accepted, and waits for the next run"
    built.edit("models/raw/parcels_raw.sql", f'{kind}="{hook}", ', "")
    assert built.run()["outstanding"] == []
    raw = built.table("raw.parcels").scan().to_arrow().to_pylist()
    assert sorted(row["parcel"] for row in raw) == sorted([*first, "p7", "p9"])


@pytest.mark.long
def test_a_landed_file_that_is_gone_is_outstanding(built: Workshop) -> None:
    built.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    built.run("--select", "depots")  # lands it, and does not ingest it
    path = built.folder / "landing" / "parcels" / "day-3.csv"
    content = path.read_bytes()
    path.unlink()
    answer = built.answer("run")
    assert "outstanding: 1 landed file is not in raw" in answer
    assert "parcels/day-3.csv: it was accepted, and is gone before it was ingested" in answer
    path.write_bytes(content.splitlines(keepends=True)[0])  # given up
    assert built.run()["outstanding"] == []
    path.write_bytes(content)
    built.run()
    assert "p6" in {row["parcel"] for row in built.table("raw.parcels").scan().to_arrow().to_pylist()}


@pytest.mark.long
def test_what_plain_dbt_parsed_is_not_parsed_again(workshop: Workshop) -> None:
    workshop.run("--select", "depots")  # the project was parsed by dbt parse
    log = (workshop.folder / "logs" / "dbt.log").read_text(encoding="utf-8")
    assert "Partial parsing enabled, no changes found" in log
    assert "Unable to do partial parsing" not in log


@pytest.mark.long
def test_tables_of_one_name_in_two_environments_are_two_inputs(workshop: Workshop) -> None:
    source = "sources: [{name: other, database: ci, schema: curated, tables: [{name: weights}]}]\n"
    workshop.write("models/serving/_other.yml", source)
    workshop.write(
        "models/serving/both.sql",
        "select 'ci' as place, count(*) as n from {{ source('other', 'weights') }}"
        " union all select 'dev', count(*) from {{ ref('weights') }}",
    )
    parcels = ("--select", "+weights")
    workshop.run("--target", "ci", *parcels)
    workshop.run()
    workshop.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    workshop.run()
    workshop.run("--target", "ci", *parcels)
    assert workshop.run()["outcome"] == "published"
    rows = workshop.table("serving.both").scan().to_arrow().to_pylist()
    assert {row["n"] for row in rows} == {workshop.table("curated.weights").scan().to_arrow().num_rows}


def test_names_that_differ_only_in_case_are_refused(workshop: Workshop) -> None:
    workshop.write("models/serving/upper.sql", "{{ config(alias='Foo') }} select 1 as n")
    workshop.write("models/serving/lower.sql", "{{ config(alias='foo') }} select 2 as n")
    printed = workshop.refusal("run", "--select", "upper", "lower", code=2)
    assert (
        "serving.Foo and serving.foo differ only in upper and lower case, which DuckDB does not distinguish"
        in printed
    )
    assert workshop.published() == {}


@pytest.mark.long
def test_rows_added_is_for_raw_tables(workshop: Workshop) -> None:
    workshop.edit("models/curated/weights.sql", "select parcel,", "select _run_id, parcel,")
    workshop.write(
        "models/serving/late.sql",
        "{{ config(materialized='incremental', incremental_strategy='append') }} select parcel from {{ ref('weights') }}"
        "{% if is_incremental() %} where {{ rows_added(ref('weights')) }}{% endif %}",
    )
    workshop.run()
    workshop.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    done = workshop.slipway("run")
    assert done.code == 1, done
    assert "rows_added(curated.weights) is not known: it is made from raw.parcels" in done.out + done.err


@pytest.mark.long
def test_the_reason_of_an_error_is_shown_also_of_a_batch(workshop: Workshop) -> None:
    batched = (
        "{{ config(materialized='incremental', incremental_strategy='microbatch', event_time='weighed_at',"
        " begin='2024-05-01', batch_size='day') }}\n"
        "select timestamp '2024-05-01' as weighed_at, error('the scales\x1b[31m are broken') as kg"
    )
    workshop.write("models/serving/batched.sql", batched)
    workshop.write("models/serving/plain.sql", "select error('the lorry is late') as n")
    done = workshop.slipway("run", "--select", "batched", "plain")
    assert done.code == 1
    for reported in ("the scales\\x1b[31m are broken", "the lorry is late"):
        assert reported in done.err
    shown = workshop.answer("show", "latest")
    for name, reported in (("batched", "the scales\\x1b[31m are broken"), ("plain", "the lorry is late")):
        (line,) = [line for line in shown.splitlines() if f"model.parcels.{name}: " in line]
        assert reported in line
    assert "\x1b" not in shown + done.err + done.out
    manifest = workshop.manifests()[-1]
    messages = {node["unique_id"]: node["message"] for node in manifest["nodes"]}
    assert "the scales" in messages["model.parcels.batched"]


@pytest.mark.long
def test_names_of_files_do_not_steer_the_terminal(workshop: Workshop) -> None:
    hostile = "day\x1b[2K\r\n9.csv"
    workshop.land(hostile, ("p9,N,2024-05-09,1",), header="wrong\x1b[31m,header")
    done = workshop.slipway("run")
    shown = workshop.slipway("show", "latest")
    plain = workshop.dbt("build")
    for text in (done.out, done.err, shown.out, plain):
        assert "\x1b[2K" not in text
        assert "\x1b[31m" not in text
        assert "\r" not in text
    assert "day\\x1b[2K\\r\\n9.csv" in done.err
    assert "day\\x1b[2K\\r\\n9.csv" in shown.out
