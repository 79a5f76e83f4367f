"""``slipway connect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slipway.cli import figures, options, output
from slipway.errors import SlipwayError
from slipway.names import TableName

if TYPE_CHECKING:
    from slipway.query.connections import Connection


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
    wrong = next(link for link in found.links if link.is_wrong)
    raise SlipwayError(
        found.summary,
        f"{wrong.kind} of {wrong.what}: {wrong.note}",
        f"slipway verify {number or table or found.release} lists all links",
    )


def _explain(found: Connection, *, exact: bool) -> None:
    from slipway.query.examples import sections

    released = [name for name in found.tables if len(found.tables) == 1 or not name.startswith("ops.")]
    table = max(released, key=figures.by_layer, default=None)
    text = [
        f"{title}\n" + "\n".join(f"  {line}" for line in lines)
        for title, lines in sections(found, table).items()
    ]
    output.result("\n\n".join(text), exact=exact)


def _release(found: Connection, form: str) -> None:
    from slipway.query.examples import extensions, file_literal
    from slipway.sql_text import quote

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
        *extensions(found, s3=is_s3),
        *(f"create schema if not exists {quote(name)};" for name in schemas),
    ):
        output.result(line)
    for name, version in found.tables.items():
        relation = ".".join(map(quote, name.rsplit(".", 1)))
        output.result(
            f"create or replace view {relation} as from iceberg_scan({file_literal(version.metadata_location)});"
        )
    output.result(
        "-- other engines read a table at its snapshot (pyiceberg: scan(snapshot_id=…), SQL: VERSION AS OF …)"
    )
    for name, version in found.tables.items():
        output.result(f"-- {name} {version.snapshot_id}")
