"""What is known to be unchanged is not compiled, and the run ends as it does where dbt compiles everything.

The project has a node for each way in which a node may depend on more than its code; every edit is made twice, once for each way.
"""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.projects import keep, put_back

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

FILES = {
    "models/serving/by_var.sql": "select depot, {{ var('factor', 1) }} as n from {{ ref('depots') }}\n",
    "models/serving/by_env.sql": "select depot, {{ env_var('FACTOR', '1') }} as n from {{ ref('depots') }}\n",
    "models/serving/by_macro.sql": "select {{ half('2') }} as one, depot from {{ ref('depots') }}\n",
    "models/serving/talks.sql": "{% do log('talks is compiled', info=true) %}select * from {{ ref('depots') }}\n",
    "models/serving/stamped.sql": "select depot, now() as at from {{ ref('depots') }}\n",
    "models/serving/inlined.sql": "{{ config(materialized='ephemeral') }}select * from {{ ref('depots') }}\n",
    "models/serving/short.sql": "{{ config(materialized='view') }}select depot from {{ ref('inlined') }}\n",
    "models/serving/through.sql": "select short.depot from {{ ref('short') }} as short, {{ ref('inlined') }}\n",
    "models/serving/grown.sql": "{{ config(materialized='incremental', unique_key='depot') }}select * from {{ ref('depots') }}\n"
    "{% if is_incremental() %}where depot > (select max(depot) from {{ this }}){% endif %}\n",
    "models/serving/asked.sql": "{% set found = run_query('select count(*) from ' ~ ref('depots')) %}\n"
    "select {{ found.columns[0].values()[0] if execute else 0 }} as every, depot from {{ ref('depots') }}\n",
    "models/serving/in_python.py": "def model(dbt, session):\n    return dbt.ref('depots').df()\n",
    "models/serving/reads_itself.sql": "select 1 as one\n",
    "models/serving/hidden.sql": "select {{ context['half']('2') }} as one, depot from {{ ref('depots') }}\n",
    "models/serving/sent.sql": "select {{ sent() }} as one, depot from {{ ref('depots') }}\n",
    "models/serving/listed.sql": "select {{ graph.nodes.values() | selectattr('resource_type', 'equalto', 'model') | list | length }} as n\n",
    "models/serving/by_day.sql": "select '{{ var('as_of', '2024-05-02') }}' as day, depot from {{ ref('depots') }}\n",
    "models/serving/many_v1.sql": "select depot, 1 as one from {{ ref('depots') }}\n",
    "models/serving/many_v2.sql": "select depot, 2 as one from {{ ref('depots') }}\n",
    "models/serving/reads_latest.sql": "select * from {{ ref('many') }}\n",
    "models/serving/_more.yml": """\
models:
  - name: many
    latest_version: 1
    versions: [{v: 1}, {v: 2}]
  - name: by_var
    columns:
      - name: n
        data_tests:
          - accepted_values: {name: by_argument, arguments: {values: ["{{ var('factor', 1) }}", 7]}}
          - accepted_values: {name: by_call, arguments: {values: [1, 2, 7, "env_var('FACTOR', '1')"]}}
snapshots:
  - name: history
    relation: ref('depots')
    config: {schema: curated, strategy: check, check_cols: all, unique_key: depot}
""",
    "macros/sent.sql": "{% macro sent() %}{{ adapter.dispatch('sent')() }}{% endmacro %}\n"
    "{% macro default__sent() %}1{% endmacro %}\n",
    "macros/half.sql": "{% macro half(c) %}{{ c }} / 2{% endmacro %}\n",
    "tests/dbt/few.sql": "select * from {{ ref('by_var') }} where n > 5\n",
    "tests/dbt/recent.sql": "select * from {{ ref('weights') }} where weighed_on > current_date + 1\n",
}
COMPILED = {"parcels_raw", "talks", "stamped", "short", "recent", "hidden", "listed"}
"""Of landed files, of what says something or calls by a computed name, of a clock, of every node, and a view: compiled by every run."""

PRIVATE = """
  - name: inner
    config: {group: depots, access: private}
groups:
  - name: depots
    owner: {name: ada}
"""


