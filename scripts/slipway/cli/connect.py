"""``slipway connect``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slipway.cli import figures, options, output

if TYPE_CHECKING:
    from slipway.services.connect import Connection


@click.command("connect")
@click.option("--show-secrets", is_flag=True, help="Print passwords and keys.")
@click.option("--release", "number", type=click.IntRange(min=1), help="The tables as a release left them.")
@options.output("text", "json")
@options.target
@options.project_dir
def command(
    *, show_secrets: bool, number: int | None, output_: str, target: str | None, project_dir: Path | None
) -> None:
    """How to open the published tables from pyiceberg, DuckDB and other engines.

    With --output json: the properties for pyiceberg's load_catalog, its name among them. With --release: views for
    DuckDB of all tables as they stood together, and the snapshot of each for other engines.
    """
    from slipway.services.connect import connection

    wanted = output_ == "text" or number is not None
    found = connection(project_dir, target, show_secrets=show_secrets, with_tables=wanted, release=number)
    if number is not None:
        _release(found, output_)
    elif output_ == "json":
        output.as_json({"name": found.name, **found.properties}, exact=show_secrets)
    else:
        _explain(found, exact=show_secrets)
    if found.masks_secrets:
        output.message("secrets are masked: --show-secrets prints them")


def _explain(found: Connection, *, exact: bool) -> None:
    released = [name for name in found.tables if not name.startswith("ops.")]
    table = max(released, key=figures.by_layer, default=None)
    named = table or "layer.table"
    sections = {
        "slipway (any table, or several as they stood together)": [f'slipway sql "from {named} limit 5"'],
        "pyiceberg": _pyiceberg(found, named),
        "DuckDB alone": _duckdb(named, found.tables[table].metadata_location)
        if table
        else ["nothing is published yet"],
        "Spark with the Iceberg runtime": _lines(
            found.spark, "this kind of catalog has no counterpart there"
        ),
        "Trino (etc/catalog/*.properties)": _lines(
            found.trino, "out of reach: it needs a shared catalog and s3://"
        ),
    }
    text = [f"{title}\n" + "\n".join(f"  {line}" for line in lines) for title, lines in sections.items()]
    output.result("\n\n".join(text), exact=exact)


def _release(found: Connection, form: str) -> None:
    if form == "json":
        tables = {
            name: {"snapshot_id": version.snapshot_id, "metadata_location": version.metadata_location}
            for name, version in found.tables.items()
        }
        output.as_json({"name": found.name, "release": found.release, "tables": tables})
        return
    schemas = sorted({name.rpartition(".")[0] for name in found.tables})
    is_s3 = any(version.metadata_location.startswith("s3") for version in found.tables.values())
    output.result(f"-- release {found.release} of {found.name} for DuckDB")
    for line in (
        *_extensions(s3=is_s3),
        *(f"create schema if not exists {_quoted(name)};" for name in schemas),
    ):
        output.result(line)
    for name, version in found.tables.items():
        relation = ".".join(map(_quoted, name.rsplit(".", 1)))
        output.result(
            f"create or replace view {relation} as from iceberg_scan({_file(version.metadata_location)});"
        )
    output.result(
        "-- other engines read a table at its snapshot (pyiceberg: scan(snapshot_id=…), SQL: VERSION AS OF …)"
    )
    for name, version in found.tables.items():
        output.result(f"-- {name} {version.snapshot_id}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _file(location: str) -> str:
    return "'" + location.removeprefix("file://").replace("'", "''") + "'"


def _extensions(*, s3: bool) -> list[str]:
    secret = ["create secret (type s3, provider credential_chain);"] if s3 else []
    return ["install iceberg; load iceberg;", *secret]


def _pyiceberg(found: Connection, table: str) -> list[str]:
    properties = json.dumps(found.properties, indent=4).splitlines()
    return [
        "from pyiceberg.catalog import load_catalog",
        f'catalog = load_catalog("{found.name}", **{properties[0]}',
        *properties[1:-1],
        "})",
        f'catalog.load_table("{table}").scan().to_arrow()',
    ]


def _duckdb(table: str, metadata_location: str) -> list[str]:
    return [
        *_extensions(s3=metadata_location.startswith("s3")),
        f"from iceberg_scan({_file(metadata_location)});",
        "-- This file is one state of one table. The catalog knows the current one, in Python:",
        f'--   catalog.load_table("{table}").metadata_location',
        "-- Do not let DuckDB guess it from the folder: candidates that were not published are there, too.",
    ]


def _lines(settings: dict[str, str] | None, otherwise: str) -> list[str]:
    return [f"{key}={value}" for key, value in settings.items()] if settings else [otherwise]
