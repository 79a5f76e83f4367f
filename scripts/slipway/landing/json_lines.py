"""JSON lines that DuckDB can read as they are, because it gives every value back as the file has it.

DuckDB gives back the text of a string, but writes numbers, lists and objects anew: ``1.50`` becomes ``1.5``, and ``[1, 2]`` becomes ``[1,2]``. In most files
that changes nothing. To find out, DuckDB compares each line with the line as it would write it, which takes much less time than to put every number
between quotes (``json_records``). Blanks between values do not count. Where a line differs in anything else, or cannot be read, the file is not
read as it is; the exact count then says what is wrong with it, and in which line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import duckdb

from slipway.sql_text import exact

LONGEST = 1 << 25
"""Bytes of a record that DuckDB takes; the copy of a record may have more than the file."""
_LF = b"\n"
_LONGEST_LINE = 1 << 24  # bytes, as in json_records
_ESCAPES = (rb"\u", rb"\/")
"""Those that DuckDB does not write."""
_AS_DOUBLE = r"[:,\[]-?(?:[0-9.]+[eE]|0\.0000|[0-9]{17,}\.)"
"""Numbers that become another text as values of a column: DuckDB writes a DOUBLE with an exponent from 1e16 on and below 0.0001, and JSON from
1e21 on and below 0.000001, with fewer signs. In a string, this is merely a reason to count exactly."""
# DuckDB also reads NaN and Infinity, which are no JSON, and which the exact count refuses within lists and objects;
# keys are joined to one text, which is grouped faster; none has chr(1), which JSON writes as an escape
_QUERY = f"""
    with
    lines as (
        select
            json::varchar as text,
            json(json)::varchar as short,
            len(json_keys(json)) as many,
            array_to_string(json_keys(json), chr(1)) as keys,
            row_number() over () as line
        from read_ndjson_objects($path, maximum_object_size = {LONGEST}, compression = 'uncompressed')
    ),
    compared as (
        select
            many,
            keys,
            line,
            starts_with(short, '{{') and not regexp_matches(short, '{_AS_DOUBLE}') and case
                when text = short then $is_flat or not regexp_matches(short, '(?i)[:,\\[]-?(nan|inf)')
                when not $is_flat and (contains(short, ':[') or contains(short, ':{{')) then false
                else replace(text, ' ', '') = replace(short, ' ', '')
            end as is_same
        from lines
    ),
    shapes as (
        select
            case when many > 0 then string_split(keys, chr(1)) else [] end as keys,
            min(line) as line,
            count(*) as lines,
            bool_and(is_same) as is_same
        from compared
        group by many, compared.keys
    ),
    named as (select unnest(keys) as key, line from shapes),
    firsts as (select key, min(line) as line from named group by key)
    select
        (select coalesce(sum(lines), 0)::bigint from shapes),
        (select coalesce(bool_and(is_same and len(keys) = len(list_distinct(keys))), true) from shapes),
        (select coalesce(list((key, line) order by line, key), []) from firsts)
"""


class JsonLines:
    """A count of lines that takes UTF-8 block by block, and keeps one byte of it.

    Args:
        skipped: lines above the first one.
        sink: takes the same text.
    """

    def __init__(self, skipped: int, sink: Callable[[bytes], object]) -> None:
        self._sink, self._skipped = sink, skipped
        self._ends = self._open = self._braces = 0
        self._has_lists = False
        self._last = _LF
        self._is_plain = True

    @property
    def line(self) -> int:
        """The line that comes next, or goes on; from 1."""
        return self._skipped + self._ends + 1

    def add(self, block: bytes) -> None:
        """Take the next bytes of the file."""
        if not block:
            return
        self._sink(block)
        ends = block.count(_LF)
        first = block.find(_LF) if ends else len(block)
        # each line begins with its brace: so none is blank, and none that is looked for is missed between two blocks
        begun = block.count(b"\n{") + block.endswith(_LF)
        self._is_plain = (
            self._is_plain
            and self._open + first <= _LONGEST_LINE
            and begun == ends
            and (self._last != _LF or block.startswith(b"{"))
            and not _has_escapes(self._last, block)
        )
        self._has_lists = self._has_lists or b"[" in block
        self._braces += block.count(b"{")
        self._ends += ends
        self._open = len(block) - block.rfind(_LF) - 1 if ends else self._open + len(block)
        self._last = block[-1:]

    @property
    def is_flat(self) -> bool:
        """Whether no value is a list or an object, so that texts have no brackets at all."""
        return not self._has_lists and self._braces == self.end()

    def end(self) -> int | None:
        """Lines; None where one of them is too long, does not begin with a brace, or has an escape that DuckDB does not write."""
        return self._ends + (self._last != _LF) if self._is_plain else None


def _has_escapes(before: bytes, block: bytes) -> bool:
    """Whether a block, together with the byte before it, has one of the escapes; most have no backslash, which is found out sooner."""
    is_possible = b"\\" in block or before == b"\\"
    return is_possible and any(escape in before + block for escape in _ESCAPES)


@dataclass(frozen=True)
class Written:
    """What JSON lines hold that are read as they are.

    Args:
        records: how many.
        keys: each key to the number of the record that has it first, from 1.
    """

    records: int
    keys: Mapping[str, int]


def as_written(
    connection: duckdb.DuckDBPyConnection, path: str, records: int, *, is_flat: bool
) -> Written | None:
    """What a file of JSON lines holds, if DuckDB gives all of its values back as they are written; None if not, or if it is not known.

    Args:
        connection: of DuckDB.
        path: of UTF-8 text.
        records: how many lines were counted.
        is_flat: whether no value is a list or an object.
    """
    try:
        found = connection.execute(_QUERY, {"path": exact(path), "is_flat": is_flat}).fetchone()
    except duckdb.Error:
        return None
    if found is None or found[:2] != (records, True):
        return None
    return Written(records, dict(found[2]))
