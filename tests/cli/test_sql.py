"""``slipway sql``: what it reads, how it prints, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.parquet as pq
import pytest
from tests.conftest import some

if TYPE_CHECKING:
    from tests.cli.conftest import World

BY_DEPOT = "select depot, city, parcels, kg from serving.depot_weights order by depot"
# 1.5 + 0.25 + 4 kg and 2 + 10.125 kg; the parcel of 'heavy' kg is in quarantine
NOW = [("N", "Narvik", 3, Decimal("5.750")), ("S", "Siena", 2, Decimal("12.125"))]
FIRST = [("N", "Narvik", 3, Decimal("5.750")), ("S", "Siena", 1, Decimal("2.000"))]


def asked(world: World, query: str, *arguments: str) -> list[list[str]]:
    """Rows of a query by way of CSV."""
    text = world.answer("sql", query, "--output", "csv", *arguments)
    return list(csv.reader(io.StringIO(text, newline="")))[1:]


def as_text(rows: list[tuple[str, str, int, Decimal]]) -> list[list[str]]:
    return [[str(value) for value in row] for row in rows]


def test_text_is_aligned_with_numbers_to_the_right(world: World) -> None:
    done = world.slipway("sql", BY_DEPOT)
    assert done.out.splitlines() == [
        "depot  city    parcels      kg",
        "─────  ──────  ───────  ──────",
        "N      Narvik        3   5.750",
        "S      Siena         2  12.125",
    ]
    assert done.err == "2 rows from dev\n"


def test_text_shows_null_and_keeps_a_value_on_its_line(world: World) -> None:
    out = world.answer(
        "sql", "select null::text as nothing, 'a\nb' || chr(27) as hidden, '東京' as wide, 1 as one"
    )
    assert out.splitlines()[2] == "NULL     a\\nb\\x1b  東京    1"


def test_text_of_many_rows_ends_with_a_note(world: World) -> None:
    done = world.slipway("sql", "from range(10_001)")
    assert len(done.out.splitlines()) == 10_000 + 2
    assert done.err == "the first 10,000 rows of dev; --output csv, json or parquet gives all\n"
    assert world.slipway("sql", "from range(10_000)").err == "10,000 rows from dev\n"


def test_csv_is_rfc_4180(world: World) -> None:
    query = """select 'a,b' as "x,y", 'say "hi"' as quoted, 'two' || chr(13) || chr(10) || 'lines' as broken,
        null as nothing, '' as empty, 1.50::decimal(4, 2) as amount"""
    done = world.slipway("sql", query, "-o", "csv")
    assert (
        done.stdout
        == b'"x,y",quoted,broken,nothing,empty,amount\r\n"a,b","say ""hi""","two\r\nlines",,"",1.50\r\n'
    )
    assert done.err == "1 row from dev\n"


def test_json_is_a_list_of_objects_without_rounding(world: World) -> None:
    query = """select 0.1::decimal(38, 20) as exact, 9007199254740993 as big, 'nan'::double as odd, null as nothing,
        timestamptz '2024-05-01 02:00:00+02' as at, date '2024-05-01' as day, [1.5::decimal(2, 1), null] as items,
        {'a': true} as nested, 0.5::double as half, 'ü"' as word"""
    assert json.loads(world.answer("sql", query, "-o", "json")) == [
        {
            "exact": "0.10000000000000000000",
            "big": 9007199254740993,
            "odd": "nan",
            "nothing": None,
            "at": "2024-05-01T00:00:00+00:00",
            "day": "2024-05-01",
            "items": ["1.5", None],
            "nested": {"a": True},
            "half": 0.5,
            "word": 'ü"',
        }
    ]


def test_json_of_no_rows_is_an_empty_list(world: World) -> None:
    assert json.loads(world.answer("sql", "from serving.depot_weights where false", "-o", "json")) == []


def test_parquet_keeps_types(world: World) -> None:
    done = world.slipway("sql", BY_DEPOT, "-o", "parquet")
    table = pq.read_table(io.BytesIO(done.stdout))
    assert [str(kind) for kind in table.schema.types] == ["string", "string", "int64", "decimal128(38, 3)"]
    assert [tuple(row.values()) for row in table.to_pylist()] == NOW


