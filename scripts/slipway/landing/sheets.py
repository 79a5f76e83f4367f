"""Sheets of XLSX files as CSV: what a cell shows is written as text, row by row.

Source of the format: ECMA-376, part 1, SpreadsheetML. openpyxl reads it as a stream, with the results of formulas as they
were stored when the workbook was saved.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import warnings
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any
from xml.etree.ElementTree import ParseError

from slipway.landing.content import MalformedError, check_sizes, is_zip, opened_zip
from slipway.landing.formats import FileFormat, Header

_AT_ONCE = 1000  # rows
_LEAP_DAY = 60
_NO_DATES = {0: "1900-01-00", _LEAP_DAY: "1900-02-29"}
_BRACKETS = re.compile(r"\[[^\]]*\]")  # colours and conditions of a number format
_MILLISECONDS = 86_400_000  # of a day
_DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    ParseError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    EOFError,
    OSError,
)


def sheet_as_csv(file: Any, style: FileFormat, columns: int, sink: Callable[[bytes], object]) -> None:
    """Write a sheet as CSV with commas, double quotes and LF, no row shorter than the header.

    Rows without any value are left out, and so are the lines above the header and below the last record.

    Args:
        file: the workbook, readable in any order.
        style: which sheet, and how many lines are none of its records.
        columns: how many the contract has.
        sink: takes UTF-8.

    Raises:
        MalformedError: it is no workbook, or it is not clear which sheet is meant; or a formula has no stored result.
    """
    start = file.read(4)
    file.seek(0)
    if not is_zip(start):
        raise MalformedError("is no .xlsx workbook, and the contract says xlsx: set the format of the server")
    archive = opened_zip(file)
    if "xl/workbook.xml" not in archive.namelist():
        raise MalformedError(
            "is a zip archive without a workbook in it: the producer has to send the workbook itself"
        )
    check_sizes(archive.infolist(), style)
    try:
        _write(file, archive, style, columns, sink)
    except _DAMAGES as error:
        raise MalformedError(
            f"is damaged: the workbook cannot be read ({type(error).__name__}): the producer has to send it again"
        ) from None


def visible_sheets(file: Any) -> list[str]:
    """Names of the sheets of a workbook that are not hidden.

    Raises:
        MalformedError: the workbook is damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = _workbook(file, results=True)
            return [sheet.title for sheet in book.worksheets if sheet.sheet_state == "visible"]
    except _DAMAGES as error:
        raise MalformedError(f"is damaged: the workbook cannot be read ({type(error).__name__})") from None


def rows_of(file: Any, sheet: str) -> Iterator[tuple[int, list[str]]]:
    """Rows of a sheet that are not empty, as text without empty cells at the end, with their numbers from 1.

    Raises:
        MalformedError: the workbook is damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = _workbook(file, results=True)[sheet]
            found.reset_dimensions()
            for number, cells in enumerate(found.iter_rows(), 1):
                if row := _filled(cells):
                    yield number, row
    except _DAMAGES as error:
        raise MalformedError(f"is damaged: the workbook cannot be read ({type(error).__name__})") from None


def _filled(cells: Any) -> list[str]:
    """The cells of a row as text, without empty ones at its end."""
    row = [_text(cell) for cell in cells]
    while row and not row[-1]:
        row.pop()
    return row


def _write(
    file: Any, archive: zipfile.ZipFile, style: FileFormat, columns: int, sink: Callable[[bytes], object]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and extensions that have no values
        book = _workbook(file, results=True)
        sheet = _sheet(book, style)
        sheet.reset_dimensions()  # what a writer noted there need not be so
        if _has_formulas(archive, sheet):
            _check_results(file, sheet)
        rows = _records(sheet, style)
        width = columns if style.header is Header.NONE else 0
        while block := [row for _, row in zip(range(_AT_ONCE), rows, strict=False)]:
            text = io.StringIO(newline="")
            for row in block:
                width = width or len(row)
                csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(
                    row + [""] * (width - len(row))
                )
            sink(text.getvalue().encode())


def _workbook(file: Any, *, results: bool) -> Any:
    """A workbook that is read row by row, with results of formulas or with the formulas themselves."""
    from openpyxl import load_workbook  # type: ignore[import-untyped]

    book = load_workbook(file, read_only=True, data_only=results, keep_links=False)
    # numbers stay what they are, because two of them would become one date: see _date
    book._date_formats, book._timedelta_formats = frozenset(), frozenset()
    return book


def _sheet(book: Any, style: FileFormat) -> Any:
    names = [sheet.title for sheet in book.worksheets]
    if style.sheet:
        if style.sheet not in names:
            raise MalformedError(
                f"has no sheet {style.sheet}, but {', '.join(names)[:200] or 'none'}: correct sheet in the contract, "
                "or have the producer name it so"
            )
        return book[style.sheet]
    visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    if len(visible) != 1:
        raise MalformedError(
            f"has {len(visible)} visible sheets ({', '.join(sheet.title for sheet in visible)[:200]}): "
            "say which in the contract, as in sheet: Data"
        )
    return visible[0]


def _records(sheet: Any, style: FileFormat) -> Iterator[list[str]]:
    held: deque[list[str]] = deque()
    for number, cells in enumerate(sheet.iter_rows()):
        if number < style.skip_lines:
            continue
        if not (row := _filled(cells)):
            continue
        held.append(row)
        if len(held) > style.footer_lines:
            yield held.popleft()


def _text(cell: Any) -> str:
    """A value as text: dates as ISO 8601 writes them, numbers with as many digits as distinguish them."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) and _is_date(cell.number_format):
        value = _date(value, cell)
    if isinstance(value, dt.datetime):
        is_date = "h" not in _shown(cell.number_format) and value.time() == dt.time()
        return value.date().isoformat() if is_date else value.isoformat(sep=" ")
    if isinstance(value, dt.timedelta):
        seconds = value.total_seconds()
        whole = int(abs(seconds))
        sign = "-" if seconds < 0 else ""
        return f"{sign}{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
    return value.isoformat() if isinstance(value, dt.date | dt.time) else str(value)