@pytest.fixture(scope="module")
def _settled(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    folder = tmp_path_factory.mktemp("settled") / "run"
    folder.mkdir()
    found = new_workshop(folder)
    for name, text in FILES.items():
        found.write(name, text)
    found.write("models/serving/inner.sql", "select * from {{ ref('depots') }}\n")
    found.write("models/serving/outer.sql", "select * from {{ ref('inner') }}\n")
    found.run()
    found.run(SLIPWAY_ALWAYS_START_DBT="1")
    keep(found.folder)
    return found


@pytest.fixture
def settled(_settled: Workshop) -> Workshop:
    """The project after a run that published, and one in which dbt compiled everything."""
    put_back(_settled.folder)
    return replace(_settled, settings={"SLIPWAY_ALWAYS_START_DBT": "1"})


@dataclass
class Command:
    """What is asked of the run after an edit."""

    arguments: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)


def append(workshop: Workshop, name: str, text: str) -> None:
    path = next(workshop.path.glob(name))
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def move_a_table(workshop: Workshop) -> None:
    """Another program has committed to a table that many nodes read: same rows, another metadata file."""
    location = Path(workshop.published()["reference.depots"].removeprefix("file://"))
    metadata = json.loads(read_text(location))
    metadata["properties"]["touched"] = "yes"
    other = location.with_name(f"99999-{location.name[6:]}".replace(".gz", ""))
    other.write_text(json.dumps(metadata), encoding="utf-8")
    with closing(sqlite3.connect(workshop.home / "dev" / "catalog.db")) as connection, connection:
        connection.execute(
            "update iceberg_tables set metadata_location = ? where table_name = 'depots'",
            (f"file://{other}",),
        )


