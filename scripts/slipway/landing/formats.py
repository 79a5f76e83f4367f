"""What the files of a feed look like: the settings by which they are read, and what is wrong with a setting."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from enum import StrEnum


class FileKind(StrEnum):
    """How values are written in a file."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
    XLSX = "xlsx"


class Header(StrEnum):
    """What the first line of a file has to be.

    ``exact``: the contract's names in their order. ``names``: the same names in any order, without regard to case and
    to blanks around them. ``none``: there is no header, and values are those of the contract's columns in order.
    """

    EXACT = "exact"
    NAMES = "names"
    NONE = "none"


@dataclass(frozen=True)
class FileFormat:
    """How files of a feed are read.

    Args:
        kind: what they are.
        delimiter: one character between values of CSV.
        quote: the ASCII character around values that hold a delimiter.
        escape: what stands before a quote inside of a quoted value; the quote itself where it is written twice.
        encoding: of CSV and JSON, by a name that Python knows.
        header: of CSV and XLSX; of JSON and Parquet, how names are compared.
        skip_lines: lines, or rows of a sheet, above the header.
        footer_lines: lines, or rows of a sheet, below the last record.
        sheet: the sheet of an XLSX file; empty for the only one that is visible.
        max_bytes: what a compressed file may come to.
        max_ratio: how many bytes may come out of one byte of a compressed file, once there are many.
    """

    kind: FileKind = FileKind.CSV
    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    encoding: str = "utf-8"
    header: Header = Header.EXACT
    skip_lines: int = 0
    footer_lines: int = 0
    sheet: str = ""
    max_bytes: int = 64 << 30
    max_ratio: int = 250

    @property
    def escapes(self) -> str:
        """The character before a quote inside of a quoted value."""
        return self.escape or self.quote

    @property
    def codec(self) -> str:
        """The name that Python has for the encoding."""
        return codecs.lookup(self.encoding).name.removesuffix("-sig")

    @property
    def is_read_in_place(self) -> bool:
        """Whether DuckDB reads such files as they are, as far as they are not compressed and their lines end alike."""
        if self.kind is FileKind.CSV:
            return self.codec == "utf-8" and not self.skip_lines and not self.footer_lines
        return self.kind is FileKind.PARQUET

    def problem(self) -> str | None:
        """What is wrong with the settings, in one sentence without a full stop; None where nothing is."""
        for what, sign in (("delimiter", self.delimiter), ("quote", self.quote), ("escape", self.escapes)):
            if len(sign) != 1 or sign in "\r\n":
                return f"{what} {sign!r} is not one character of a line"
        if not self.quote.isascii() or self.quote == self.delimiter:
            return f"quote {self.quote!r} is not an ASCII character other than the delimiter"
        if not self.escapes.isascii() or self.escapes == self.delimiter:
            return f"escape {self.escapes!r} is not an ASCII character other than the delimiter"
        try:
            is_text = codecs.lookup(self.encoding)._is_text_encoding
        except LookupError:
            is_text = False
        if not is_text:
            return f"encoding {self.encoding!r} is not known; write utf-8, utf-16, cp1252, iso-8859-15 or another of Python's codecs"
        return None
