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
@options.output("text", "json")
@options.target
@options.project_dir
def command(*, show_secrets: bool, output_: str, target: str | None, project_dir: Path | None) -> None:
    """How to open the published tables from pyiceberg, DuckDB and other engines.

    With --output json: the properties for pyiceberg's load_catalog, its name among them.
    """
    from slipway.services.connect import connection

    found = connection(project_dir, target, show_secrets=show_secrets, with_tables=output_ == "text")
    if output_ == "json":
        output.as_json({"name": found.name, **found.properties})
    else:
        _explain(found)
    if found.masks_secrets:
        output.message("secrets are masked: --show-secrets prints them")


def _explain(found: Connection) -> None:
    released = [name for name in found.tables if not name.startswith("ops.")]
    table = max(released, key=figures.by_layer, default=None)
    named = table or "layer.table"
    sections = {
        "slipway (any table, or several as they stood together)": [f'slipway sql "from {named} limit 5"'],
        "pyiceberg": _pyiceberg(found, named),
        "DuckDB alone": _duckdb(named, found.tables[table]) if table else ["nothing is published yet"],
        "Spark with the Iceberg runtime": _lines(
            found.spark, "this kind of catalog has no counterpart there"
        ),
        "Trino (etc/catalog/*.properties)": _lines(
            found.trino, "out of reach: it needs a shared catalog and s3://"
        ),
    }
    text = [f"{title}\n" + "\n".join(f"  {line}" for line in lines) for title, lines in sections.items()]
    output.result("\n\n".join(text))


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
    is_s3 = metadata_location.startswith("s3")
    return [
        "install iceberg; load iceberg;",
        *(["create secret (type s3, provider credential_chain);"] if is_s3 else []),
        f"from iceberg_scan('{metadata_location.removeprefix('file://')}');",
        "-- This file is one state of one table. The catalog knows the current one, in Python:",
        f'--   catalog.load_table("{table}").metadata_location',
        "-- Do not let DuckDB guess it from the folder: candidates that were not published are there, too.",
    ]


def _lines(settings: dict[str, str] | None, otherwise: str) -> list[str]:
    return [f"{key}={value}" for key, value in settings.items()] if settings else [otherwise]
