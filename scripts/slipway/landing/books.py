"""The books of a feed: where each row of a raw table is now, counted anew from the tables themselves.

A row is curated, quarantined, or it repeats a row that is. The first two are counted; that the rest are repetitions is
proved, not assumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pyiceberg.table import Table

from slipway.contracts.model import EXTRA
from slipway.contracts.typed_rows import kept
from slipway.engines.duckdb.scan import Views
from slipway.sql_text import quote

PLACE = ("_file_sha256", "_source_line")
"""The columns that identify a landed row."""


@dataclass(frozen=True)
class Counted:
    """What a count has shown.

    Args:
        how: ``rows`` where each row was followed by file and line, ``numbers`` where a table does not have these columns.
        unaccounted: rows of raw that are in neither table and repeat no row that is; with ``numbers`` at least so many.
        doubled: rows of the two tables that stand there more often than in raw; 0 with ``numbers``.
        expired: rows of raw that are in neither table because their retention is over; 0 with ``numbers``.
    """

    how: Literal["rows", "numbers"]
    unaccounted: int
    doubled: int = 0
    expired: int = 0


def feed_columns(raw: Table) -> list[str]:
    """The columns of a raw table that came in files."""
    return [field.name for field in raw.schema().fields if not field.name.startswith("_")]


def count(
    raw: Table,
    landed: str,
    outputs: Sequence[Table],
    key: Sequence[str],
    placed: int,
    views: Views,
    expired: str = "",
) -> Counted:
    """Follow every row of a raw table.

    Args:
        raw: the table.
        landed: those of its rows that models read, in FROM: of a feed whose files replace others, the current ones.
        outputs: the curated table and the quarantine table that its rows are divided between.
        key: columns of raw; of rows that agree in all of them, one may stand for the others.
        placed: how many rows the outputs have.
        views: what the tables are read with.
        expired: those of its rows whose retention in quarantine is over, in FROM; empty where none is.

    Raises:
        DamagedTableError: a table cannot be read.
    """
    if has_places((raw, *outputs)):
        if EXTRA in raw.schema().column_names:
            landed = with_extra(landed, key)
        sql = rows_query(landed, [views.scan(table) for table in outputs], key, expired)
        ((unaccounted, doubled, gone),) = views.query(sql)
        return Counted("rows", int(unaccounted), int(doubled), int(gone))
    ((distinct,),) = views.query(f"select count(*) from (select distinct {_list(key)} from {landed})")
    # each key is at least once in one of the tables
    return Counted("numbers", max(0, int(distinct) - placed))


def has_places(tables: Iterable[Table]) -> bool:
    """Whether the rows of tables can be followed from one to another."""
    return all(set(PLACE) <= set(table.schema().column_names) for table in tables)


def with_extra(raw: str, columns: Sequence[str]) -> str:
    """A raw table in FROM, in which columns have the values that they had before the contract named them."""
    items = ", ".join(f"{kept(name)} as {quote(name)}" for name in columns)
    return f"(select {', '.join(PLACE)}{', ' if items else ''}{items} from {raw})"


def rows_query(raw: str, outputs: Sequence[str], key: Sequence[str], expired: str = "") -> str:
    """A query for one row: how many rows of raw are unaccounted for, how many of the outputs are doubled, and how many have expired.

    A row that has expired stands for no other: one that is equal to it and younger has to be in an output itself.

    Args:
        raw: a FROM item.
        outputs: FROM items.
        key: columns of raw.
        expired: a FROM item, rows of raw whose retention is over; empty where none is.
    """
    place = _list(PLACE)
    union = " union all ".join(f"select {place} from {output}" for output in outputs)
    same = " and ".join(f"one.{quote(name)} is not distinct from other.{quote(name)}" for name in key)
    past = f"select distinct {place} from {expired}" if expired else f"select {place} from {raw} where false"
    return _ROWS.format(
        place=place, union=union, raw=raw, same=same, columns=_list({*PLACE, *key}), past=past
    )


_ROWS = """
    with
    landed as (select {columns} from {raw}),
    out as (select {place}, count(*) as copies from ({union}) group by all),
    places as (select {place}, count(*) as copies from landed group by all),
    here as (select * from landed semi join out using ({place})),
    past as ({past}),
    missing as (select * from landed anti join out using ({place})),
    gone as (select * from missing anti join past using ({place}))
    select
        (select count(*) from gone as one where not exists (select 1 from here as other where {same})),
        (
            select coalesce(sum(greatest(0, out.copies - coalesce(places.copies, 0))), 0)
            from out left join places using ({place})
        ),
        (select count(*) from missing semi join past using ({place}))
"""


def _list(names: Sequence[str] | set[str]) -> str:
    return ", ".join(quote(name) for name in sorted(names))
