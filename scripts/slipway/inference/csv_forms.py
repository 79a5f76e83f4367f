"""The form of a CSV file, from its beginning and its end: delimiter, quote, escape, title lines, header, lines below the records.

Nothing here is final: landing's own reader and DuckDB read the whole file afterwards, and have to agree.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from slipway.counts import plural

_DELIMITERS = (",", ";", "\t", "|", "^", "~", " ")
_SEPARATOR = "\x1f"  # of units, which no text has
_EXCEL = "sep="  # begins a line in which Excel notes the delimiter
_MOST_FOOTERS = 10
_LONGEST_NAME, _MOST_WORDS = 60, 6  # of the name of a column
_LOOKED_AT = 5_000  # records of the head
_TYPED = re.compile(
    r"[+-]?[0-9][0-9.,' _]*([eE][+-]?[0-9]+)?%?|[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}([ T].*)?"
    r"|[0-9]{1,2}:[0-9]{2}(:[0-9.,]+)?|true|false",
    re.IGNORECASE,
)
"""What is no name of a column but a value."""
_YEAR = re.compile("(19|20)[0-9]{2}")
_TOTAL = re.compile(
    r"\W*(grand |sub)?(totals?|sum(me|s)?|gesamt|rows?|records?|count|anzahl|end( of .*)?|eof|source|quelle|notes?|generated|report)\b.*"
    r"|\W*[0-9,.]+ (rows?|records?|zeilen|lines?)\b.*|©.*|\*.*",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Record:
    """Values of a record, and the physical line that it begins on, from 1."""

    line: int
    values: tuple[str, ...]

    @property
    def filled(self) -> int:
        """How many values are not empty."""
        return sum(1 for value in self.values if value.strip())


@dataclass(frozen=True)
class CsvForm:
    """How a CSV file is read.

    Args:
        delimiter: between values.
        quote: around values.
        escape: before a quote inside of a value; empty where it is written twice.
        skip_lines: lines above the header, or above the first record where there is no header.
        footer_lines: lines below the last record.
        names: the header; empty where there is none.
        width: how many columns there are.
        is_sure: whether the values prove that there is a header, or none.
        doubts: what is not certain, a sentence each.
    """

    delimiter: str
    quote: str = '"'
    escape: str = ""
    skip_lines: int = 0
    footer_lines: int = 0
    names: tuple[str, ...] = ()
    width: int = 1
    is_sure: bool = True
    doubts: tuple[str, ...] = ()


def forms_of(head: str, tail: str) -> list[CsvForm]:
    """Forms that a text may have, the likeliest first.

    Args:
        head: the beginning, whole lines.
        tail: the end, from the beginning of a line on; empty where ``head`` is all.
    """
    scored = [
        (*_score(records, delimiter), delimiter, quote, escape, records)
        for quote, escape in _quotations(head)
        for delimiter in _DELIMITERS
        if (delimiter in head or delimiter == ",") and (records := _read(head, delimiter, quote, escape))
    ]
    scored.sort(key=lambda one: one[:3], reverse=True)
    found = [
        _form(Quotation(delimiter, quote, escape), records, head, tail)
        for *_, delimiter, quote, escape, records in scored
    ]
    if not scored or scored[0][0] * 10 < 6 * len(scored[0][-1]):
        # lines of text, of which no sign makes columns
        unused = next((sign for sign in _DELIMITERS if sign not in head), _SEPARATOR)
        if records := _read(head, unused, '"', ""):
            found.insert(0, _form(Quotation(unused), records, head, tail))
    # with another delimiter a file whose quotes are wrong would have other columns
    return [form for form in found if form.delimiter == found[0].delimiter]


def form_of_rows(rows: Sequence[tuple[int, Sequence[str]]]) -> CsvForm:
    """The form of a sheet, of which every row has as many cells as the longest.

    Args:
        rows: those at the beginning and at the end that are not empty, with their numbers from 1.
    """
    width = max(len(values) for _, values in rows)
    records = [Record(line, (*values, *[""] * (width - len(values)))) for line, values in rows]
    first = _first(records, width)
    footers = 0
    while (
        footers < _MOST_FOOTERS
        and _is_footer(records[-1 - footers].values, width)
        and len(records) - footers > first + 2
    ):
        footers += 1
    table = records[first : len(records) - footers]
    header = _has_header(table)
    has_header = header.is_there
    doubts = [header.doubt] if header.doubt else []
    if footers:
        doubts.append(
            f"{'the last row is' if footers == 1 else f'the last {footers} rows are'} left out as no record (footerLines)"
        )
    if skipped := table[0].line - 1:
        doubts.append(
            f"{plural(skipped, 'row', 'are', 'is')} left out above the {'header' if has_header else 'first record'} (skipLines)"
        )
    return CsvForm(
        ",",
        '"',
        "",
        skipped,
        footers,
        table[0].values if has_header else (),
        width,
        header.is_sure,
        tuple(doubts),
    )


class Quotation(NamedTuple):
    """Signs that part values."""

    delimiter: str
    quote: str = '"'
    escape: str = ""


def _width(records: Sequence[Record]) -> int:
    """The number of values that most records have, if they have more than one."""
    widths = Counter(len(record.values) for record in records)
    return max(widths, key=lambda one: (widths[one] * (one > 1), one))


def _quotations(head: str) -> list[tuple[str, str]]:
    found = [('"', "")]
    if '\\"' in head:
        found.append(('"', "\\"))
    if re.search(r"(^|[,;\t|])'[^'\n]*'([,;\t|]|$)", head, re.MULTILINE):
        found.append(("'", ""))
    return found


def _read(text: str, delimiter: str, quote: str, escape: str) -> list[Record]:
    """The records of a text, up to one that cannot be read so."""
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quotechar=quote,
        escapechar=escape or None,
        strict=True,
    )
    found, line = [], 1
    try:
        for values in reader:
            if values:
                found.append(Record(line, tuple(values)))
            line = reader.line_num + 1
            if len(found) >= _LOOKED_AT:
                break
    except csv.Error:
        return found
    return found


def _score(records: Sequence[Record], delimiter: str) -> tuple[int, int, int]:
    """How many records have the same number of values, how few of them hold another delimiter, and how many values they have."""
    width = _width(records)
    alike = [record for record in records if len(record.values) == width]
    others = [sign for sign in (";", "\t", "|") if sign != delimiter]
    mixed = sum(any(sign in value for sign in others for value in record.values) for record in alike)
    if delimiter == " ":  # words are parted by it in every text
        mixed += sum("," in value for record in alike for value in record.values)
        return (len(alike) - 1 if width > 3 and len(alike) == len(records) else 0, -mixed, width)
    return (len(alike) if width > 1 else 0, -mixed, width)


def _first(records: Sequence[Record], width: int) -> int:
    """Which record is the first one of the table: titles are shorter, leave most values empty, or have a blank line below them."""
    least = min(width, 3) - 1
    first = next(
        (
            at
            for at, one in enumerate(records)
            if len(one.values) == width and one.filled * 2 > least and not _is_note(records[at : at + 2])
        ),
        0,
    )
    for at in range(first + 1, min(first + 6, len(records) - 1)):
        above = records[at - 1]
        lines = 1 + sum(value.count("\n") for value in above.values)
        is_apart = records[at].line - above.line > lines or above.values[0].startswith("#")
        if is_apart and not _headed(records[at - 1 :]) and _headed(records[at:]):
            return at
    return first


def _is_note(records: Sequence[Record]) -> bool:
    """Whether the first of two records is what Excel notes of the delimiter, or a comment above another one."""
    starts = [one.values[0].lower() for one in records]
    return starts[0] == _EXCEL or (len(starts) > 1 and all(one.startswith("#") for one in starts))


def _headed(records: Sequence[Record]) -> bool:
    """Whether the first record has words where all others have values such as numbers, and no such value itself."""
    first, rest = (
        records[0].values,
        [one for one in records[1:501] if len(one.values) == len(records[0].values)],
    )
    return (
        bool(rest)
        and not any(_TYPED.fullmatch(value.strip()) for value in first)
        and any(
            all(_TYPED.fullmatch(one.values[at].strip()) for one in rest if one.values[at].strip())
            and any(one.values[at].strip() for one in rest)
            for at in range(len(first))
        )
    )


def _form(how: Quotation, records: Sequence[Record], head: str, tail: str) -> CsvForm:
    width = _width(records)
    table = records[_first(records, width) :]
    doubts = []
    footers = _footers(table, width, head) if not tail else _footers_of(tail, width, how)
    if footers:
        doubts.append(
            f"the last {'line is' if footers == 1 else f'{footers} lines are'} left out as no record (footerLines), "
            "because it has fewer values or begins as a total does"
        )
    kept = [one for one in table if len(one.values) == width]
    header = _has_header(kept)
    has_header = header.is_there
    doubts += [header.doubt] if header.doubt else []
    skipped = kept[0].line - 1
    if skipped:
        above = "\n".join(head.splitlines()[:skipped])
        what = "header" if has_header else "first record"
        doubts.append(
            f"{plural(skipped, 'line', 'are', 'is')} left out above the {what} (skipLines): {_shown(above)}"
        )
    names = kept[0].values if has_header else ()
    return CsvForm(
        how.delimiter, how.quote, how.escape, skipped, footers, names, width, header.is_sure, tuple(doubts)
    )


def _shown(text: str) -> str:
    return repr(" / ".join(line.strip() for line in text.splitlines() if line.strip())[:80])


def _footers(table: Sequence[Record], width: int, head: str) -> int:
    """How many lines at the end are no records; 0 where the file may just be cut off."""
    last = len(table)
    while last > 1 and len(table) - last < _MOST_FOOTERS and _is_footer(table[last - 1].values, width):
        last -= 1
    below = table[last:]
    if not below or last < 2 or len(table[last - 1].values) != width:
        return 0
    is_cut = not head.endswith(("\n", "\r")) and not any(
        _TOTAL.fullmatch(one.values[0].strip()) for one in below
    )
    return 0 if is_cut else len(head.rstrip("\r\n").splitlines()) - below[0].line + 1


def _footers_of(tail: str, width: int, how: Quotation) -> int:
    """The same for a file of which only the end is known."""
    below: list[Sequence[str]] = []
    for line in reversed(tail.rstrip("\r\n").splitlines()):
        records = _read(line, how.delimiter, how.quote, how.escape)
        if len(below) == _MOST_FOOTERS or (records and not _is_footer(records[0].values, width)):
            break
        below.append(records[0].values if records else ())
    is_cut = not tail.endswith(("\n", "\r")) and not any(
        one and _TOTAL.fullmatch(one[0].strip()) for one in below
    )
    return 0 if is_cut or len(below) == _MOST_FOOTERS else len(below)


def _is_footer(values: Sequence[str], width: int) -> bool:
    """Whether these are no values of a record: a single text, or one that says that the others are a total.

    Two values or more without such a word may be a record that is cut off.
    """
    filled = [value.strip() for value in values if value.strip()]
    if len(values) == width and (width == 1 or len(filled) == width):
        return False
    is_single = len(filled) <= 1 and 2 < width != len(values)
    return len(values) <= width and (is_single or bool(_TOTAL.fullmatch(filled[0] if filled else "")))


class _Header(NamedTuple):
    """Whether the first record is a header, whether its values prove that, and what is not certain."""

    is_there: bool
    is_sure: bool = False
    doubt: str = ""


def _has_header(records: Sequence[Record]) -> _Header:
    """A record that is taken for a header is no row any more; so it is none where it may be one."""
    first, rest = records[0].values, records[1:501]
    typed = [at for at, value in enumerate(first) if _TYPED.fullmatch(value.strip())]
    if not rest:
        doubt = "there is one line, and its values are no names: it is a record, and there is no header"
        return _Header(not typed, not typed, doubt if typed else "")
    differs = any(at not in typed and _is_typed(rest, at) for at in range(len(first)))
    if (differs or typed) and all(_is_year(first[at]) and not _is_year(rest[0].values[at]) for at in typed):
        named = ", ".join(first[at] for at in typed)
        return _Header(True, not typed, f"the header has names that may be values: {named}" if typed else "")
    if typed:
        return _Header(
            False,
            True,
            "no line is a header, because the first one has values; columns are named by their place",
        )
    if any(
        value.strip() and value in {record.values[at] for record in rest} for at, value in enumerate(first)
    ):
        why = "the first one has values that occur below"
        return _Header(False, True, f"no line is a header, because {why}; columns are named by their place")
    if any(len(value) > _LONGEST_NAME or len(value.split()) > _MOST_WORDS for value in first):
        return _Header(
            False,
            False,
            "no line is a header, because the first one has sentences; columns are named by their place",
        )
    return _Header(
        True,
        False,
        "the first line is taken for the header, and all columns are text: make sure that it is no record",
    )


def _is_year(text: str) -> bool:
    """Whether a text is a year, as columns by year are called."""
    return bool(_YEAR.fullmatch(text.strip()))


def _is_typed(records: Sequence[Record], at: int) -> bool:
    values = [
        record.values[at].strip()
        for record in records
        if at < len(record.values) and record.values[at].strip()
    ]
    return bool(values) and sum(bool(_TYPED.fullmatch(value)) for value in values) * 10 >= len(values) * 9
