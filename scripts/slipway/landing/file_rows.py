"""The rows of accepted files as queries: columns as text, and where each row came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from slipway.contracts.model import EXTRA
from slipway.contracts.typed_rows import without_nulls
from slipway.landing.feeds import Feed
from slipway.landing.first_look import form_of_copy
from slipway.landing.formats import FileKind, Header
from slipway.landing.json_lines import LONGEST
from slipway.landing.layouts import Layout
from slipway.records.landed_files import LandedFile
from slipway.sql_text import exact, literal, quote


def select_sql(
    feed: Feed,
    layout: Layout,
    files: Sequence[LandedFile],
    places: Sequence[str],
    run_id: str,
    shown: Sequence[str],
) -> str:
    """Rows of files that are read in the same way; the position in the list says which file a row is of.

    Args:
        feed: whose files they are.
        layout: how they are read.
        files: the files.
        places: where DuckDB reads each, the file itself or its copy.
        run_id: the run that reads them.
        shown: columns of the result, those of the contract first.
    """
    items = []
    for name in shown:
        own = layout.column(name)
        items.append(f"{_as_text(layout, own) if own else 'null::varchar'} as {quote(name)}")
    if feed.keeps_extra:
        pairs = ", ".join(f"{literal(name)}, {_as_text(layout, name)}" for name in layout.others(shown))
        items.append(f"{without_nulls(pairs) if pairs else 'null::varchar'} as {EXTRA}")
    columns = ", ".join(items)
    rows = [entry.rows or 0 for entry in files]
    above = (
        0
        if feed.format.kind in (FileKind.JSON, FileKind.PARQUET)
        else int(feed.format.header is not Header.NONE)
    )
    before = [sum_ - above - feed.format.skip_lines for sum_ in accumulate([0, *rows[:-1]])]
    if len(files) == 1:  # constants cost nothing in DuckDB
        (entry,) = files
        return (
            f"select {columns}, {literal(entry.path.rsplit('/', 1)[-1])} as _source_file, "
            f"row_number() over () - ({before[0]}) as _source_line, {literal(entry.sha256)} as _file_sha256, "
            f"timestamptz {literal(entry.landed_at.isoformat())} as _landed_at, {literal(run_id)} as _run_id "
            f"from {reader_sql(feed, layout, places)}"
        )
    of_files = ", ".join(
        f"({number}, {literal(entry.path.rsplit('/', 1)[-1])}, {line}, {literal(entry.sha256)}, "
        f"timestamptz {literal(entry.landed_at.isoformat())})"
        for number, (entry, line) in enumerate(zip(files, before, strict=True))
    )
    return (
        f"select {columns}, _of.file as _source_file, _number - _of.lines as _source_line, "
        f"_of.sha as _file_sha256, _of.landed as _landed_at, {literal(run_id)} as _run_id "
        f"from (select *, file_index as _file, row_number() over () as _number from "
        f"{reader_sql(feed, layout, places)}) "
        f"join (values {of_files}) as _of(file_number, file, lines, sha, landed) on _file = _of.file_number"
    )


def reader_sql(feed: Feed, layout: Layout, places: Sequence[str]) -> str:
    """Files that are read in the same way, in FROM: the columns of their layout as text, and ``file_index``."""
    paths = f"[{', '.join(literal(exact(place)) for place in places)}]"
    style = feed.format
    if style.kind is FileKind.PARQUET:
        return f"read_parquet({paths}, hive_partitioning = false)"
    if style.kind is FileKind.JSON:
        named = zip(layout.names, layout.columns, strict=True)
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name, _ in named)
        renamed = ", ".join(
            f"{quote(name)} as {quote(column)}"
            for name, column in zip(layout.names, layout.columns, strict=True)
        )
        return (
            f"(select {renamed}, file_index from read_json({paths}, columns = {{{columns}}}, "
            f"format = 'newline_delimited', maximum_object_size = {LONGEST}, hive_partitioning = false, "
            "compression = 'uncompressed'))"
        )
    if layout.is_copied:
        style = form_of_copy(style)
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in layout.columns)
    header = str(style.header is not Header.NONE).lower()
    return (
        f"read_csv({paths}, columns = {{{columns}}}, auto_detect = false, header = {header}, "
        f"delim = {literal(style.delimiter)}, quote = {literal(style.quote)}, escape = {literal(style.escapes)}, "
        "strict_mode = true, hive_partitioning = false, compression = 'none')"
    )


def no_rows_sql(feed: Feed, shown: Sequence[str]) -> str:
    """A query with the columns of ``select_sql`` and no rows."""
    return (
        f"select {_nothing(feed, shown)}, null::varchar as _source_file, null::bigint as _source_line, "
        "null::varchar as _file_sha256, null::timestamptz as _landed_at, null::varchar as _run_id limit 0"
    )


def _nothing(feed: Feed, shown: Sequence[str]) -> str:
    """Columns without values."""
    names = [*shown, EXTRA] if feed.keeps_extra else shown
    return ", ".join(f"null::varchar as {quote(name)}" for name in names)


def marks_sql(feed: Feed, shown: Sequence[str], marked: Sequence[LandedFile], run_id: str) -> Iterator[str]:
    """A row without values for each file that becomes current without bringing rows."""
    if not marked:
        return
    rows = ", ".join(
        f"({literal(entry.path.rsplit('/', 1)[-1])}, {literal(entry.sha256)}, timestamptz {literal(entry.landed_at.isoformat())})"
        for entry in marked
    )
    yield (
        f"select {_nothing(feed, shown)}, _of.file as _source_file, 0::bigint as _source_line, _of.sha as _file_sha256, "
        f"_of.landed as _landed_at, {literal(run_id)} as _run_id from (values {rows}) as _of(file, sha, landed)"
    )


def _as_text(layout: Layout, column: str) -> str:
    """A value as text; of lists and structures their JSON."""
    if not layout.types:
        return quote(column)
    at = layout.columns.index(column)
    name, kind = quote(layout.names[at]), layout.types[at]
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION")):
        return f"to_json({name})::varchar"
    return f"{name}::varchar"
