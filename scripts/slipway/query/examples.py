"""What to type to read a published table in pyiceberg, DuckDB, Polars, Spark and Trino."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import metadata

from slipway.query.connections import Connection
from slipway.secrets import MASK
from slipway.sql_text import literal, quote

_installed = cache(metadata.version)
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def sections(found: Connection, table: str | None) -> dict[str, list[str]]:
    """Lines by what they are for: how to open an environment, and a table in it.

    Args:
        found: the environment.
        table: ``layer.table``; None where nothing is published yet.
    """
    named = table or "layer.table"
    return {
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


def of_table(found: Connection, table: str) -> dict[str, list[str]]:
    """Lines that read one published table, by the program that they are for; programs that cannot reach it are left out."""
    location = found.tables[table].metadata_location
    relation = _relation(table)
    lines = {
        "slipway": [f"slipway sql {_shell(f'from {relation} limit 5')}"],
        "DuckDB": _duckdb(found, table, location),
        "pyiceberg": _pyiceberg(found, table),
        "Polars": [
            *_pyiceberg(found, table)[:-1],
            "import polars",
            f"polars.scan_iceberg(catalog.load_table({json.dumps(table)})).head(5).collect()",
        ],
    }
    if found.spark:
        lines["Spark"] = [
            *(f"# {line}" for line in _spark_jars(found) if not line.startswith("#")),
            *(f"# {name}={value}" for name, value in found.spark.items()),
            f"spark.table({json.dumps(f'{found.name}.{table}')}).limit(5).show()",
        ]
    if found.trino:
        lines["Trino"] = [
            "-- slipway connect prints the catalog file",
            f"select * from {found.name}.{relation} limit 5;",
        ]
    return lines


def extensions(found: Connection, *, s3: bool) -> list[str]:
    """What DuckDB needs to read Iceberg tables, on S3 or in a folder."""
    loaded = ["install iceberg; load iceberg;"]
    if not s3:
        return loaded
    options = {"type": "s3", "provider": "credential_chain"}
    if region := found.properties.get("s3.region"):
        options["region"] = literal(region)
    endpoint = found.properties.get("s3.endpoint", "")
    if endpoint and MASK not in endpoint:
        scheme, _, host = endpoint.rpartition("://")
        options |= {
            "endpoint": literal(host),
            "url_style": "'path'",
            "use_ssl": str(scheme != "http").lower(),
        }
    listed = ", ".join(f"{name} {value}" for name, value in options.items())
    return [*loaded, "install httpfs; load httpfs; install aws; load aws;", f"create secret ({listed});"]


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
        f'# pip install "pyiceberg[{",".join(_extras(found.properties))}]=={_installed("pyiceberg")}"',
        *(["# secrets are not printed: set these variables, which pyiceberg reads"] if given else []),
        *given,
        "from pyiceberg.catalog import load_catalog",
        f"catalog = load_catalog({json.dumps(found.name)}, **{written[0]}",
        *written[1:-1],
        "})" if len(written) > 1 else ")",
        f"catalog.load_table({json.dumps(table)}).scan().to_arrow()",
    ]


def _duckdb(found: Connection, table: str, metadata_location: str) -> list[str]:
    return [
        f"-- pip install duckdb=={_installed('duckdb')}, or the program duckdb of this version",
        *extensions(found, s3=metadata_location.startswith("s3")),
        f"from iceberg_scan({file_literal(metadata_location)});",
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


def _extras(properties: dict[str, str]) -> list[str]:
    """What pyiceberg needs in addition to itself to open the catalog and read the tables."""
    if properties.get("type") == "sql":
        return ["pyarrow", "sql-sqlite" if properties.get("uri", "").startswith("sqlite") else "sql-postgres"]
    return ["pyarrow", *(["glue"] if properties.get("type") == "glue" else [])]


def _variable(target: str, name: str) -> str:
    """The environment variable from which pyiceberg reads a property of a catalog."""
    return f"PYICEBERG_CATALOG__{target}__{name.replace('.', '__').replace('-', '_')}".upper()


def _lines(settings: dict[str, str] | None, otherwise: str) -> list[str]:
    return [f"{key}={value}" for key, value in settings.items()] if settings else [otherwise]


def _relation(table: str) -> str:
    """A table's name as SQL: in quotes where it is no plain word."""
    return ".".join(part if _PLAIN.fullmatch(part) else quote(part) for part in table.split("."))


def file_literal(location: str) -> str:
    """A place as a text of SQL; a local file as its path."""
    return literal(location.removeprefix("file://"))


def _shell(query: str) -> str:
    return f"'{query}'" if '"' in query else f'"{query}"'
