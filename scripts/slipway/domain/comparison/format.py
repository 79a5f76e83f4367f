"""Numbers, values and tables of a comparison as people read them."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from slipway.domain.comparison.records import ColumnComparison
from slipway.domain.texts import visible

_MAX_VALUE = 60
_MAX_WORDS = 300
_UNIT = 1024
_EXPONENT_FROM = 1e15
_NOTIFYING = re.compile(r"([@#])(?=\w)")
_MARKDOWN_SIGNS = re.compile(r"([\\`*_\[\]<>|#~&])")


@dataclass(frozen=True)
class Style:
    """How text of a table or of a person goes into a report: as Markdown, or as it is."""

    markdown: bool

    def value(self, text: str | None) -> str:
        """A value or an identifier, on one line and cut to 60 characters."""
        if text is None:
            return "NULL"
        shown = "".join(" " if unicodedata.category(sign) in {"Cc", "Zl", "Zp"} else sign for sign in text)
        shown = visible(shown)
        if len(shown) > _MAX_VALUE:
            shown = shown[: _MAX_VALUE - 1] + "…"
        if not self.markdown:
            return shown if shown.strip() else f"'{shown}'"
        if not shown.strip():
            return f"'{shown}'"
        # a code span ends at a run of as many backticks as began it
        fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
        space = " " if shown[0] == "`" or shown[-1] == "`" else ""
        # A table cell ends at a bare pipe even inside a code span.
        return f"{fence}{space}{shown}{space}{fence}".replace("|", "\\|")

    def words(self, text: str) -> str:
        """A sentence, on one line and cut to 300 characters, in which nothing is read as Markdown."""
        text = visible(" ".join(text.split()))
        if len(text) > _MAX_WORDS:
            text = text[: _MAX_WORDS - 1] + "…"
        if not self.markdown:
            return text
        text = _MARKDOWN_SIGNS.sub(r"\\\1", text)
        # GitHub makes mentions, references and links of plain text, too, and of what is escaped
        return _NOTIFYING.sub("\\1\u2060", text.replace("://", ":\\/\\/").replace("www.", "www\\."))

    def strong(self, text: str) -> str:
        """An emphasised word."""
        return f"**{text}**" if self.markdown else text


def count(number: int | None) -> str:
    """A whole number with separators; a dash where there is none."""
    return "-" if number is None else f"{number:,}"


def match_rate(rate: float | None) -> str:
    """A share in per cent, rounded down, so that 100 % means all of them."""
    if rate is None:
        return "-"
    percent = math.floor(rate * 10_000) / 100
    return f"{percent:.10g} %" if percent or not rate else "< 0.01 %"


def share(fraction: float) -> str:
    """A share in per cent with two digits."""
    return f"{100 * fraction:.2g} %"


def largest_change(column: ColumnComparison) -> str:
    """The largest change of a column with its unit and size relative to base; empty without a distance."""
    absolute, relative = column.largest_absolute_change, column.largest_relative_change
    if absolute is None:
        return ""
    text = f"largest change {_number(absolute)}"
    if column.unit:
        text += f" {column.unit}"
    return text if relative is None else f"{text} ({_number(100 * relative, digits=3)} %)"


def cost(
    base_seconds: float | None, head_seconds: float | None, base_bytes: float | None, head_bytes: float | None
) -> str:
    """Run time and bytes of base and head; empty when neither side has any."""
    parts = []
    if base_seconds is not None or head_seconds is not None:
        parts.append(
            " → ".join("-" if value is None else f"{value:,.1f} s" for value in (base_seconds, head_seconds))
        )
    if base_bytes is not None or head_bytes is not None:
        parts.append(
            " → ".join("-" if value is None else _bytes(value) for value in (base_bytes, head_bytes))
        )
    return ", ".join(parts)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], align: str, style: Style) -> list[str]:
    """A table's lines: Markdown, or columns filled up with spaces.

    Args:
        headings: one per column.
        rows: cells as text.
        align: ``l`` or ``r`` per column.
        style: which of both.
    """
    if style.markdown:
        rule = [":---" if side == "l" else "---:" for side in align]
        return [f"| {' | '.join(cells)} |" for cells in (headings, rule, *rows)]
    widths = [max(len(row[position]) for row in (headings, *rows)) for position in range(len(headings))]
    return [
        "  ".join(
            cell.ljust(width) if side == "l" else cell.rjust(width)
            for cell, width, side in zip(cells, widths, align, strict=True)
        ).rstrip()
        for cells in (headings, *rows)
    ]


def _number(value: float, digits: int = 6) -> str:
    """A number with as many digits as tell something, whole above a million."""
    return f"{value:,.0f}" if 10**digits <= abs(value) < _EXPONENT_FROM else f"{value:,.{digits}g}"


def _bytes(value: float) -> str:
    amount = value
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < _UNIT:
            return f"{amount:,.0f} {unit}" if unit == "B" else f"{amount:,.1f} {unit}"
        amount /= _UNIT
    return f"{amount:,.1f} TiB"
