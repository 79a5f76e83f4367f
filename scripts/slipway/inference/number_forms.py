"""How numbers may be written, as regular expressions: the mark of decimals, the one between groups of digits, and what proves each."""

from __future__ import annotations

from typing import NamedTuple

INTEGER = "[+-]?(0|[1-9][0-9]*)"
LEADING_ZERO = "[+-]?0[0-9][0-9.,' ]*"
WITH_EXPONENT = "[+-]?[0-9]*[.][0-9]*[eE].*|.*[eE][+-].*"
"""What can only be a number with an exponent; ``12E3`` may be a code."""
LIKE_NUMBER = "[+-]?[0-9][0-9.,' ]*"
FLOAT = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"


class Marks(NamedTuple):
    """How numbers are written: the mark of decimals, and the one between groups of digits, empty for none."""

    decimal: str
    groups: str = ""


STYLES = (
    Marks("."), Marks(","), Marks(".", ","), Marks(",", "."), Marks(".", " "), Marks(",", " "), Marks(".", "'"), Marks(",", "'"),
)  # fmt: skip


def number_pattern(marks: Marks) -> str:
    """A regular expression for numbers with these marks."""
    mark = f"[{marks.decimal}]"
    fraction = f"({mark}[0-9]*)?"
    grouped = f"|[1-9][0-9]{{0,2}}([{marks.groups}][0-9]{{3}})+{fraction}" if marks.groups else ""
    return f"[+-]?((0|[1-9][0-9]*){fraction}|{mark}[0-9]+{grouped})"


def proves_decimal(mark: str) -> str:
    """A regular expression for numbers in which a mark can only be that of decimals."""
    sign = f"[{mark}]"
    return f"[+-]?([0-9]*{sign}([0-9]{{1,2}}|[0-9]{{4,}})|(0|[1-9][0-9]{{3,}})?{sign}[0-9]+)"


def proves_groups(marks: Marks) -> str:
    """A regular expression for numbers in which a mark can only part groups of digits."""
    group, mark = f"[{marks.groups}]", f"[{marks.decimal}]"
    some = f"[+-]?[1-9][0-9]{{0,2}}({group}[0-9]{{3}})"
    if marks.groups == " ":  # phone numbers are parted like that, too
        return f"{some}+{mark}[0-9]+"
    return (
        f"{some}+({mark}[0-9]*)?"
        if marks.groups == "'"
        else f"{some}{{2,}}({mark}[0-9]*)?|{some}+{mark}[0-9]+"
    )
