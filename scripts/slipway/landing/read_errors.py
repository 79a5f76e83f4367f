"""What DuckDB's errors about a landed file mean for its producer, in one line without what they quote from the file."""

from __future__ import annotations

import re

import duckdb

from slipway.errors import first_line
from slipway.landing.formats import FileFormat, FileKind

_ON_LINE = re.compile(r"CSV Error on Line: (\d+)")
_COLUMNS = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_ORIGINAL = re.compile(r"Original Line: ?(.*)")
_DECIMAL_COMMA = re.compile(r"(?:^|,)-?\d+,\d{1,2}(?:,|$)")
_JSON_LINE = re.compile(r"in line (\d+)")


def reason_of(error: duckdb.Error, style: FileFormat) -> str:
    """DuckDB's many-line message in one line, without what it quotes from the file."""
    if style.kind is FileKind.JSON:
        return _json_reason(error, style)
    if style.kind is FileKind.PARQUET:
        return parquet_reason(error)
    return _csv_reason(error, style)


def _csv_reason(error: duckdb.Error, style: FileFormat) -> str:
    text = str(error)
    line = _ON_LINE.search(text)
    where = f"line {int(line[1]) + style.skip_lines} " if line else ""
    if columns := _COLUMNS.search(text):
        expected, found = columns.groups()
        finding = f"{where}has {found} {'value' if found == '1' else 'values'}, and the header {expected}"
        original = _ORIGINAL.search(text)
        if (
            int(found) > int(expected)
            and style.delimiter == ","
            and original
            and _DECIMAL_COMMA.search(original[1])
        ):
            return (
                f"{finding}: perhaps a decimal comma makes two values of a number; have the producer put such numbers between quotes, "
                "or use another delimiter"
            )
        if int(found) > int(expected):
            return f"{finding}: the producer has to put quotes around a value with {_named(style.delimiter)} in it"
        return f"{finding}: the line is cut, or a title or total; titles and totals are left out by skipLines and footerLines"
    if "Maximum line size" in text:
        return f"{where}is longer than DuckDB reads (2,000,000 bytes)"
    known = ("Invalid unicode", "Value with unterminated")
    lines = [part.strip() for part in text.removeprefix("Invalid Input Error: ").splitlines()]
    return where + "; ".join([part for part in lines if part.startswith(known)] or lines[:1])[:200]


def _named(delimiter: str) -> str:
    return {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}.get(
        delimiter, f"a {delimiter}"
    )


def _json_reason(error: duckdb.Error, style: FileFormat) -> str:
    text = " ".join(str(error).split())
    line = _JSON_LINE.search(text)
    is_transform = "transform error" in text
    where = f"line {int(line[1]) + style.skip_lines - (0 if is_transform else 1)} " if line else ""
    if "has duplicate key" in text:
        name = text.rsplit('has duplicate key "', 1)[1].split('"', 1)[0][:60]
        return f"{where}has the key {name} twice: the producer has to write each key once"
    what = text.split(": ", 3)[-1].split(". Try", 1)[0] if "Malformed JSON" in text else text
    return f"{where}is not JSON ({what[:120]}): the producer has to correct it"


def parquet_reason(error: duckdb.Error) -> str:
    """Why a Parquet file cannot be read."""
    text = first_line(error).replace("\n", " ")
    if "encrypt" in text.lower():
        return "is encrypted: the producer has to send it without encryption"
    return f"cannot be read as Parquet to its end ({without_paths(text)[:160]}): the producer has to send it again"


def without_paths(text: str) -> str:
    """A message without the places of files, which depend on the machine."""
    return re.sub(r"'[^']*/[^']*'|\"[^\"]*/[^\"]*\"", "the file", text)
