"""How the files of a feed are read, from the forms of its samples: one format for all, one name for each column."""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import duckdb

from slipway.contracts.typed_rows import RESERVED
from slipway.counts import plural
from slipway.engines.duckdb.database import open_database
from slipway.errors import ContractError
from slipway.inference.csv_forms import CsvForm, form_of_rows, forms_of
from slipway.inference.findings import FILES, Guess, SetAside
from slipway.inference.texts import SampleText, decoded, read_text
from slipway.landing.content import MalformedError
from slipway.landing.formats import FileFormat, FileKind, Header
from slipway.landing.sheets import rows_of, visible_sheets
from slipway.names import Kind, nearest, twin_key, twins, why_not
from slipway.sql_text import exact, literal

_ENDS = 20  # rows at the end of a sheet that are looked at
_STARTS = 2_000
JSON_NUMBERS = dict.fromkeys(("BIGINT", "UBIGINT", "HUGEINT", "DOUBLE"), "NUMBER")
"""DuckDB's types of JSON's numbers to the one kind that JSON has, because their text is exact."""
_JINJA = ("{{", "{%", "{#")
_LONGEST = 1 << 24  # bytes of a JSON record


@dataclass(frozen=True)
class Sample:
    """One sample.

    Args:
        path: of the file.
        text: what its bytes say.
        form: how it is read; of JSON and Parquet only ``names`` counts.
        sheet: of a workbook.
        kinds: column to the types that its values have; empty where a file has text only.
    """

    path: Path
    text: SampleText
    form: CsvForm
    sheet: str = ""
    kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass
class FeedForm:
    """How files are read, and what their columns are called.

    Args:
        format: one for all files.
        headers: names in files, in their order.
        names: header to the name in models.
        optional: headers that some samples lack.
        guesses: what is not certain.
        set_aside: samples of another form.
        kinds: header to the types of values that the files themselves state, as DuckDB calls them.
    """

    format: FileFormat
    headers: list[str]
    names: dict[str, str]
    optional: set[str] = field(default_factory=set)
    guesses: list[Guess] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    kinds: dict[str, frozenset[str]] = field(default_factory=dict)


def look(path: Path, scratch: Path, connection: duckdb.DuckDBPyConnection) -> list[Sample]:
    """What one sample may be, the likeliest first.

    Raises:
        MalformedError: it cannot be read.
    """
    text = read_text(path, scratch)
    if text.kind is FileKind.PARQUET:
        return [_of_parquet(path, text, connection)]
    if text.kind is FileKind.XLSX:
        return [_of_workbook(path, text)]
    if text.kind is FileKind.JSON:
        return [_of_json(path, text, scratch, connection)]
    forms = forms_of(text.head, text.tail)
    if not forms:
        raise MalformedError("is neither CSV nor JSON lines: its quotes cannot be understood")
    other = _sniffed(text, scratch, connection)
    if other and other != forms[0].delimiter and other in text.head and forms[0].width > 1:
        doubt = f"values are parted by {forms[0].delimiter!r}, and DuckDB's sniffer takes {other!r} for the delimiter"
        forms[0] = replace(forms[0], doubts=(*forms[0].doubts, doubt))
    return [Sample(path, text, form) for form in forms]


def _sniffed(text: SampleText, scratch: Path, connection: duckdb.DuckDBPyConnection) -> str:
    """The delimiter that DuckDB's sniffer finds in the beginning of a file, as a second opinion; empty for none."""
    head = scratch / f"{uuid.uuid4().hex}.csv"
    head.write_text(text.head, encoding="utf-8", newline="")
    try:
        rows = connection.execute(f"select Delimiter from sniff_csv({literal(exact(str(head)))})").fetchall()
    except duckdb.Error:
        return ""
    finally:
        head.unlink()
    return str(rows[0][0])


