"""Seeds: CSV files of a fixed dialect, read by Python's reader as dbt itself reads them, never by guessing.

The dialect is what dbt documents: UTF-8, the ``delimiter`` of the configuration or a comma, fields in double quotes where they need it,
a quote inside of one doubled. An empty field is NULL.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from slipway.counts import plural
from slipway.errors import ConfigError, ContractError
from slipway.sql_text import quote

_LEADING_ZERO = re.compile(r"\s*[+-]?0\d")
_BOOLEAN = {"true", "false", "null", ""}
_EXACT = 15  # significant digits that a double keeps
_LARGEST = 2**31 - 1  # of a field, as far as Python's reader goes


@dataclass(frozen=True)
class Seed:
    """What a seed's file holds: its columns, and its rows with the line that each ends at."""

    name: str
    columns: list[str]
    rows: list[list[str]]
    lines: list[int]


def load(cursor: duckdb.DuckDBPyConnection, name: str, config: Mapping[str, Any]) -> None:
    """Make the table ``loaded`` of the file ``path``, by a seed's ``delimiter``, ``column_types`` and dbt's ``guessed`` types."""
    declared = config["column_types"] or {}
    seed = read_seed(name, Path(config["path"]), config["delimiter"])
    kinds = seed_types(seed, config["guessed"], declared)
    named = {name.lower() for name in declared}
    load_seed(cursor, config["loaded"], seed, kinds, [name.lower() not in named for name in seed.columns])


def read_seed(name: str, path: Path, delimiter: str = ",") -> Seed:
    """Read a seed's file.

    Raises:
        ConfigError: the delimiter is not one character.
        ContractError: the file is not UTF-8 or not CSV, a column has no name or the name of another, or a row has more or fewer fields
            than there are columns.
    """
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise ConfigError(
            f"Seed {name}: delimiter is {delimiter!r}",
            "it is to be one character, and no quote",
            'Write for example delimiter: ";", or "\\t" in double quotes for a tab',
        )
    rows: list[list[str]] = []
    lines: list[int] = []
    csv.field_size_limit(_LARGEST)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for row in reader:
                if row:
                    rows.append(row)
                    lines.append(reader.line_num)
        except UnicodeDecodeError as error:
            raise ContractError(
                f"Seed {name} is not UTF-8",
                f"after line {reader.line_num}: {error.reason}",
                "Save it as UTF-8",
            ) from None
        except csv.Error as error:
            raise ContractError(
                f"Seed {name} is not CSV",
                f"line {reader.line_num}: {error}",
                "Close each quote, and double a quote inside of a field in quotes",
            ) from None
    columns = rows.pop(0) if rows else []
    lines = lines[1:]
    _check_columns(name, columns)
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(columns):
            raise ContractError(
                f"Seed {name}: the row that ends at line {line} has {plural(len(row), 'field')}",
                f"the seed has {plural(len(columns), 'column')}, separated by {delimiter!r}",
                "Put a field with the delimiter in it in double quotes, or set the seed's delimiter",
            )
    return Seed(name, columns, rows, lines)


def seed_types(seed: Seed, guessed: Sequence[str], declared: Mapping[str, str]) -> list[str]:
    """The DuckDB type of each column: as ``column_types`` says, in any case of the name, else as dbt guesses by the whole file.

    A guess that would lose something is not followed: numbers with leading zeros stay text, and so do yes and no.

    Raises:
        ConfigError: ``column_types`` names no column, or a column twice; or numbers would be rounded.
    """
    given: dict[str, str] = {}
    for name, kind in declared.items():
        if name.lower() in given:
            raise ConfigError(f"Seed {seed.name}: column_types names {name} twice", fix="Name it once")
        if name.lower() not in map(str.lower, seed.columns):
            near = difflib.get_close_matches(name, seed.columns, 1)
            raise ConfigError(
                f"Seed {seed.name}: column_types names {name}",
                "no such column",
                f"Did you mean {near[0]}" if near else f"Use columns of {', '.join(seed.columns)}",
            )
        given[name.lower()] = kind
    return [
        given.get(name.lower()) or _without_loss(seed, at, guessed[at] if at < len(guessed) else "text")
        for at, name in enumerate(seed.columns)
    ]


