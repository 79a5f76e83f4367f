"""``slipway sql``."""

from __future__ import annotations

import gc
import re
import sys
from pathlib import Path

import click

from slipway.cli import options
from slipway.cli.render import output

FORMATS = ("text", "csv", "json", "parquet")
_COMMENT = re.compile(r"--(\s|.*\n)")
TEXT_ROWS = 10_000  # more than that is not read on a screen, and alignment needs all rows at once


class SqlCommand(click.Command):
    """A command whose argument may begin with an SQL comment."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take ``-- text`` and anything of several lines for SQL: no option looks like that."""
        return super().parse_args(ctx, [f" {text}" if _COMMENT.match(text) else text for text in args])


@click.command("sql", cls=SqlCommand)
@click.argument("query")
@options.output(*FORMATS)
@click.option("--release", type=int, metavar="N", help="Tables as release N left them.")
@click.option(
    "--run", metavar="RUN", help="Tables as a run built and read them, published or not: id or latest."
)
@click.option(
    "--as-of", metavar="TIME", help="Tables of the last release at that time: ISO 8601, UTC without a zone."
)
@click.option("--allow-files", is_flag=True, help="Let the query read files and URLs that it names.")
@options.target
@options.project_dir
def command(
    query: str,
    output_: str,
    release: int | None,
    run: str | None,
    as_of: str | None,
    allow_files: bool,
    target: str | None,
    project_dir: Path | None,
) -> None:
    """Query the published tables in DuckDB's SQL.

    Tables are layer.table: slipway sql "select count(*) from raw.events". "show tables" lists what is there, and
    a lone - reads the query from standard input. Only queries that read are run; they see no file, URL, setting or secret.
    """
    gc.disable()  # modules stay: looking for garbage among them takes a tenth of the time of a query
    from slipway.cli.render import tabular
    from slipway.errors import UsageError
    from slipway.query.queries import query as run_query

    gc.enable()
    if output_ == "parquet" and sys.stdout.isatty():
        raise UsageError(
            "Parquet is not written to a terminal", fix="Redirect it: slipway sql … -o parquet > rows.parquet"
        )
    try:
        text = sys.stdin.read() if query == "-" else query
        text.encode()
    except UnicodeError as error:
        raise UsageError("The query is not text in UTF-8", str(error), "Convert it") from None
    result = run_query(
        text,
        project_dir=project_dir,
        target=target,
        release=release,
        run=run,
        as_of=as_of,
        files=allow_files,
    )
    if result.cut.warning:
        output.message(result.cut.warning)
    tabular.write(result, output_, limit=TEXT_ROWS)
