"""What a query of a person may do: read the tables that it is given, and nothing else of the machine.

DuckDB itself refuses files, URLs and changes of settings ("Securing DuckDB"); settings that hold keys are emptied, so that
there is nothing to see. The functions that show settings and secrets are refused by name as well, which gives the better message.
Files are allowed one by one, never a folder: the warehouse also holds records of runs, candidates and what models stored there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

import duckdb

from slipway.errors import UsageError
from slipway.sql_text import literal
from slipway.storage.locations import duckdb_path
from slipway.storage.s3 import is_s3

CONFIG = {"allow_unredacted_secrets": "false"}
"""What has to be set before the database is opened."""
_HOLDING_KEYS = "name like '%secret\\_access\\_key' escape '\\' or name like '%access\\_key\\_id' escape '\\' \
or name like '%session\\_token' escape '\\' or name like '%password' or name like '%connection\\_string' escape '\\'"
_SETTINGS = frozenset(
    {"duckdb_settings", "current_setting", "pg_settings", "getenv", "duckdb_logs", "duckdb_logs_parsed"}
)
_SECRETS = frozenset({"duckdb_secrets", "which_secret"})
_HIDDEN_SQL = frozenset({"query", "query_table", "json_execute_serialized_sql"})
_FILES = re.compile(
    r"read_\w+|sniff_csv|parquet_\w+|glob|(iceberg|sqlite|postgres|mysql|delta)_scan|st_read"
    r"|iceberg_(metadata|snapshots|column_stats|partition_stats|to_ducklake)"
)
_WORD = re.compile(r"""\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|[\w$]+""")
_FILE_ENDS = re.compile(
    r".*\.([ct]sv|parquet|jsonl?|ndjson|gz|zst|avro|xlsx|db|duckdb)", re.IGNORECASE | re.DOTALL
)


def check_names(sql: str, *, files: bool) -> None:
    """Refuse a query that asks for settings, secrets, files or hidden SQL by the name of a function.

    Args:
        sql: the query.
        files: it may read files.

    Raises:
        UsageError: it does.
    """
    words = _names(sql)
    for (before, _), (name, _) in pairwise(words):
        if before in ("from", "join") and names_file(name.strip("'")) and not files:
            raise reads_files(name.strip("'"))
    for name, called in words:
        if name == "pg_settings" or (called and name in _SETTINGS):
            raise UsageError(f"{name} is refused", "settings may hold secrets", "Query tables")
        if called and name in _SECRETS:
            raise UsageError(f"{name} is refused", "secrets are not shown", "Query tables")
        if called and name in _HIDDEN_SQL:
            raise UsageError(
                f"{name} is refused",
                "it reads what the query does not name",
                "Write that SQL or table itself",
            )
        if called and _FILES.fullmatch(name) and not files:
            raise reads_files(name)


def check_paths(sql: str, locations: Iterable[str]) -> None:
    """Refuse a query that names a file of the tables themselves, which has to be allowed so that the tables can be read.

    A data file holds rows that were deleted since, and is no whole table.

    Args:
        sql: the query.
        locations: all files of the snapshots that are queried; their names are unique.

    Raises:
        UsageError: it does.
    """
    unescaped = sql.encode("latin-1", "backslashreplace").decode("unicode_escape", "replace")  # E'…'
    for location in locations:
        if (name := location.rpartition("/")[2]) in sql or name in unescaped:
            raise reads_files(name)


def reads_files(what: str) -> UsageError:
    """The refusal of a query that reads a file or URL."""
    return UsageError(
        f"{what} is refused",
        "published tables are queried here, not files or URLs",
        "Allow it with --allow-files",
    )


def names_file(name: str) -> bool:
    """Whether the name of a table that does not exist is that of a file."""
    return "/" in name or _FILE_ENDS.fullmatch(name) is not None


def shut(connection: duckdb.DuckDBPyConnection, locations: Iterable[str], *, files: bool) -> None:
    """Leave a connection nothing but the files of the tables that it is given; irreversible.

    Args:
        connection: with its extensions, secrets and settings.
        locations: all files of the snapshots that are queried.
        files: it may read all files and URLs.
    """
    found = connection.execute(f"select name from duckdb_settings() where {_HOLDING_KEYS}").fetchall()
    for (name,) in found:
        connection.execute(f"set global {name} = ''")
    if not files:
        paths = sorted({one for location in locations for one in _spellings(location)})
        connection.execute(f"set allowed_paths = [{', '.join(map(literal, paths))}]")
        connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def _spellings(location: str) -> set[str]:
    """One file as DuckDB may ask for it, by whichever name its metadata has."""
    if not is_s3(location):
        return {location, duckdb_path(location)}
    return {f"{scheme}://{location.partition('://')[2]}" for scheme in ("s3", "s3a", "s3n")}


def _names(sql: str) -> list[tuple[str, bool]]:
    """Identifiers of a query without their quotes, each with whether a parenthesis follows."""
    encoded = sql.encode()
    words = []
    for start, _ in duckdb.tokenize(sql):  # starts are bytes; a comment belongs to the word before it
        found = _WORD.match(encoded[start:].decode("utf-8", "replace"))
        words.append(found[0] if found else encoded[start : start + 1].decode("utf-8", "replace"))
    return [
        (word.strip('"').replace('""', '"').lower(), following == "(")
        for word, following in zip(words, [*words[1:], ""], strict=True)
    ]