def read_text(path: Path) -> str:
    content = path.read_bytes()
    return (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode()


def build_and_roll_back(workshop: Workshop) -> None:
    """A release came and went: the tables are those of the release before, and the newest record is of another one."""
    workshop.edit("models/serving/by_var.sql", "select depot", "select 'x' as depot")
    workshop.write("models/serving/reads_itself.sql", "select 2 as one\n")
    workshop.run()
    workshop.answer("rollback", "--reason", "a mistake", "--yes")
    workshop.edit("models/serving/by_var.sql", "select 'x' as depot", "select depot")


def fail_and_repair(workshop: Workshop) -> None:
    """A run failed by a test, and what it built was not published."""
    workshop.write("models/serving/by_var.sql", "select depot, 7 as n from {{ ref('depots') }}\n")
    assert workshop.slipway("run").code
    workshop.write("models/serving/by_var.sql", FILES["models/serving/by_var.sql"])


def build_by_plain_dbt(workshop: Workshop) -> None:
    """The newest record is one of plain dbt, of a part of the project."""
    workshop.dbt("build", "--select", "by_var+")


EDITS: dict[str, Callable[[Workshop], Command | None]] = {
    "nothing": lambda w: None,
    "model": lambda w: w.write("models/serving/by_var.sql", "select 'x' as depot, 7 as n\n"),
    "macro": lambda w: w.write("macros/half.sql", "{% macro half(c) %}{{ c }} / 4{% endmacro %}\n"),
    "reads a table by its name": lambda w: w.write(
        "models/serving/reads_itself.sql", "select depot from dev.reference.depots\n"
    ),
    "access": lambda w: append(w, "models/_models.yml", PRIVATE),
    "variable": lambda w: Command(["--vars", "{factor: 2}"]),
    "environment": lambda w: Command(settings={"FACTOR": "3"}),
    "seed": lambda w: append(w, "seeds/**/*.csv", "W,West\n"),
    "comment": lambda w: append(w, "models/serving/by_env.sql", "-- says the same\n"),
    "test": lambda w: w.edit("tests/dbt/few.sql", "n > 5", "n > 6"),
    "test has the tag freshness": lambda w: append(
        w, "tests/dbt/few.sql", "{{ config(tags=['freshness']) }}"
    ),
    "test of a column": lambda w: w.edit("models/_models.yml", "data_tests: [not_null]", "description: kg"),
    "landed": lambda w: w.land("day-3.csv", ("p6,N,2024-05-03,2",)),
    "moved": move_a_table,
    "hook of a model": lambda w: w.edit(
        "models/serving/by_macro.sql", "select", "{{ config(pre_hook='select 1') }}select"
    ),
    "hook of the project": lambda w: append(w, "dbt_project.yml", 'on-run-start: ["select 1"]\n'),
    "time zone": lambda w: w.edit(
        "profiles.yml", "mode: exploratory", "mode: exploratory, settings: {TimeZone: Asia/Tokyo}"
    ),
    "message": lambda w: w.edit("models/serving/talks.sql", "is compiled", "is compiled again"),
    "message in a macro": lambda w: w.write(
        "macros/half.sql", "{% macro half(c) %}{% do log('half', info=true) %}{{ c }} / 2{% endmacro %}\n"
    ),
    "macro in the place of dbt's": lambda w: w.write(
        "macros/where.sql",
        "{% macro default__get_where_subquery(relation) %}(select * from {{ relation }}) as s{% endmacro %}\n",
    ),
    "macro in the place of ref": lambda w: w.write(
        "macros/ref.sql", "{% macro ref() %}{{ return(builtins.ref(*varargs, **kwargs)) }}{% endmacro %}\n"
    ),
    "view": lambda w: append(w, "models/serving/short.sql", "where depot > 'N'\n"),
    "ephemeral": lambda w: append(w, "models/serving/inlined.sql", "where depot > 'A'\n"),
    "python": lambda w: append(w, "models/serving/in_python.py", "\n\nOTHER = 1\n"),
    "new model": lambda w: w.write("models/serving/new.sql", "select * from {{ ref('by_var') }}\n"),
    "model is gone": lambda w: (w.path / "models/serving/outer.sql").unlink(),
    "source is gone": lambda w: w.write(
        "models/serving/inner.sql", "{{ config(enabled=false) }}select 1 as one\n"
    ),
    "dispatched macro": lambda w: w.edit("macros/sent.sql", "%}1{%", "%}2{%"),
    "macro for the adapter": lambda w: append(
        w, "macros/sent.sql", "{% macro duckdb__sent() %}3{% endmacro %}\n"
    ),
    "latest version": lambda w: w.edit("models/serving/_more.yml", "latest_version: 1", "latest_version: 2"),
    "snapshot": lambda w: w.edit("models/serving/_more.yml", "check_cols: all", "check_cols: [city]"),
    "argument of a test": lambda w: w.edit("models/serving/_more.yml", ", 7]}}", ", 8]}}"),
    "business time": lambda w: Command(["--vars", "{as_of: 2024-05-01}"]),
    "contract": lambda w: w.edit("contracts/parcels.odcs.yaml", "version: 1.0.0", "version: 1.0.1"),
    "what is counted": lambda w: w.edit(
        "models/curated/weights_quarantined.sql", "weights'},", "weights', 'deduplicated_by': ['parcel']},"
    ),
    "rolled back": build_and_roll_back,
    "failed and repaired": fail_and_repair,
    "plain dbt in between": build_by_plain_dbt,
    "failures are stored": lambda w: Command(settings={"DBT_STORE_FAILURES": "true"}),
    "one thread": lambda w: Command(["--threads", "1"]),
    "exclusion": lambda w: Command(["--exclude", "depots", "by_env"]),
    "selection": lambda w: Command(["--select", "by_var+", "depot_weights"]),
    "force": lambda w: Command(["--force", "--select", "by_var+", "grown"]),
    "full refresh": lambda w: Command(["--full-refresh", "--select", "grown", "by_env"]),
    "warnings are errors": lambda w: Command(settings={"DBT_WARN_ERROR": "true"}),
}


@pytest.mark.long
@pytest.mark.parametrize("edit", EDITS)
def test_what_is_left_out_ends_as_what_dbt_compiles(settled: Workshop, edit: str) -> None:
    quick = ended(settled, EDITS[edit](settled), SLIPWAY_COMPILE_ALL="0")
    put_back(settled.folder)
    assert ended(settled, EDITS[edit](settled), SLIPWAY_COMPILE_ALL="1") == quick


@pytest.mark.long
def test_only_what_is_not_certain_is_compiled(settled: Workshop) -> None:
    manifest = settled.run()
    assert compiled(settled, manifest) == COMPILED
    assert {node["unique_id"].split(".")[-1] for node in manifest["nodes"] if node["change"] == "built"} == {
        "stamped"
    }
    assert compiled(settled, settled.run(SLIPWAY_COMPILE_ALL="1")) > COMPILED
    assert compiled(settled, settled.run("--force", "--select", "few", "by_var")) == {
        "few",
        "by_var",
        "by_argument",
        "by_call",
    }


@pytest.mark.long
def test_tests_are_carried_past_runs_of_a_part(settled: Workshop) -> None:
    every = settled.run()["tests"]
    settled.run("--select", "by_env")
    settled.dbt("run", "--select", "by_env")
    assert settled.run()["tests"]["carried"] == every["carried"] > 3


@pytest.mark.long
def test_a_test_that_was_forced_is_known_as_what_it_is(settled: Workshop) -> None:
    """A forced run looks at the queries of its tests, too: the next one takes what it says of them as certain."""
    settled.run("--force")
    settled.run(SLIPWAY_COMPILE_ALL="1")
    assert "recent" in compiled(settled, settled.run())


def compiled(workshop: Workshop, manifest: dict[str, Any]) -> set[str]:
    """Names of the nodes that dbt compiled in the last run."""
    found = json.loads((workshop.target / "run_results.json").read_text(encoding="utf-8"))
    assert found["metadata"]["invocation_id"] == manifest["invocation_id"]
    return {
        name_of(result["unique_id"])
        for result in found["results"]
        if result["compiled"] and not result["unique_id"].startswith("operation.")
    }


def name_of(unique_id: str) -> str:
    return unique_id.split(".")[2]


OF_THE_RUN = frozenset(
    {
        "run_id",
        "invocation_id",
        "started_at",
        "finished_at",
        "cpu_seconds",
        "peak_memory_bytes",
        "memory_limit_bytes",
        "command",
        "folder",
        "inputs",
        "nodes",
        "freshness",
    }
)
"""What is new with each run, or compared in another way."""


def ended(workshop: Workshop, command: Command | None, **settings: str) -> dict[str, Any]:
    """How a run ended: what it says and has written down, without ids, moments and seconds."""
    asked = command or Command()
    done = workshop.slipway("run", *asked.arguments, "--output", "json", **asked.settings, **settings)
    said = done.out + done.err
    found: dict[str, Any] = {"code": done.code, "said": [said.count(text) for text in ("talks is", "half")]}
    if not done.out:
        return found | {"line": done.err.splitlines()[-1]}
    manifest = json.loads(done.out)
    nodes = {node["unique_id"]: described(node) for node in manifest["nodes"]}
    tests = {
        test["unique_id"]: {**test, "key": test["key"] if test["carried"] else None}
        for test in manifest["tests"].pop("results")
    }
    results = {name: value for name, value in manifest.items() if name not in OF_THE_RUN}
    results["reason"] = manifest["reason"].partition(":")[0]  # the first that failed are named, as they ended
    for file in results.pop("landed_files"):
        results[file["path"]] = file["verdict"]
    return found | results | nodes | tests | {"inputs": sorted(item["table"] for item in manifest["inputs"])}


def described(node: dict[str, Any]) -> dict[str, Any]:
    """A node without what is new with each run; of one that was built also without its snapshot."""
    own = {"seconds", "cpu_seconds", "peak_memory_bytes", "spilled_bytes", "phases", "made_by"}
    if node["status"] == "error":  # what is found out before it depends on what other threads do
        own |= {"message", "volatile"}
    if node["change"] != "unchanged":
        own |= {
            "candidate_snapshot",
            "metadata_location",
            "node_key",
            "inputs",
            "bytes_total",
            "bytes_written",
        }
        own |= {"bytes_read", "digest"}
    found = {name: value for name, value in node.items() if name not in own}
    if location := found.get("metadata_location"):  # a rollback writes one, whose name has a part by chance
        found["metadata_location"] = re.sub(r"-[^/]*$", "", location)
    return found
