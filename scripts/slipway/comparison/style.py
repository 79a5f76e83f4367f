"""How texts and tables of a report are written: as Markdown, or as plain text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from slipway.secrets import visible

_MAX_VALUE = 60
_MAX_WORDS = 300
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
        if not shown.strip():
            return f"'{shown}'"
        if not self.markdown:
            return shown
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


def table_lines(
    headings: Sequence[str], rows: Sequence[Sequence[str]], align: str, style: Style
) -> list[str]:
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
