"""``slipway connect``: what it prints really opens the tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import duckdb
import pytest
from pyiceberg.catalog import load_catalog

from slipway.engines.duckdb.engine import load_extensions

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import World
    from tests.harness.projects import Workshop

REMOTE = {
    "SLIPWAY_WAREHOUSE": "s3://lake/prod",
    "PYICEBERG_CATALOG__PROD__TYPE": "sql",
    "PYICEBERG_CATALOG__PROD__URI": "postgresql+psycopg2://ana:p%40ss@db.example:5433/lake?sslmode=require",
    "PYICEBERG_CATALOG__PROD__S3__ENDPOINT": "https://s3.example",
    "PYICEBERG_CATALOG__PROD__S3__ACCESS_KEY_ID": "AKIAEXAMPLE",
    "PYICEBERG_CATALOG__PROD__S3__SECRET_ACCESS_KEY": "very-secret",
}


@pytest.mark.long
def test_json_is_what_load_catalog_takes(world: World) -> None:
    properties = json.loads(world.answer("connect", "--output", "json"))
    assert properties["name"] == "dev"
    catalog = load_catalog(**properties)
    rows = (
        catalog.load_table("serving.depot_weights")
        .scan(selected_fields=("depot", "parcels"))
        .to_arrow()
        .to_pylist()
    )
    assert sorted(tuple(row.values()) for row in rows) == [("N", 3), ("S", 2)]
    catalog.close()


@pytest.mark.long
def test_python_of_the_text_runs_as_it_stands(world: World, tmp_path: Path) -> None:
    text = world.answer("connect")
    code = text.split("pyiceberg\n")[1].split("\nOnly DuckDB")[0]
    script = tmp_path / "read.py"
    script.write_text(
        "\n".join(line.removeprefix("  ") for line in code.splitlines()) + "\nprint(catalog.name)\n"
    )
    done = subprocess.run(
        [sys.executable, script], env=world.env(), capture_output=True, text=True, check=False
    )
    assert done.stdout == "dev\n", done.stderr


def test_sql_of_the_text_runs_in_plain_duckdb(world: World) -> None:
    section = world.answer("connect").split("Only DuckDB\n")[1].split("\n\n")[0]
    query = next(line for line in section.splitlines() if "iceberg_scan" in line).strip().removesuffix(";")
    with duckdb.connect() as connection:
        load_extensions(connection)
        rows = connection.execute(f"select depot, kg::double from ({query}) order by depot").fetchall()
    assert rows == [("N", 5.75), ("S", 12.125)]


def test_one_table_is_named(world: World) -> None:
    text = world.answer("connect", "curated.weights")
    assert 'slipway sql "from curated.weights limit 5"' in text
    assert 'catalog.load_table("curated.weights").scan().to_arrow()' in text
    assert "depot_weights" not in text
    found = json.loads(world.answer("connect", "curated.weights", "-o", "json"))
    assert "/curated/weights/metadata/" in found["metadata_location"]
    catalog = load_catalog(**found["catalog"])
    assert catalog.load_table(found["table"]).metadata_location == found["metadata_location"]
    catalog.close()
    done = world.slipway("connect", "curated.weight")
    assert (done.code, done.out) == (3, "")
    assert "has no table curated.weight: it is not published. Perhaps curated.weights" in done.err


def test_what_has_to_be_installed_is_reported(world: World) -> None:
    text = world.answer("connect")
    assert f'# pip install "pyiceberg[pyarrow,sql-sqlite]=={version("pyiceberg")}"' in text
    assert "set these variables" not in text
    secrets = {**REMOTE, "PYICEBERG_CATALOG__PROD__URI": "postgres://ana:p%40ss@db.example:5433/lake"}
    shown = json.loads(world.slipway("connect", "-t", "prod", "-o", "json", "--show-secrets", **secrets).out)
    assert shown["uri"] == "postgresql+psycopg2://ana:p%40ss@db.example:5433/lake"


def test_a_release_is_views_of_its_tables(world: World) -> None:
    views = world.answer("connect", "--release", "1")
    with duckdb.connect() as connection:
        load_extensions(connection)
        connection.execute(views.replace("install iceberg; load iceberg;", ""))
        columns = [row[0] for row in connection.execute("describe serving.depot_weights").fetchall()]
        rows = connection.execute(
            "select depot, kg::double from serving.depot_weights order by all"
        ).fetchall()
    released = json.loads(world.answer("connect", "--release", "1", "--output", "json"))
    asked = world.answer(
        "sql", "select * from serving.depot_weights order by depot", "--release", "1", "-o", "json"
    )
    expected = json.loads(asked)
    assert columns == list(expected[0])
    assert rows == [(row["depot"], float(row["kg"])) for row in expected]
    # other engines find the same rows at the snapshot
    catalog = load_catalog(**json.loads(world.answer("connect", "--output", "json")))
    snapshot = int(released["tables"]["serving.depot_weights"]["snapshot_id"])
    scan = catalog.load_table("serving.depot_weights").scan(snapshot_id=snapshot).to_arrow()
    assert sorted(row["depot"] for row in scan.to_pylist()) == [row[0] for row in rows]
    assert (released["name"], released["release"]) == ("dev", 1)
    catalog.close()


def test_a_release_that_never_was(world: World) -> None:
    done = world.slipway("connect", "--release", "99")
    assert (done.code, done.out) == (3, "")
    assert "has no release 99" in done.err


def test_secrets_are_masked_unless_asked_for(world: World) -> None:
    done = world.slipway("connect", "-t", "prod", "-o", "json", **REMOTE)
    properties = json.loads(done.out)
    assert done.err == "Secrets are masked. Print them with --show-secrets.\n"
    assert properties["uri"] == "postgresql+psycopg2://***:***@db.example:5433/lake?sslmode=require"
    assert (properties["s3.access-key-id"], properties["s3.secret-access-key"]) == ("***", "***")
    assert (properties["s3.endpoint"], properties["warehouse"]) == ("https://s3.example", "s3://lake/prod")

    done = world.slipway("connect", "-t", "prod", "-o", "json", "--show-secrets", **REMOTE)
    properties = json.loads(done.out)
    assert done.err == ""
    assert properties["uri"] == REMOTE["PYICEBERG_CATALOG__PROD__URI"]
    assert properties["s3.secret-access-key"] == "very-secret"


@pytest.mark.long
def test_errors_and_logs_hold_no_secret(workshop: Workshop) -> None:
    """A catalog that does not answer: what is printed and what dbt logs names neither user nor key."""
    settings = {
        "PYICEBERG_CATALOG__DEV__TYPE": "rest",
        "PYICEBERG_CATALOG__DEV__URI": "http://marked-user:marked-password@127.0.0.1:1/x?sig=marked-signature",
        "PYICEBERG_CATALOG__DEV__HEADER__X-API-KEY": "marked-key",
        "PYICEBERG_CATALOG__DEV__S3__ENDPOINT": "http://marked-user:marked-password@127.0.0.1:2",
        "SLIPWAY_WAREHOUSE": "s3://lake/dev",
        "AWS_ACCESS_KEY_ID": "marked-id",
        "AWS_SECRET_ACCESS_KEY": "marked-secret",
        "AWS_MAX_ATTEMPTS": "1",
    }
    for command in (("run", "--force"), ("doctor",), ("--debug", "releases"), ("connect",)):
        done = workshop.slipway(*command, **settings)
        assert "marked" not in done.out + done.err, done
    done = workshop.start(
        "build", program="dbt", **settings
    ).wait()  # slipway run is refused before it starts dbt
    assert done.code == 2, done
    assert "marked" not in done.out + done.err, done
    log = (workshop.folder / "logs" / "dbt.log").read_text(encoding="utf-8")
    assert log
    assert "marked" not in log


def test_environment_without_tables_can_be_connected_to(empty: World) -> None:
    assert "nothing is published yet" in empty.answer("connect")
    assert json.loads(empty.answer("connect", "-o", "json"))["uri"].endswith("/dev/catalog.db")
    assert not empty.home.exists()


@pytest.mark.long
def test_reading_commands_start_without_dbt_and_help_without_anything(world: World) -> None:
    libraries = "boto3 dbt dbt_common duckdb jinja2 numpy pandas pyarrow pydantic pyiceberg.table sqlalchemy"
    heavy = f"set(sys.modules) & set('{libraries}'.split())"
    program = f"""
import sys
from slipway.cli.main import main
try:
    main()
except SystemExit:
    print(*sorted({heavy}), file=sys.stderr)
"""
    expected = {
        ("--help",): "",
        ("sql", "--help"): "",
        ("show", "--help"): "",
        ("connect", "-o", "json"): "pydantic",
        ("runs",): "pydantic",
        ("releases",): "pydantic",
        ("show", world.runs["first"]): "pydantic",
        ("sql", "select 1"): "duckdb pydantic",
        ("sql", "show tables"): "duckdb pydantic",
        ("sql", "from serving.depot_weights"): "duckdb pydantic pyiceberg.table",
    }
    for arguments, modules in expected.items():
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            env={**world.env(), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            cwd=world.folder,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr.splitlines()[-1] == modules, arguments
