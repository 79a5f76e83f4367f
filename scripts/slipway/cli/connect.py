"""``slipway connect``."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slipway.cli import figures, options, output
from slipway.errors import SlipwayError
from slipway.names import TableName
from slipway.secrets import MASK
from slipway.verification.links import State

if TYPE_CHECKING:
    from slipway.query.connections import Connection


_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


@click.command("connect")
@click.argument("table", required=False)
@click.option("--show-secrets", is_flag=True, help="Print passwords and keys.")
@click.option("--release", "number", type=click.IntRange(min=1), help="The tables as a release left them.")
@click.option("--verified", is_flag=True, help="Refuse when the release does not verify.")
@options.common
def command(
    *,
    table: str | None,
    show_secrets: bool,
    number: int | None,
    verified: bool,
    output_: str,
    target: str | None,
    project_dir: Path | None,
) -> None:
    """Show how to open the published tables, or only TABLE (layer.table), in pyiceberg, DuckDB and other engines.

    With --output json: the properties for pyiceberg's load_catalog, its name among them; with TABLE they are below catalog,
    next to the table's metadata_location. With --release: views for
    DuckDB of all tables as they were at that release, and the snapshot of each for other engines. With --verified: only if
    slipway verify finds nothing wrong with the release, or with TABLE in the last one.
    """
    from slipway.query.connections import connection

    if verified:
        _refuse_unverified(project_dir, target, table, number)
    wanted = output_ == "text" or number is not None or table is not None
    found = connection(
        project_dir, target, show_secrets=show_secrets, with_tables=wanted, release=number, table=table
    )
    if number is not None:
        _release(found, output_)
    elif output_ == "json":
        named = {"name": found.name, **found.properties}
        location = {name: one.metadata_location for name, one in found.tables.items()}
        described = (
            {"table": table, "metadata_location": location[table], "catalog": named} if table else named
        )
        output.as_json(described, exact=show_secrets)
    else:
        _explain(found, exact=show_secrets)
    if found.masks_secrets:
        output.message("Secrets are masked. Print them with --show-secrets.")


def _refuse_unverified(
    project_dir: Path | None, target: str | None, table: str | None, number: int | None
) -> None:
    from slipway.verification.walk import verify

    found = verify(project_dir, target, str(number) if number is not None else table)
    if found.is_verified:
        output.message(found.summary)
        return
    wrong = next(link for link in found.links if link.state is not State.VERIFIED)
    raise SlipwayError(
        found.summary,
        f"{wrong.kind} of {wrong.what}: {wrong.note}",
        f"slipway verify {number or table or found.release} lists all links",
    )


def _explain(found: Connection, *, exact: bool) -> None:
    released = [name for name in found.tables if len(found.tables) == 1 or not name.startswith("ops.")]
    table = max(released, key=figures.by_layer, default=None)
    named = table or "layer.table"
    sections = {
        "slipway (any table, or several at the same moment)": [
            f"slipway sql {_shell(f'from {_relation(named)} limit 5')}"
        ],
        "pyiceberg": _pyiceberg(found, named),
        "Only DuckDB": _duckdb(found, named, found.tables[table].metadata_location)
        if table
        else ["nothing is published yet"],
        "Spark with the Iceberg runtime": [
            *(_spark_jars(found) if found.spark else []),
            *_lines(found.spark, "this kind of catalog has no counterpart there"),
        ],
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
    schemas = sorted({TableName.parse(name).namespace for name in found.tables})
    is_s3 = any(version.metadata_location.startswith("s3") for version in found.tables.values())
    output.result(f"-- release {found.release} of {found.name} for DuckDB")
    for line in (
        *_extensions(found, s3=is_s3),
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
    return _literal(location.removeprefix("file://"))


def _extensions(found: Connection, *, s3: bool) -> list[str]:
    loaded = ["install iceberg; load iceberg;"]
    if not s3:
        return loaded
    options = {"type": "s3", "provider": "credential_chain"}
    if region := found.properties.get("s3.region"):
        options["region"] = _literal(region)
    endpoint = found.properties.get("s3.endpoint", "")
    if endpoint and MASK not in endpoint:
        scheme, _, host = endpoint.rpartition("://")
        options |= {
            "endpoint": _literal(host),
            "url_style": "'path'",
            "use_ssl": str(scheme != "http").lower(),
        }
    listed = ", ".join(f"{name} {value}" for name, value in options.items())
    return [*loaded, "install httpfs; load httpfs; install aws; load aws;", f"create secret ({listed});"]


def _shell(query: str) -> str:
    return f"'{query}'" if '"' in query else f'"{query}"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _relation(table: str) -> str:
    """A table's name as SQL: in quotes where it is no plain word."""
    return ".".join(part if _PLAIN.fullmatch(part) else _quoted(part) for part in table.split("."))