def load_seed(
    cursor: duckdb.DuckDBPyConnection,
    relation: str,
    seed: Seed,
    kinds: Sequence[str],
    guessed: Sequence[bool],
) -> None:
    """Make a table of a seed.

    Args:
        cursor: the thread's connection.
        relation: the table's name as SQL.
        seed: what the file holds.
        kinds: the DuckDB type of each column.
        guessed: whether a type was guessed; dbt then takes the word null for NULL, except in text.

    Raises:
        ContractError: a value is not of its column's type.
    """
    import pyarrow as pa

    columns = [
        pa.array(
            [
                None
                if not row[at] or (by_guess and kind != "text" and row[at].strip().lower() == "null")
                else row[at]
                for row in seed.rows
            ],
            type=pa.string(),
        )
        for at, (kind, by_guess) in enumerate(zip(kinds, guessed, strict=True))
    ]
    table = pa.table([*columns, pa.array(seed.lines, pa.int64())], [*map(str, range(len(columns))), "line"])
    cursor.register("__slipway_seed", table)
    try:
        casts = ", ".join(
            f'"{at}"::{kind} as {quote(name)}'
            for at, (name, kind) in enumerate(zip(seed.columns, kinds, strict=True))
        )
        try:
            cursor.execute(f"create table {relation} as select {casts} from __slipway_seed order by line")
        except duckdb.ConversionException as error:
            raise _not_of_type(cursor, seed, kinds, error) from None
        found = cursor.execute(f"select count(*) from {relation}").fetchone()
        if found != (len(seed.rows),):
            raise ContractError(f"Seed {seed.name} has {plural(len(seed.rows), 'row')}, and {found} came in")
    finally:
        cursor.unregister("__slipway_seed")


def _not_of_type(
    cursor: duckdb.DuckDBPyConnection, seed: Seed, kinds: Sequence[str], error: duckdb.Error
) -> ContractError:
    for at, (name, kind) in enumerate(zip(seed.columns, kinds, strict=True)):
        row = cursor.execute(
            f'select "{at}", line from __slipway_seed where "{at}" is not null and try_cast("{at}" as {kind}) is null'
            " order by line limit 1"
        ).fetchone()
        if row:
            return ContractError(
                f"Seed {seed.name}: {row[0]!r} at line {row[1]} is no {kind}",
                f"column {name}",
                "Correct it, or declare another type in column_types",
            )
    return ContractError(f"Seed {seed.name} cannot be loaded", str(error).split("\n", 1)[0])


def _check_columns(name: str, columns: Sequence[str]) -> None:
    known: dict[str, str] = {}
    for at, column in enumerate(columns, start=1):
        if not column.strip():
            raise ContractError(f"Seed {name}: column {at} has no name", fix="Name it in the first line")
        if other := known.get(column.lower()):
            raise ContractError(f"Seed {name} has two columns {other}", fix="Give each a name of its own")
        known[column.lower()] = column
    if not columns:
        raise ContractError(
            f"Seed {name} is empty", "not even its columns are known", "Write their names in the first line"
        )


def _without_loss(seed: Seed, at: int, kind: str) -> str:
    if kind == "boolean" and not {row[at].strip().lower() for row in seed.rows} <= _BOOLEAN:
        return "text"
    if kind not in ("integer", "bigint", "float8", "double"):
        return kind
    values = [row[at] for row in seed.rows if row[at]]
    if any(_LEADING_ZERO.match(value) for value in values):
        return "text"
    if kind in ("float8", "double"):
        for value, line in zip((row[at] for row in seed.rows), seed.lines, strict=True):
            if len(re.sub(r"[eE].*|\D", "", value).strip("0")) > _EXACT:
                raise ConfigError(
                    f"Seed {seed.name}: {value} at line {line} would be rounded",
                    f"column {seed.columns[at]} would be a double",
                    f"Declare it: column_types: {{{seed.columns[at]}: decimal(38, 10)}}",
                )
    return kind
