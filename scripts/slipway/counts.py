"""Counts and sizes as sentences hold them."""

from __future__ import annotations


def plural(count: int, noun: str) -> str:
    """A count and what is counted."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def size(count: int) -> str:
    """Bytes in binary units."""
    amount, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:,.0f} B" if unit == "B" else f"{amount:,.1f} {unit}"
