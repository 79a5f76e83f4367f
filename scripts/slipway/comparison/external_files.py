"""CSV and Parquet files that are compared with a table: their rows under the names, and in the types, of its columns."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import duckdb

from slipway.comparison.relations import common_type, is_exact_number
from slipway.counts import plural
from slipway.errors import ContractError, UnavailableError, first_line
from slipway.sql_text import exact, literal, quote

_PARQUET = re.compile(r".*\.parquet", re.IGNORECASE | re.DOTALL)
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
_NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)"
_MAX_DIGITS = 38


@dataclass(frozen=True)
class FileRows:
    """The rows of a file.

    Args:
        relation: SQL of them, for FROM.
        columns: names of its columns, as the table spells them where it has them.
    """

    relation: str
    columns: Sequence[str]


def read_file(
    con: duckdb.DuckDBPyConnection, path: str, types: Mapping[str, str], hidden: Collection[str] = ()
) -> FileRows:
    """The rows of a file that is compared with a table.

    A CSV file has no types: each value is read in the type of the table's column, numbers exactly as they are written, and dates
    with their time of day, so that nothing is rounded before it is compared. An empty field is NULL, ``""`` an empty text.

    Args:
        con: a connection that can read the file.
        path: CSV or Parquet, also compressed.
        types: DuckDB's types by column of the table; empty where there is no table, and the file tells them.
        hidden: columns, in small letters, of which no message shows a value.

    Raises:
        ContractError: a value is not of the column's type.
        UnavailableError: the file cannot be read.
    """
    try:
        if _PARQUET.fullmatch(path):
            return _parquet(con, path, types)
        return _csv(con, path, types or _guessed(con, path), hidden)
    except duckdb.Error as error:
        raise UnavailableError(
            f"{path} cannot be read", first_line(error), "Check that it is whole"
        ) from None


def _parquet(con: duckdb.DuckDBPyConnection, path: str, types: Mapping[str, str]) -> FileRows:
    scan = f"read_parquet({literal(exact(path))}, hive_partitioning = false)"
    names = [name for name in _names(con, scan) if not _PANDAS_INDEX.fullmatch(name)]
    spelled = _spelled(names, types)
    items = ", ".join(f"{quote(name)} as {quote(called)}" for name, called in spelled.items())
    return FileRows(f"(select {items} from {scan})", list(spelled.values()))


def _guessed(con: duckdb.DuckDBPyConnection, path: str) -> dict[str, str]:
    described = con.execute(
        f"describe from read_csv({literal(exact(path))}, header = true, sample_size = -1)"
    )
    return {row[0]: row[1] for row in described.fetchall()}


def _csv(
    con: duckdb.DuckDBPyConnection, path: str, types: Mapping[str, str], hidden: Collection[str]
) -> FileRows:
    scan = (
        f"read_csv({literal(exact(path))}, header = true, all_varchar = true, allow_quoted_nulls = false,"
        " sample_size = -1)"
    )
    texts = quote(f"slipway_file_{uuid.uuid4().hex}")
    con.execute(f"create temporary table {texts} as from {scan}")  # each column is looked at twice
    spelled = _spelled(_names(con, texts), types)
    items = []
    for name, called in spelled.items():
        wanted = types.get(called, "VARCHAR")
        type_ = _type_of_texts(con, texts, name, wanted)
        value = quote(name) if type_ == "VARCHAR" else f"cast(trim({quote(name)}) as {type_})"
        kind = "number" if is_exact_number(wanted) else wanted
        _check(con, path, texts, name, type_, kind, is_hidden=name.casefold() in hidden)
        items.append(f"{value} as {quote(called)}")
    return FileRows(f"(select {', '.join(items)} from {texts})", list(spelled.values()))


def _names(con: duckdb.DuckDBPyConnection, scan: str) -> list[str]:
    return [row[0] for row in con.execute(f"describe from {scan}").fetchall()]


def _spelled(names: Sequence[str], types: Mapping[str, str]) -> dict[str, str]:
    """The file's columns to those of the table that they are, which may be spelled with other capitals."""
    known = {name.casefold(): name for name in types}
    once = {
        name.casefold() for name in names if [one.casefold() for one in names].count(name.casefold()) == 1
    }
    return {
        name: known.get(name.casefold(), name) if name not in types and name.casefold() in once else name
        for name in names
    }


def _type_of_texts(con: duckdb.DuckDBPyConnection, scan: str, name: str, wanted: str) -> str:
    """The type in which texts are compared with values of a type, without loss."""
    if wanted == "DATE":
        moment = f"try_cast(trim({quote(name)}) as timestamp)"
        has_time = con.execute(f"select bool_or({moment} <> cast({moment} as date)) from {scan}").fetchone()
        return "TIMESTAMP" if has_time and has_time[0] else "DATE"
    if not is_exact_number(wanted):
        return wanted
    value = f"trim({quote(name)})"
    digits = [
        f"max(length(regexp_replace(split_part({value}, '.', {part}), '[^0-9]', '', 'g')))" for part in (1, 2)
    ]
    found = con.execute(
        f"select bool_and(regexp_full_match({value}, {literal(_NUMBER)})), {', '.join(digits)} from {scan}"
    ).fetchone()
    plain, whole, fraction = found or (None, None, None)
    if plain is None:  # there is no value
        return wanted
    decimal = f"DECIMAL({max(whole + fraction, 1)},{fraction})"
    fits = plain and whole + fraction <= _MAX_DIGITS and common_type(wanted, decimal) is not None
    return decimal if fits else "DOUBLE"


def _check(
    con: duckdb.DuckDBPyConnection,
    path: str,
    scan: str,
    name: str,
    type_: str,
    called: str,
    *,
    is_hidden: bool,
) -> None:
    """Refuse a column with a value that is not of its type, which has a name in messages."""
    if type_ == "VARCHAR":
        return
    wrong = f"{quote(name)} is not null and try_cast(trim({quote(name)}) as {type_}) is null"
    found = con.execute(f"select count(*), min({quote(name)}) from {scan} where {wrong}").fetchone()
    if found and found[0]:
        such = "" if is_hidden else f", such as {found[1][:60]!r}"
        raise ContractError(
            f"{path} cannot be compared",
            f"{plural(found[0], 'value')} of column {name} {'is' if found[0] == 1 else 'are'} no {called}{such}",
            "Correct the file, or leave the column out",
        )