def _of_parquet(path: Path, text: SampleText, connection: duckdb.DuckDBPyConnection) -> Sample:
    query = f"describe select * from read_parquet({literal(exact(str(path)))}, hive_partitioning = false)"
    try:
        rows = connection.execute(query).fetchall()
    except duckdb.Error as error:
        raise MalformedError(f"cannot be read as Parquet ({type(error).__name__})") from None
    kinds = {str(row[0]): frozenset([str(row[1])]) for row in rows}
    return Sample(path, text, CsvForm(",", names=tuple(kinds), width=len(kinds)), kinds=kinds)


def _of_json(path: Path, text: SampleText, scratch: Path, connection: duckdb.DuckDBPyConnection) -> Sample:
    """Keys of all records in the order in which they occur first, and the kinds of their values."""
    copy = scratch / f"{uuid.uuid4().hex}.jsonl"
    with copy.open("wb") as file:
        file.writelines(decoded(path, text.encoding, scratch))
    query = (
        "select one.key, list(distinct one.type), min(line) from (select json, row_number() over () as line from "
        f"read_ndjson_objects({literal(exact(str(copy)))}, compression = 'uncompressed', maximum_object_size = {_LONGEST})) as rows, "
        "json_each(rows.json) as one group by all order by min(line), arg_min(one.id, line)"
    )
    try:
        rows = connection.execute(query).fetchall()
    except duckdb.Error:
        raise MalformedError("cannot be read as JSON lines, one object on each line") from None
    finally:
        copy.unlink()
    # JSON has one kind of number, and its text is exact
    kinds = {str(row[0]): frozenset(JSON_NUMBERS.get(kind, kind) for kind in row[1]) for row in rows}
    return Sample(path, text, CsvForm(",", names=tuple(kinds), width=len(kinds)), kinds=kinds)


def _of_workbook(path: Path, text: SampleText) -> Sample:
    with path.open("rb") as file:
        found: dict[str, list[tuple[int, list[str]]]] = {}
        for sheet in visible_sheets(file):
            rows = list(rows_of(file, sheet))
            found[sheet] = rows[:_STARTS] + rows[_STARTS:][-_ENDS:]
    sheet = max(found, key=lambda one: len(found[one]), default="")
    if not sheet or not found[sheet]:
        raise MalformedError("has no visible sheet with something in it")
    return Sample(path, text, form_of_rows(found[sheet]), sheet if len(found) > 1 else "")


def combined(samples: Sequence[Sample]) -> FeedForm:
    """One form for all samples of which most agree.

    Raises:
        ContractError: the columns of a file cannot be distinguished.
    """
    kind = _most(sample.text.kind for sample in samples)
    alike = [sample for sample in samples if sample.text.kind is kind]
    apart = [
        SetAside(one.path, f"is {one.text.kind}, and most are {kind}") for one in samples if one not in alike
    ]
    leading = max(alike, key=lambda one: (_agreeing(one, alike), one.form.width))
    form = _compared(leading.form, [one.form for one in alike])
    if not form.names:
        alike = [replace(one, form=replace(one.form, names=())) for one in alike]
        leading = replace(leading, form=form)
    guesses = [Guess(FILES, doubt) for doubt in form.doubts]
    if others := [one.path.name for one in alike if one.form.footer_lines != form.footer_lines]:
        guesses.append(
            Guess(
                FILES,
                f"{_listed(others)} {'ends' if len(others) == 1 else 'end'} with {'fewer' if form.footer_lines else 'more'} lines below the records than "
                f"footerLines {form.footer_lines} says: {'a record would be left out, or the file is cut off' if form.footer_lines else 'it would be set aside'}",
            )
        )
    encoding = _encoding_of(alike, guesses)
    headers, optional, how = _columns(leading, alike)
    skip = form.skip_lines
    if kind in (FileKind.CSV, FileKind.XLSX) and not form.names:
        how = Header.NONE
    elif problem := _unfit(headers):
        if kind not in (FileKind.CSV, FileKind.XLSX):
            raise ContractError(
                "The columns of these files cannot become columns of a table",
                problem,
                "Have the producer rename them",
            )
        how, skip = Header.NONE, skip + 1
        headers, optional = list(form.names), set()
        guesses.append(
            Guess(
                FILES,
                f"columns are taken by their place, and the header is left out as a title (header: none), because {problem}: "
                "a producer who adds or moves a column has to tell you, since landing cannot see it",
            )
        )
    if how is Header.NONE:
        headers = _by_place(form.names, form.width)
    if optional:
        guesses.append(
            Guess(
                FILES,
                f"some samples lack {_listed(sorted(optional))}, so files may lack {'them' if len(optional) > 1 else 'it'} (optional)",
            )
        )
    if how is Header.NAMES:
        guesses.append(
            Guess(
                FILES,
                "columns are taken by name (header: names), because samples have them in another order or spelling",
            )
        )
    style = FileFormat(
        kind=kind,
        delimiter=form.delimiter,
        quote=form.quote,
        escape=form.escape,
        encoding=encoding,
        header=how,
        skip_lines=skip,
        footer_lines=form.footer_lines,
        sheet=leading.sheet,
    )
    if leading.sheet:
        guesses.append(Guess(FILES, f"the sheet {leading.sheet} is read, which has the most rows"))
    kinds = {
        name: frozenset().union(*(one.kinds.get(name, frozenset()) for one in alike)) for name in headers
    }
    return FeedForm(style, headers, model_names(headers), optional, guesses, apart, kinds)