@pytest.mark.long
def test_parquet_goes_to_a_pipe_but_not_to_a_terminal(world: World) -> None:
    command = [sys.executable, "-m", "slipway.cli.main", "sql", "select 1 as one", "-o", "parquet"]
    piped = subprocess.run(command, env=world.env(), cwd=world.folder, capture_output=True, check=True)
    assert pq.read_table(io.BytesIO(piped.stdout)).to_pylist() == [{"one": 1}]

    outer, terminal = pty.openpty()
    try:
        done = subprocess.run(
            command,
            env=world.env(),
            cwd=world.folder,
            stdout=terminal,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(terminal)
        os.close(outer)
    assert done.returncode == 2
    assert done.stderr.startswith("slipway: Parquet is not written to a terminal. Redirect it")


def test_reader_that_leaves_early_is_no_error(world: World) -> None:
    command = f"{sys.executable} -m slipway.cli.main sql 'from range(2_000_000)' -o csv | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        env=world.env(),
        cwd=world.folder,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"range\r\n", b"")


def test_a_reader_that_leaves_early_does_not_change_the_verdict(world: World, tmp_path: Path) -> None:
    """Of a command that judges: a step of a workflow that shows only the first lines must fail with it."""
    broken = tmp_path / "broken.odcs.yaml"
    broken.write_text("kind: DataContract\n", encoding="utf-8")
    command = f"{sys.executable} -m slipway.cli.main contracts lint {broken} | true"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        env=world.env(),
        cwd=world.folder,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Broken" not in done.stderr


@pytest.mark.parametrize("closed", some(4, [">&-", "2>&-", "<&-", ">&- 2>&- <&-"]))
def test_streams_that_are_closed_are_no_error(world: World, closed: str) -> None:
    command = f"{sys.executable} -m slipway.cli.main sql 'from serving.depot_weights' {closed}"
    done = subprocess.run(
        ["bash", "-c", command], env=world.env(), cwd=world.folder, capture_output=True, check=False
    )
    assert (done.returncode, b"slipway:" in done.stderr) == (0, False), done.stderr
    assert bool(done.stdout) == (">&-" not in closed.split())


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_columns_of_one_name_are_refused_where_they_do_not_fit(world: World, form: str) -> None:
    line = world.refusal("sql", "select 1 as a, 2 as a", "-o", form, code=2)
    assert line == f"{form} cannot hold two columns of one name: a. Give them aliases: select a as b."


@pytest.mark.parametrize("comment", ["-- one\n", "--one\n--two\n", "/* one */"])
def test_query_may_begin_with_a_comment(world: World, comment: str) -> None:
    assert asked(world, f"{comment} select 1") == [["1"]]


def test_query_is_read_from_standard_input(world: World) -> None:
    assert world.answer("sql", "-", "-o", "csv", stdin="select 1 as one\n") == "one\r\n1\r\n"


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("select kg from dev.serving.depot_weights order by depot", id="with-the-target"),
        pytest.param('select kg from "serving" . "depot_weights" order by depot', id="quoted"),
        pytest.param("select kg from SERVING.Depot_Weights order by depot", id="other-case"),
        pytest.param("with depot_weights as (from serving.depot_weights) select kg from depot_weights order by kg", id="cte"),
        pytest.param("select w.kg from serving.depot_weights as w order by w.kg", id="alias"),
        pytest.param("select (select kg from serving.depot_weights where depot = d.depot) from reference.depots d "
                     "order by depot", id="subquery"),
        pytest.param("from serving.depot_weights select kg order by all -- a comment", id="from-first"),
    ],
)  # fmt: skip
def test_tables_are_found_however_they_are_named(world: World, query: str) -> None:
    assert asked(world, query) == [["5.750"], ["12.125"]]


