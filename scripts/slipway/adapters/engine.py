"""DuckDB as the engine: in memory, with the extensions that read and write Iceberg and S3."""

from __future__ import annotations

import json
from collections.abc import Mapping

import duckdb

from slipway.adapters.iceberg.types import literal
from slipway.domain.errors import UnavailableError

EXTENSIONS = ("httpfs", "avro", "iceberg")


def prepare(
    connection: duckdb.DuckDBPyConnection, catalog_properties: Mapping[str, str], landing: str = ""
) -> None:
    """Load the extensions, fix the time zone and pass on the object store's settings.

    Args:
        connection: a fresh connection.
        catalog_properties: properties of the catalog; those that start with ``s3.`` are used.
        landing: root of the landing area, which may be in S3 while the warehouse is not.

    Raises:
        UnavailableError: an extension is neither installed as a package nor can be downloaded.
    """
    load_extensions(connection)
    connection.execute("set global TimeZone = 'UTC'")
    connection.execute("set enable_progress_bar = false")
    if any(root.startswith(("s3:", "s3a:")) for root in (catalog_properties.get("warehouse", ""), landing)):
        connection.execute(_s3_secret(catalog_properties))


def load_extensions(connection: duckdb.DuckDBPyConnection) -> None:
    """Load what is needed for Iceberg, from the installed packages or from DuckDB's repository."""
    for name in EXTENSIONS:
        try:
            connection.execute(f"load {name}")
            continue
        except duckdb.Error:
            pass
        try:
            from duckdb_extensions import import_extension

            import_extension(name)
            connection.execute(f"load {name}")
        except (ImportError, OSError, ValueError, duckdb.Error) as error:
            try:
                connection.execute(f"install {name}")
                connection.execute(f"load {name}")
            except duckdb.Error:
                raise UnavailableError(
                    f"DuckDB extension {name} cannot be loaded",
                    str(error).split("\n", 1)[0],
                    f"install the package duckdb-extension-{name} in the version of duckdb",
                ) from error


def count_reads(cursor: duckdb.DuckDBPyConnection) -> None:
    """Have DuckDB count the bytes that statements of this connection read, without printing anything."""
    cursor.execute("pragma enable_profiling = 'no_output'")
    cursor.execute('pragma custom_profiling_settings = \'{"TOTAL_BYTES_READ": "true"}\'')


def bytes_read(cursor: duckdb.DuckDBPyConnection) -> int | None:
    """Bytes that the last statement read from files and the object store; None where they are not counted."""
    try:
        found = json.loads(cursor.get_profiling_information(format="json"))
    except (duckdb.Error, json.JSONDecodeError):
        return None
    read = found.get("total_bytes_read")
    return int(read) if read is not None else None


def connect(catalog_properties: Mapping[str, str]) -> duckdb.DuckDBPyConnection:
    """A new in-memory database that can read the environment's tables."""
    connection = duckdb.connect(":memory:")
    prepare(connection, catalog_properties)
    return connection


def _s3_secret(properties: Mapping[str, str]) -> str:
    """A secret for the warehouse's bucket; without keys the standard AWS chain is asked."""
    options = {"type": "s3"}
    if region := properties.get("s3.region") or properties.get("client.region"):
        options["region"] = region
    key = properties.get("s3.access-key-id") or properties.get("client.access-key-id")
    if key:
        options["key_id"] = key
        options["secret"] = properties.get("s3.secret-access-key") or properties["client.secret-access-key"]
        if token := properties.get("s3.session-token") or properties.get("client.session-token"):
            options["session_token"] = token
    else:
        import boto3

        session = boto3.session.Session()
        found = session.get_credentials()
        if found is not None:
            frozen = found.get_frozen_credentials()
            options |= {"key_id": str(frozen.access_key), "secret": str(frozen.secret_key)}
            if frozen.token:
                options["session_token"] = frozen.token
        if session.region_name and "region" not in options:
            options["region"] = session.region_name
    if endpoint := properties.get("s3.endpoint"):
        scheme, _, host = endpoint.rpartition("://")
        options |= {"endpoint": host, "use_ssl": str(scheme != "http").lower(), "url_style": "path"}
    listed = ", ".join(f"{key} {literal(value)}" for key, value in options.items())
    return f"create or replace secret slipway_warehouse ({listed})"