def _compared(form: CsvForm, forms: Sequence[CsvForm]) -> CsvForm:
    """A form whose header is certain as far as other files show: a header is the same in all of them, records are not."""
    others = [one.names for one in forms if one is not form]
    if form.is_sure or not form.names or not others:
        return form
    if all(set(names) == set(form.names) for names in others):
        return replace(
            form, is_sure=True, doubts=tuple(one for one in form.doubts if "for the header" not in one)
        )
    if all(not set(names) & set(form.names) for names in others):
        doubt = "no line is a header, because the first one is another one in each file; columns are named by their place"
        return replace(
            form, names=(), doubts=(*(one for one in form.doubts if "for the header" not in one), doubt)
        )
    return form


def _most(values: Iterable[FileKind]) -> FileKind:
    return Counter(values).most_common(1)[0][0]


def _agreeing(sample: Sample, samples: Sequence[Sample]) -> int:
    def of(one: Sample) -> tuple[object, ...]:
        form = one.form
        return (form.delimiter, form.quote, form.escape, form.skip_lines, form.footer_lines, bool(form.names))

    return sum(of(one) == of(sample) for one in samples)


def _encoding_of(samples: Sequence[Sample], guesses: list[Guess]) -> str:
    """The encoding of all; UTF-8 where one file is that, since other files that are not cannot be taken for it."""
    given = [one.text.encoding for one in samples if not one.text.is_ascii]
    if not given:
        return "utf-8"
    found = "utf-8" if "utf-8" in given else Counter(given).most_common(1)[0][0]
    odd = list(dict.fromkeys(sign for one in samples for sign in one.text.odd))[:8]
    if found in ("cp1252", "cp850"):
        shown = f"; it gives {' '.join(odd)}" if odd else ""
        letters = [sign for one in samples for sign in one.text.head if sign.isalpha()]
        if sum(not sign.isascii() for sign in letters) * 3 > len(letters):
            shown += ", and so many letters with accents that another alphabet is likely"
        guesses.append(
            Guess(
                FILES,
                f"encoding {found}, because the text is not UTF-8, and bytes do not say which alphabet is meant{shown}",
            )
        )
    elif len(set(given)) > 1:
        guesses.append(
            Guess(FILES, f"encoding {found}, and some samples have another one: they would be set aside")
        )
    return found