def test_pivot_is_a_query(world: World) -> None:
    pivoted = "pivot curated.weights on depot using sum(kg) group by weighed_on order by weighed_on"
    expected = [["2024-05-01", "1.500", "2.000"], ["2024-05-02", "4.250", ""], ["2024-05-03", "", "10.125"]]
    assert asked(world, pivoted) == expected
    assert asked(world, f"select * from ({pivoted}) order by weighed_on") == expected


def test_describe_summarize_values_and_explain_are_queries(world: World) -> None:
    assert [row[:2] for row in asked(world, "describe serving.depot_weights")] == [
        ["depot", "VARCHAR"],
        ["city", "VARCHAR"],
        ["parcels", "BIGINT"],
        ["kg", "DECIMAL(38,3)"],
        ["heaviest", "DECIMAL(9,3)"],
    ]
    assert len(asked(world, "summarize serving.depot_weights")) == 5
    assert asked(world, "values (1, 'a')") == [["1", "a"]]
    assert "ICEBERG_SCAN" in world.answer("sql", "explain analyze from serving.depot_weights")
    pivoted = "pivot curated.weights on depot using sum(kg) group by weighed_on"
    assert "ICEBERG_SCAN" in world.answer("sql", f"explain {pivoted}")


def test_show_tables_lists_what_is_published(world: World) -> None:
    assert asked(world, "show tables;") == [
        ["curated", "weights"],
        ["ops", "landed_files"],
        ["quarantine", "weights"],
        ["raw", "parcels"],
        ["reference", "depots"],
        ["serving", "depot_weights"],
    ]
    listed = asked(world, "select table_schema from information_schema.tables order by all")
    assert len(listed) == 6


def test_release_is_read_with_its_own_schema(world: World) -> None:
    assert asked(world, BY_DEPOT, "--release", "1") == as_text(FIRST)
    assert asked(world, BY_DEPOT, "--release", "2") == as_text(NOW)
    line = world.refusal("sql", "select heaviest from serving.depot_weights", "--release", "1", code=2)
    assert 'Referenced column "heaviest" not found' in line
    assert world.slipway("sql", BY_DEPOT, "--release", "1").err == "2 rows from release 1 of dev\n"


def test_release_that_never_was_is_refused(world: World) -> None:
    line = world.refusal("sql", "select 1", "--release", "7", code=3)
    assert line == "dev has no release 7: the last ones are 1, 2. List them with slipway releases."


def test_as_of_reads_the_last_release_before(world: World) -> None:
    first, second = (
        release["published_at"] for release in json.loads(world.answer("releases", "-o", "json"))[::-1]
    )
    assert asked(world, BY_DEPOT, "--as-of", first) == as_text(FIRST)
    assert asked(world, BY_DEPOT, "--as-of", second) == as_text(NOW)
    assert asked(world, BY_DEPOT, "--as-of", "2999-01-01") == as_text(NOW)
    line = world.refusal("sql", "select 1", "--as-of", "2001-01-01T12:00:00+02:00", code=3)
    assert line.startswith(
        "dev had no release at 2001-01-01T10:00:00Z: release 1 is the first, published at "
    )
    line = world.refusal("sql", "select 1", "--as-of", "0001-01-01T00:00:00+14:00", code=2)
    assert "is not a time" in line
    assert "not text in UTF-8" in world.refusal("sql", "select '\udcff'", code=2)
    line = world.refusal("sql", "select 1", "--as-of", "yesterday", code=2)
    assert line.startswith("--as-of yesterday is not a time: it is read as ISO 8601.")


def test_run_shows_the_candidate_of_a_run_that_failed(world: World) -> None:
    failed = world.runs["failed"]
    assert asked(world, "select parcel from curated.weights where kg < 0", "--run", failed) == [["p7"]]
    assert asked(world, "select count(*) from reference.depots", "--run", failed) == [["2"]]
    line = world.refusal("sql", BY_DEPOT, "--run", failed, code=3)
    assert line.startswith(f"run {failed} has no table serving.depot_weights.")
    # and none of it is published
    assert asked(world, "select count(*) from curated.weights where kg < 0") == [["0"]]


def test_run_shows_what_a_killed_run_left(world: World) -> None:
    assert asked(world, "select count(*) from curated.weights", "--run", world.runs["killed"]) == [["6"]]


