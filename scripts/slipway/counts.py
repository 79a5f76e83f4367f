"""Counts and sizes as sentences hold them."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", re.IGNORECASE)


def plural(count: int, noun: str, verb: str = "", verb_of_one: str = "") -> str:
    """A count and what is counted, with the verb that follows if it depends on the count."""
    words = (noun, verb_of_one) if count == 1 else (f"{noun}s", verb)
    return f"{count:,} {' '.join(filter(None, words))}"


def bytes_of(text: str) -> int | None:
    """The number of bytes that a text like ``20 GB``, ``1.5 GiB`` or ``1000`` means; None for another text.

    KB, MB, GB and TB are powers of 1000 (SI), KiB to TiB of 1024 (IEC 80000-13), as for DuckDB's memory_limit.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None or (found[3] and not found[2]):
        return None
    power = " KMGT".index(found[2].upper() or " ")
    unit: int = (1024 if found[3] else 1000) ** power
    return round(float(found[1]) * unit)


def size(count: int) -> str:
    """Bytes in binary units."""
    amount, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:,.0f} B" if unit == "B" else f"{amount:,.1f} {unit}"