def _columns(leading: Sample, samples: Sequence[Sample]) -> tuple[list[str], set[str], Header]:
    """Headers of all samples together, those that some lack, and how they are compared."""
    order = [name.strip() for name in leading.form.names]
    spelled = {_plain(name): name for name in order}
    is_exact = all(name == name.strip() for name in leading.form.names)
    shared: list[list[str]] = []
    for sample in samples:
        names = [_plain(name) for name in sample.form.names]
        if order and not set(names) & set(spelled):
            continue  # landing says what is wrong with it
        shared.append(names)
        for at, name in enumerate(names):
            if name not in spelled:
                spelled[name] = sample.form.names[at].strip()
                before = spelled[names[at - 1]] if at and names[at - 1] in spelled else ""
                order.insert(order.index(before) + 1 if before in order else len(order), spelled[name])
        is_exact = is_exact and all(
            spelled[plain] == name for plain, name in zip(names, sample.form.names, strict=True)
        )
    optional = {name for name in order if any(_plain(name) not in names for names in shared)}
    in_order = leading.text.kind in (FileKind.JSON, FileKind.PARQUET) or all(
        [name for name in map(_plain, order) if name in names] == names for names in shared
    )
    return order, optional, Header.EXACT if is_exact and in_order else Header.NAMES


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


def _unfit(headers: Sequence[str]) -> str:
    """Why the headers cannot be the columns of a table; empty where they can."""
    if found := twins(headers):
        first, second = found[0]
        return f"two columns are called {first}" + (
            "" if first == second else f" and {second}, which is one name"
        )
    if found := twins([_plain(name) for name in headers]):
        return f"two columns are called {found[0][0]}"
    for at, name in enumerate(headers, 1):
        if why := why_not(Kind.COLUMN, name):
            return f"column {at} has no name" if not name else f"column {at} cannot have its name: {why}"
        if any(sign in name for sign in _JINJA):
            return f"column {at} is called {name}, which dbt would take for Jinja"
        if name.lower() in RESERVED and name.startswith("_"):
            return f"column {at} is called {name}, as raw calls a column of its own"
    return ""


def _by_place(names: Sequence[str], width: int) -> list[str]:
    """A header for columns that are taken by their place, without two that are the same."""
    found: list[str] = []
    for at in range(width):
        given = re.sub("[{}]", "", names[at]) if at < len(names) else ""
        name = nearest(Kind.COLUMN, given.strip()) if given.strip() else f"column_{at + 1}"
        name = f"{name.lstrip('_')}_of_file" if name.lower() in RESERVED and name.startswith("_") else name
        found.append(_unused(name, found))
    return found


def model_names(headers: Sequence[str]) -> dict[str, str]:
    """Names for models: lower-case words of ASCII that SQL does not reserve."""
    found: dict[str, str] = {}
    for at, header in enumerate(headers, 1):
        found[header] = _unused(_model_name(header, at), list(found.values()))
    return found


def _model_name(header: str, at: int) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", header)
    name = nearest(Kind.TABLE, f"x {words}").removeprefix("x").lower()
    name = re.sub(r"[^a-z0-9]+", "_", name).strip("_")
    if not name or (not any(sign.isascii() and sign.isalnum() for sign in _spelled(header))):
        return f"column_{at}"
    if name[0].isdigit():
        return f"column_{name}"
    return f"{name}_value" if name in RESERVED or is_keyword(name) else name


def _spelled(text: str) -> str:
    return unicodedata.normalize(
        "NFKD", text.replace("ß", "ss").replace("ø", "o").replace("æ", "ae").replace("ł", "l")
    )


def is_keyword(name: str) -> bool:
    """Whether SQL of DuckDB, or of the engines that read its tables, gives a word another meaning than a column's."""
    return name in _keywords()


@cache
def _keywords() -> frozenset[str]:
    query = (
        "select keyword_name from duckdb_keywords() where keyword_category in ('reserved', 'type_function')"
    )
    with open_database() as connection:
        return frozenset(str(row[0]) for row in connection.execute(query).fetchall())


def _unused(name: str, taken: Sequence[str]) -> str:
    known = {twin_key(one) for one in taken}
    found, number = name, 2
    while twin_key(found) in known:
        found, number = f"{name}_{number}", number + 1
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {plural(len(names) - 8, 'more', 'more')}" if len(names) > 8 else "")