def test_run_shows_what_was_built_then_and_a_slice(world: World) -> None:
    assert asked(world, BY_DEPOT, "--run", world.runs["first"]) == as_text(FIRST)
    assert asked(world, BY_DEPOT, "--run", world.runs["same"]) == as_text(FIRST)
    assert asked(world, "select parcel from curated.weights order by 1", "--run", world.runs["slice"]) == [
        ["p1"],
        ["p2"],
    ]


def test_only_one_state_can_be_read_at_a_time(world: World) -> None:
    line = world.refusal("sql", "select 1", "--release", "1", "--run", "latest", code=2)
    assert line == "--release, --run and --as-of exclude each other. Give one of them."


_PIVOT = "pivot curated.weights on depot using sum(kg)"


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        pytest.param("insert into serving.depot_weights values (1)", "INSERT", id="insert"),
        pytest.param("/* read only? */ create table t as select 1", "CREATE", id="create"),
        pytest.param("copy (select 1) to 'stolen.csv'", "COPY", id="copy"),
        pytest.param("explain analyze copy (select 1) to 'stolen.csv'", "COPY", id="explained-copy"),
        pytest.param(f"copy ({_PIVOT}) to 'stolen.csv'", "COPY", id="copy-of-a-pivot"),
        pytest.param(f"copy ({_PIVOT}) to 'stolen.csv'; {_PIVOT}", "COPY", id="copy-and-pivot"),
        pytest.param(f"create table t as ({_PIVOT}); {_PIVOT}", "CREATE", id="create-and-pivot"),
        pytest.param("attach 'other.db'", "ATTACH", id="attach"),
        pytest.param("set threads = 1", "SET", id="set"),
        pytest.param("delete from raw.parcels", "DELETE", id="delete"),
        pytest.param("create table t (a int); pivot t on a using count(*)", "CREATE", id="before-a-pivot"),
    ],
)
def test_everything_but_reading_is_refused(world: World, query: str, kind: str) -> None:
    done = world.slipway("sql", query)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(
        (f"slipway: {kind} is refused: published tables are only read here.", "slipway: Only one")
    )
    assert not (world.folder / "stolen.csv").exists()


@pytest.mark.parametrize(
    ("query", "line"),
    [
        pytest.param("select 1; select 2", "Only one query at a time: 2 statements were given.", id="two"),
        pytest.param(
            f"{_PIVOT}; {_PIVOT}", "Only one query at a time: 2 statements were given.", id="two-pivots"
        ),
        pytest.param("", "There is no query: the text is empty.", id="none"),
        pytest.param("-- only a comment", "There is no query: the text is empty.", id="comment"),
        pytest.param(
            "selec 1", 'The query cannot be understood: syntax error at or near "selec".', id="syntax"
        ),
        pytest.param(
            "select nope from raw.parcels",
            'The query cannot be understood: Referenced column "nope"',
            id="column",
        ),
        pytest.param(
            "select nope(1)", "The query cannot be understood: Scalar Function with name nope", id="function"
        ),
    ],
)
def test_a_query_that_makes_no_sense_is_one_line(world: World, query: str, line: str) -> None:
    assert world.refusal("sql", query, code=2).startswith(line)


def test_a_query_that_fails_while_it_runs_is_one_line(world: World) -> None:
    line = world.refusal("sql", "select kg::int from raw.parcels where parcel = 'p3'", code=1)
    assert line.startswith("The query failed: Could not convert string 'heavy' to INT32")
    line = world.refusal("sql", "from read_csv('nowhere.csv')", "--allow-files", code=5)
    assert line.startswith("The query could not read a file: No files found that match")


KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAMARKED",
    "AWS_SECRET_ACCESS_KEY": "markedsecret",
    "AWS_SESSION_TOKEN": "markedtoken",
}