def _pyiceberg(found: Connection, table: str) -> list[str]:
    theirs = {name: value for name, value in found.properties.items() if not name.startswith("slipway.")}
    secret = [name for name, value in theirs.items() if MASK in value]
    properties = {name: value for name, value in theirs.items() if name not in secret}
    written = json.dumps(properties, indent=4).splitlines()
    given = [
        f"#   {_variable(found.name, name)}{f' as {theirs[name]}' if name == 'uri' else ''}"
        for name in secret
    ]
    return [
        f'# pip install "pyiceberg[{",".join(_extras(found.properties))}]=={metadata.version("pyiceberg")}"',
        *(["# secrets are not printed: set these variables, which pyiceberg reads"] if given else []),
        *given,
        "from pyiceberg.catalog import load_catalog",
        f"catalog = load_catalog({json.dumps(found.name)}, **{written[0]}",
        *written[1:-1],
        "})" if len(written) > 1 else ")",
        f"catalog.load_table({json.dumps(table)}).scan().to_arrow()",
    ]


def _variable(target: str, name: str) -> str:
    """The environment variable from which pyiceberg reads a property of a catalog."""
    return f"PYICEBERG_CATALOG__{target}__{name.replace('.', '__').replace('-', '_')}".upper()


def _extras(properties: dict[str, str]) -> list[str]:
    """What pyiceberg needs in addition to itself to open the catalog and read the tables."""
    if properties.get("type") == "sql":
        return ["pyarrow", "sql-sqlite" if properties.get("uri", "").startswith("sqlite") else "sql-postgres"]
    return ["pyarrow", *(["glue"] if properties.get("type") == "glue" else [])]


def _duckdb(found: Connection, table: str, metadata_location: str) -> list[str]:
    return [
        f"-- pip install duckdb=={metadata.version('duckdb')}, or the program duckdb of this version",
        *_extensions(found, s3=metadata_location.startswith("s3")),
        f"from iceberg_scan({_file(metadata_location)});",
        "-- This file is one state of one table. The catalog knows the current one, in Python:",
        f"--   catalog.load_table({json.dumps(table)}).metadata_location",
        "-- Do not let DuckDB guess it from the folder: candidates that were not published are there, too.",
    ]


def _spark_jars(found: Connection) -> list[str]:
    """Settings that bring what Spark needs; the runtime and the drivers of SQLite and S3 were tried with these versions."""
    jars = ["org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0"]
    if found.properties.get("type") == "sql":
        is_sqlite = found.properties.get("uri", "").startswith("sqlite")
        jars.append("org.xerial:sqlite-jdbc:3.46.1.3" if is_sqlite else "org.postgresql:postgresql:42.7.4")
    if any(key.endswith(".io-impl") for key in found.spark or {}):
        jars.append("org.apache.iceberg:iceberg-aws-bundle:1.12.0")
    return ["# pip install pyspark==4.1.4", f"spark.jars.packages={','.join(jars)}"]


def _lines(settings: dict[str, str] | None, otherwise: str) -> list[str]:
    return [f"{key}={value}" for key, value in settings.items()] if settings else [otherwise]
