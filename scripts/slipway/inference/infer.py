"""From samples to a feed: how files are read, what columns hold, which ones identify rows; and proof that every row of the samples fits.

The result is tried before it is given back: landing reads every sample with it, and every row is typed by the SQL that models use. A column whose
values do not all have the type that was chosen stays text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from slipway.contracts.model import Contract
from slipway.contracts.typed_rows import typed_sql
from slipway.counts import plural
from slipway.engines.duckdb.database import open_database
from slipway.errors import ContractError
from slipway.inference.column_facts import facts_of
from slipway.inference.column_types import judged
from slipway.inference.contract_of import contract_of, rule_of
from slipway.inference.findings import FILES, ROWS, Guess, InferredColumn, InferredFeed, SetAside
from slipway.inference.form import FeedForm, Sample, combined, look
from slipway.inference.nested import nested, nested_kind
from slipway.inference.raw_rows import RAW, Loaded, load
from slipway.inference.row_keys import repeated_rows, row_key
from slipway.inference.sample_files import name_pattern
from slipway.inference.value_types import Conventions, Facts, conventions
from slipway.landing.content import MalformedError
from slipway.landing.feeds import Feed
from slipway.landing.formats import FileKind
from slipway.processes import remove_left_over, temporary
from slipway.sql_text import quote

_FEW = 20  # rows from which on it is reported that a value is always there


def infer(name: str, paths: Sequence[Path]) -> InferredFeed:
    """The feed that samples belong to.

    Args:
        name: of the feed.
        paths: absolute ones of samples; nothing is written next to them.

    Raises:
        ContractError: no sample can be read, or its columns cannot be columns of a table.
    """
    remove_left_over("samples")
    with temporary("samples") as scratch, open_database(str(scratch / "samples.duckdb")) as connection:
        connection.execute("set TimeZone = 'UTC'")
        return _infer(name, paths, scratch, connection)


def _infer(
    name: str, paths: Sequence[Path], scratch: Path, connection: duckdb.DuckDBPyConnection
) -> InferredFeed:
    samples: list[list[Sample]] = []
    aside: list[SetAside] = []
    for path in paths:
        try:
            samples.append(look(path, scratch, connection))
        except (MalformedError, OSError) as error:
            aside.append(SetAside(path, str(error)))
    if not samples:
        raise _nothing(aside)
    form, loaded = _read(name, samples, scratch, connection)
    aside += [*form.set_aside, *loaded.set_aside]
    if not loaded.files:
        raise _nothing(aside)
    facts = {
        header: facts_of(connection, quote(header), RAW, form.kinds.get(header, frozenset()))
        for header in form.headers
    }
    feed = conventions(list(facts.values()))
    guesses = list(form.guesses)
    columns = [_column(connection, form, header, facts[header], feed, guesses) for header in form.headers]
    found = InferredFeed(
        name,
        form.format,
        name_pattern([path.name for path in loaded.files]),
        columns,
        decimal_mark=feed.marks.decimal,
        thousands_mark=feed.marks.groups,
        files=loaded.files,
        rows=loaded.rows,
        set_aside=aside,
    )
    found = _all_rows_fit(connection, found, guesses)
    found = _with_key(connection, found, facts, guesses)
    guesses += _of_files(found, feed)
    order = {name: at for at, name in enumerate((*(column.name for column in columns), ROWS, FILES))}
    return replace(found, guesses=sorted(guesses, key=lambda one: order[one.about]))


def _nothing(aside: Sequence[SetAside]) -> ContractError:
    first = aside[0]
    more = (
        f" ({plural(len(aside) - 1, 'more file', 'cannot', 'cannot')} be read, either)"
        if len(aside) > 1
        else ""
    )
    return ContractError(
        f"{first.path.name} cannot be read{more}", first.reason, "Correct the samples, or name others"
    )


def _read(
    name: str, samples: Sequence[Sequence[Sample]], scratch: Path, connection: duckdb.DuckDBPyConnection
) -> tuple[FeedForm, Loaded]:
    """The form by which landing takes most rows: the likeliest one, unless it takes no file."""
    paths = [forms[0].path for forms in samples]
    best: tuple[FeedForm, Loaded] | None = None
    for at in range(max(len(forms) for forms in samples)):
        form = combined([forms[min(at, len(forms) - 1)] for forms in samples])
        loaded = _loaded(name, form, paths, scratch, connection)
        if not loaded.files and form.format.footer_lines:
            # what was taken for lines below the records may be a file that was cut off
            form.format = replace(form.format, footer_lines=0)
            form.guesses = [one for one in form.guesses if "footerLines" not in one.text]
            loaded = _loaded(name, form, paths, scratch, connection)
        if best is None or len(loaded.files) > len(best[1].files):
            best = form, loaded
        if len(best[1].files) == len(paths):
            break
    assert best is not None
    if best[1].files and len(best[1].files) < len(paths):
        best = best[0], _loaded(name, best[0], paths, scratch, connection)
    return best


def _loaded(
    name: str, form: FeedForm, paths: Sequence[Path], scratch: Path, connection: duckdb.DuckDBPyConnection
) -> Loaded:
    feed = Feed(name, form.headers, format=form.format, optional=sorted(form.optional))
    apart = {one.path for one in form.set_aside}
    return load(feed, [path for path in paths if path not in apart], scratch, connection)


def _column(
    connection: duckdb.DuckDBPyConnection,
    form: FeedForm,
    header: str,
    facts: Facts,
    feed: Conventions,
    guesses: list[Guess],
) -> InferredColumn:
    name = form.names[header]
    kinds = form.kinds.get(header, frozenset())
    found = judged(name, facts, feed)
    decision, doubts = found.decision, list(found.doubts)
    is_trimmed = decision.logical_type != "string" or not facts.padded
    if not is_trimmed:
        doubts.append(f"{plural(facts.padded, 'value')} with blanks around: they are kept (trim: false)")
    column = InferredColumn(
        name=name,
        header=header,
        logical_type=decision.logical_type,
        physical_type=decision.physical_type,
        options=dict(decision.options),
        required=facts.filled == facts.rows >= _FEW
        and not decision.null_values
        and header not in form.optional,
        is_optional=header in form.optional,
        null_values=decision.null_values,
        is_trimmed=is_trimmed,
        classification=found.personal.classification if found.personal else "",
        guards=decision.guards,
    )
    if facts.filled and (kind := nested_kind(kinds)):
        described = nested(connection, column, kind, feed)
        column, doubts = described.column, list(described.doubts)
    guesses += [Guess(name, doubt) for doubt in doubts]
    return column


def _all_rows_fit(
    connection: duckdb.DuckDBPyConnection, found: InferredFeed, guesses: list[Guess]
) -> InferredFeed:
    """The feed with text for every column of which a row does not have the type that was chosen."""
    while broken := _broken(connection, contract_of(found)):
        by_rule = {
            rule_of(column, rule): column for column in found.columns for rule in ("type", "missing", "guard")
        }
        wrong = {by_rule[rule].name: count for rule, count in broken.items() if rule in by_rule}
        assert wrong, broken
        guesses += [
            Guess(
                name,
                f"it stays text, because {plural(count, 'row')} cannot be read as the type that its other values have",
            )
            for name, count in wrong.items()
        ]
        columns = [
            replace(
                one,
                logical_type="string",
                physical_type="",
                options={},
                required=False,
                null_values=(),
                guards=False,
                inside=(),
            )
            if one.name in wrong
            else one
            for one in found.columns
        ]
        found = replace(found, columns=columns)
    return found


def _broken(connection: duckdb.DuckDBPyConnection, contract: Contract) -> Mapping[str, int]:
    """Rule to how many rows of the samples break it."""
    query = f"select rule_id, count(*) from ({typed_sql(contract, RAW)}) where rule_id is not null group by rule_id"
    return dict(connection.execute(query).fetchall())


def _with_key(
    connection: duckdb.DuckDBPyConnection,
    found: InferredFeed,
    facts: Mapping[str, Facts],
    guesses: list[Guess],
) -> InferredFeed:
    repeated, in_one_file = repeated_rows(connection, [one.header for one in found.columns])
    if repeated:
        text = f"{plural(repeated, 'row', 'repeat', 'repeats')} another one in all columns; curated keeps them all"
        if not in_one_file:
            text += ". All of these are rows of other files: if each file has everything, write fileMode full"
        guesses.append(Guess(ROWS, text))
        return found
    key = row_key(connection, found.columns, facts)
    if key:
        guesses.append(
            Guess(ROWS, f"{' and '.join(key)} {'tells' if len(key) == 1 else 'together tell'} all {found.rows:,} rows apart, and "
            f"{'is' if len(key) == 1 else 'are'} the primary key; a test warns when later rows repeat it")
        )  # fmt: skip
    columns = [replace(one, required=one.required or one.name in key) for one in found.columns]
    return replace(found, columns=columns, key=key)


def _of_files(found: InferredFeed, feed: Conventions) -> Iterable[Guess]:
    if feed.doubt:
        yield Guess(FILES, feed.doubt)
    if feed.marks.decimal != "." or feed.marks.groups:
        groups = f", thousandsMark {feed.marks.groups!r}" if feed.marks.groups else ""
        yield Guess(
            FILES,
            f"numbers are read with decimalMark {feed.marks.decimal!r}{groups}, because some can be read in no other way",
        )
    names = [one.name for one in found.columns if one.required and one.name not in found.key]
    if names:
        listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        yield Guess(
            ROWS,
            f"{listed} {'is' if len(names) == 1 else 'are'} required, because none of {found.rows:,} rows lacks a value",
        )
    if found.pattern != "*":
        yield Guess(FILES, f"files are called {found.pattern}; others would be set aside")
    if found.format.kind is FileKind.CSV and not found.rows:
        yield Guess(ROWS, "the samples have no rows, so that all columns are text")