@pytest.mark.parametrize(
    "query",
    [
        "select * from duckdb_settings()",
        'select * from "duckdb_settings" /* a comment */ ()',
        "from pg_catalog.pg_settings",
        "select current_setting('s3_secret_access_key')",
        "select ('s3_secret_access_key').current_setting()",
        "explain analyze select current_setting('s3_secret_access_key')",
        "from duckdb_secrets(redact = false)",
        "from which_secret('s3://a', 's3')",
        "from query('from duckdb_' || 'settings()')",
        "from json_execute_serialized_sql('{}')",
        "select getenv('HOME')",
    ],
)
def test_settings_and_secrets_are_not_shown(world: World, query: str) -> None:
    for more in ((), ("--allow-files",)):
        done = world.slipway("sql", query, *more, **KEYS)
        assert (done.code, done.out) == (2, ""), done
        assert " is refused: " in done.err
        assert "marked" not in done.err.lower()


FILE_QUERIES = [
    "from read_csv('{file}')",
    "from READ_TEXT ('{file}')",
    "select * from (select 1) join '{file}' on true",
    "from '{file}'",
    'from "{file}"',
    "select (select count(*) from '{file}') as n",
    "from glob('{file}')",
    "from read_blob('https://example.org/x')",
    "from 's3://elsewhere/x.parquet'",
    "with a as (from parquet_metadata('{file}')) from a",
]


@pytest.mark.parametrize("query", FILE_QUERIES)
def test_files_are_read_only_when_it_is_allowed(world: World, query: str, tmp_path: Path) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("user,password\nada,markedpassword\n")
    for path in (file, world.warehouse() / "_slipway" / "x.json"):
        line = world.refusal("sql", query.format(file=path), code=2)
        assert "not files or URLs. Allow it with --allow-files." in line
        assert "marked" not in line
    if "{file}" in query and "parquet" not in query:
        assert world.slipway("sql", query.format(file=file), "--allow-files").code == 0


IN_THE_WAREHOUSE = [
    "select * from raw.parcels, '{file}'",
    'select * from raw.parcels cross join "{file}"',
    "select * from raw.parcels, lateral (from '{file}')",
    "select * from raw.parcels where exists (from reference.depots, '{file}')",
    "with a as (select * from range(1), '{file}') from a",
    "from query_table('{file}')",
    "from query_table(['{file}'])",
    "from query('from ''{file}''')",
    "pivot '{file}' on password using count(*)",
    "unpivot '{file}' on password",
    "describe '{file}'",
    "show '{file}'",
    "summarize '{file}'",
    "from (summarize '{file}')",
    "explain analyze from '{file}'",
    "from range(1), 'file://{file}'",
    "from range(1), '{folder}/*.csv'",
    "from range(1), '{folder}/_slipway/../stored.csv'",
    "from sniff_csv('{file}')",
    "from glob('{folder}/*')",
    "from \"read_text\"('{file}')",
    "from system.main.read_text('{file}')",
    "create macro m() as table from read_text('{file}')",
    "prepare p as from '{file}'",
    "copy (from '{file}') to '{folder}/x.csv'",
    "attach '{file}' as a (type sqlite)",
    "install '{file}'",
    "load '{file}'",
]


OF_THE_TABLE = [
    "from raw.parcels, '{file}'",
    'select count(*) from raw.parcels, "file://{file}"',
    "from raw.parcels, query_table('{file}')",
    "from raw.parcels, query_table('{folder}/' || '{name}')",
    "from raw.parcels, E'{folder}/{escaped}'",
    "from raw.parcels, $${file}$$",
    "summarize '{file}' -- raw.parcels",
    "pivot E'{folder}/{escaped}' on parcel using count(*) -- raw.parcels",
    "explain analyze from '{file}', raw.parcels",
]


def test_data_files_of_a_table_are_no_tables(world: World) -> None:
    """They hold what was deleted since, and have to be open to DuckDB while their table is read."""
    from slipway.errors import UsageError
    from slipway.query.queries import query as run_query

    (task, *_) = world.workshop.table("raw.parcels").scan().plan_files()
    folder, _, name = task.file.file_path.removeprefix("file://").rpartition("/")
    given = {"file": f"{folder}/{name}", "folder": folder, "name": name}
    given["escaped"] = name.replace(".parquet", "\\x2eparquet")
    with pytest.MonkeyPatch.context() as patch:
        for setting, value in world.env().items():
            patch.setenv(setting, value)
        for query in OF_THE_TABLE:
            with pytest.raises(UsageError, match="is refused"):
                run_query(query.format(**given), project_dir=world.workshop.path)
        named = run_query("select 'x.parquet', count(*) from raw.parcels", project_dir=world.workshop.path)
        assert list(named.rows()) == [("x.parquet", 6)]