@cache
def _is_date(number_format: str) -> bool:
    from openpyxl.styles.numbers import is_date_format  # type: ignore[import-untyped]

    return bool(is_date_format(number_format))


def _date(serial: float, cell: Any) -> dt.datetime | dt.time | dt.timedelta | str:
    """The date or time that a number with the format of one is shown as.

    Days count from 1900-01-01, which is 1, and a 60th one, 1900-02-29, is counted that there was not. Excel shows it, and 0 as 1900-01-00; both are no dates and stay
    what is shown, so that their rows are set aside by the type of the column instead of getting the date of another number.

    Source: ECMA-376, part 1, 18.17.4.1, the date system 1900 with its leap year.
    """
    from openpyxl.styles.numbers import is_timedelta_format
    from openpyxl.utils.datetime import WINDOWS_EPOCH  # type: ignore[import-untyped]

    epoch = cell.parent.parent.epoch
    if is_timedelta_format(cell.number_format):
        return _from_excel(serial, epoch, is_span=True)
    day, rest = divmod(round(serial * _MILLISECONDS), _MILLISECONDS)
    shown = _BRACKETS.sub("", _shown(cell.number_format))
    has_day = "y" in shown or "d" in shown
    if epoch != WINDOWS_EPOCH:  # from 1904-01-01 on, which is 0
        is_first = day == 0 and has_day
        return epoch + dt.timedelta(milliseconds=rest) if is_first else _from_excel(serial, epoch)
    if serial < 0:
        return str(serial)  # Excel shows no date for it
    if day == _LEAP_DAY or (day == 0 and has_day):
        time = (dt.datetime(2000, 1, 1) + dt.timedelta(milliseconds=rest)).time()
        return _NO_DATES[day] + (f" {time.isoformat()}" if rest or "h" in shown else "")
    return _from_excel(serial, epoch)


def _from_excel(
    serial: float, epoch: Any, *, is_span: bool = False
) -> dt.datetime | dt.time | dt.timedelta | str:
    from openpyxl.utils.datetime import from_excel

    try:
        found: dt.datetime | dt.time | dt.timedelta = from_excel(serial, epoch, timedelta=is_span)
    except (OverflowError, ValueError):
        return "#VALUE!"
    return found


def _shown(number_format: str) -> str:
    """A number format without what it says literally."""
    return "".join(number_format.lower().split('"')[::2])


def _has_formulas(archive: zipfile.ZipFile, sheet: Any) -> bool:
    """Whether there is any, without reading cells."""
    rest = b""
    with archive.open(sheet._worksheet_path) as stream:
        while block := stream.read(1 << 20):
            if b"<f>" in (found := rest + block) or b"<f " in found or b"<f/" in found:
                return True
            rest = block[-2:]
    return False


def _check_results(file: Any, sheet: Any) -> None:
    """Refuse formulas without a stored result: their cells would be read as if they were empty."""
    formulas = _workbook(file, results=False)[sheet.title]
    formulas.reset_dimensions()
    for shown, written in zip(sheet.iter_rows(), formulas.iter_rows(), strict=True):
        for one, other in zip(shown, written, strict=True):
            if one.value is None and other.value is not None and other.data_type == "f":
                raise MalformedError(
                    f"has a formula without a result in cell {other.coordinate}: open the workbook, have it computed and save "
                    "it, or have the producer write values"
                )
