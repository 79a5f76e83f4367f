"""Counts and sizes as sentences hold them."""

from __future__ import annotations


def plural(count: int, noun: str, verb: str = "", verb_of_one: str = "") -> str:
    """A count and what is counted, with the verb that follows if it depends on the count."""
    words = (noun, verb_of_one) if count == 1 else (f"{noun}s", verb)
    return f"{count:,} {' '.join(filter(None, words))}"


def size(count: int) -> str:
    """Bytes in binary units."""
    amount, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:,.0f} B" if unit == "B" else f"{amount:,.1f} {unit}"