def test_files_in_the_warehouse_are_read_only_as_part_of_a_table(world: World) -> None:
    """The engine decides by the file it would open, so that it does not matter how a query leads there."""
    from slipway.errors import SlipwayError
    from slipway.query.queries import query as run_query

    file = world.warehouse() / "stored.csv"
    file.write_text("user,password\nada,markedpassword\n")
    read: dict[str, object] = {}
    refused: dict[str, str] = {}
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in world.env().items():
                patch.setenv(name, value)
            for query in IN_THE_WAREHOUSE:
                text = query.format(file=file, folder=world.warehouse())
                try:
                    read[query] = list(run_query(text, project_dir=world.workshop.path).rows())
                except SlipwayError as error:
                    refused[query] = str(error)
            allowed = run_query(f"from range(1), '{file}'", project_dir=world.workshop.path, files=True)
            assert list(allowed.rows()) == [(0, "ada", "markedpassword")]
    finally:
        file.unlink()
    assert read == {}
    for query, reason in refused.items():
        assert " is refused" in reason, (query, reason)
        assert "marked" not in reason


def test_a_refused_query_leaves_no_thread_that_still_opens_a_database(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of such threads would open a database at the same time."""
    from slipway.engines.duckdb import engine
    from slipway.errors import SlipwayError
    from slipway.query.queries import query as run_query

    real = engine.connect
    opened: list[duckdb.DuckDBPyConnection] = []

    def connect(
        *arguments: Any,  # noqa: ANN401 - whatever it takes
        **named: Any,  # noqa: ANN401
    ) -> duckdb.DuckDBPyConnection:
        time.sleep(0.2)
        opened.append(real(*arguments, **named))
        return opened[-1]

    monkeypatch.setattr(engine, "connect", connect)
    for name, value in world.env().items():
        monkeypatch.setenv(name, value)
    refused = ["drop table raw.parcels", "from duckdb_secrets()", "from raw.missing", "from read_text('x')"]
    for count, query in enumerate(refused, 1):
        with pytest.raises(SlipwayError):
            run_query(query, project_dir=world.workshop.path)
        assert len(opened) == count
        with pytest.raises(duckdb.ConnectionException, match="closed"):
            opened[-1].execute("select 1")


def test_duckdb_itself_shows_no_secret_and_opens_no_file(world: World) -> None:
    """Without the names of functions, too: DuckDB has nothing to show, and reads only tables of the warehouse."""
    from slipway.engines.duckdb import engine
    from slipway.environments.environment import Environment, Mode
    from slipway.query import sandbox

    environment = Environment("dev", Mode.EXPLORATORY, f"file://{world.warehouse()}", {}, "", world.home)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        connection = engine.connect(environment, once=sandbox.CONFIG)
        shown = "select count(*) from duckdb_settings() where contains(lower(value), 'marked')"
        assert connection.execute(shown).fetchone() == (3,)
        sandbox.shut(connection, [], files=False)
        assert connection.execute(shown).fetchone() == (0,)
    for statement in (
        "from read_text('/etc/hostname')",
        f"from read_text('{world.warehouse()}/../catalog.db')",
        f"copy (select 1) to '{world.folder}/x.csv'",
        f"attach '{world.folder}/x.db'",
        "install fts",
        "set enable_external_access = true",
        "set s3_region = 'x'",
        "from duckdb_secrets(redact = false)",
    ):
        with pytest.raises(duckdb.Error):
            connection.execute(statement)
    connection.close()


@pytest.mark.long
def test_interrupted_query_ends_at_once(world: World) -> None:
    command = [sys.executable, "-m", "slipway.cli.main", "sql", "-"]
    endless = b"select count(*) from range(10_000_000) a, range(10_000_000) b where hash(a, b) = 1"
    with subprocess.Popen(
        command, env=world.env(), cwd=world.folder, stdin=PIPE, stdout=PIPE, stderr=PIPE
    ) as process:
        assert process.stdin
        process.stdin.write(endless)
        process.stdin.close()
        ended = None
        for _ in range(30):  # the first signals may come before the query runs
            with suppress(subprocess.TimeoutExpired):
                ended = process.wait(2)
            if ended is not None:
                break
            process.send_signal(signal.SIGINT)
        process.kill()
        assert process.stdout
        assert process.stderr
        printed = (process.stdout.read(), process.stderr.read())
    assert (ended, printed[0], printed[1].strip()) == (
        130,
        b"",
        b"slipway: Interrupted. Nothing was published.",
    )


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        pytest.param("serving.depot_weigths", "serving.depot_weights", id="misspelled-name"),
        pytest.param("servin.depot_weights", "serving.depot_weights", id="misspelled-layer"),
        pytest.param("depot_weights", "serving.depot_weights", id="without-layer"),
        pytest.param("raw.weights", "curated.weights or quarantine.weights", id="other-layer"),
    ],
)
def test_unknown_table_names_close_ones(world: World, name: str, meant: str) -> None:
    line = world.refusal("sql", f"select * from {name}", code=3)
    assert line == f"dev has no table {name}. Perhaps {meant} is meant."


def test_unknown_table_like_none_says_where_to_look(world: World) -> None:
    line = world.refusal("sql", "select * from raw.zebras", code=3)
    assert line == "dev has no table raw.zebras. List the tables with slipway sql 'show tables'."
    run = world.runs["first"]
    line = world.refusal("sql", "select * from raw.zebras", "--run", run, code=3)
    assert (
        line
        == f"run {run} has no table raw.zebras. List the tables with slipway sql --run {run} 'show tables'."
    )
    line = world.refusal("sql", "select * from raw.zebras", "--release", "1", code=3)
    assert line == (
        "release 1 of dev has no table raw.zebras. List the tables with slipway sql --release 1 'show tables'."
    )
    line = world.refusal("sql", "select * from prod.serving.depot_weights", code=3)
    assert line == "prod is not what is queried: this is dev. Add --target prod."


def test_without_a_release_it_says_so_and_writes_nothing(empty: World) -> None:
    line = empty.refusal("sql", "select 1", code=3)
    assert line.startswith("Nothing is published in dev yet: there is no catalog at ")
    assert line.endswith("catalog.db. Build and publish with slipway run --target dev.")
    assert "Nothing is published in dev yet" in empty.refusal("sql", "select 1", "--release", "1", code=3)
    assert not empty.home.exists()


def test_catalog_that_was_never_used_stays_empty(empty: World) -> None:
    database = empty.home / "dev" / "catalog.db"
    database.parent.mkdir(parents=True)
    sqlite3.connect(database).close()
    line = empty.refusal("sql", "show tables", code=3)
    assert line.startswith("Nothing is published in dev yet: its catalog is empty.")
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("select count(*) from sqlite_master").fetchone() == (0,)


def test_catalog_out_of_reach_is_one_line(world: World) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but nobody listens: connecting is refused at once
        uri = f"postgresql+psycopg2://ana:hidden@127.0.0.1:{unused.getsockname()[1]}/lake"
        line = world.refusal("sql", "show tables", code=5, PYICEBERG_CATALOG__DEV__URI=uri)
    assert line.startswith("Catalog of dev cannot be read: ")
    assert "hidden" not in line


def test_metadata_that_is_gone_is_found_again_by_its_snapshot(world: World) -> None:
    record = json.loads((world.warehouse() / "_slipway" / "releases" / "000001.json").read_bytes())
    metadata = Path(record["tables"]["serving.depot_weights"]["metadata_location"].removeprefix("file://"))
    away = metadata.rename(metadata.with_suffix(".away"))
    try:
        assert asked(world, BY_DEPOT, "--release", "1") == as_text(FIRST)
    finally:
        away.rename(metadata)
