"""Which code made the rows of a table, and whether all of them are what the present code makes.

A *definition* is everything that shapes a row apart from data and engine: code, macros, variables, and the configuration that has
an effect on rows. A table that is added to keeps rows of the definitions before: then it is *stale*.
"""

from __future__ import annotations

from collections.abc import Sequence

from slipway.domain.manifest import Definition

UNRECORDED = Definition()
"""The definition of rows that were written before definitions were recorded, or by another program."""

_REMEMBERED = 12  # older ones are known to differ from the present one, which is all that is asked of them


def made_by_after(
    before: Sequence[Definition], now: Definition, *, all_rows: bool, any_rows: bool
) -> tuple[Definition, ...]:
    """What made the rows of a table after a write.

    Args:
        before: what made the rows that were there.
        now: the code that wrote.
        all_rows: every row that is there now was made by this write.
        any_rows: it changed anything.
    """
    if all_rows:
        return (now,)
    if not any_rows or any(one.key == now.key for one in before):
        return tuple(before)
    known = before if len(before) < _REMEMBERED else (before[0], *before[2 - _REMEMBERED :])
    return (*known, now)


def others(made_by: Sequence[Definition], key: str | None) -> list[Definition]:
    """The definitions of a table's rows that are not the one with a key."""
    return [one for one in made_by if one.key != key]


def why_stale(other: Sequence[Definition]) -> str:
    """What is to be said of a table with rows of other definitions, without its name; empty for none."""
    if not other:
        return ""
    if not any(one.key for one in other):
        return "it is not recorded which code made its rows"
    known = ", ".join(_named(one) for one in other if one.key)
    more = "" if all(one.key for one in other) else ", and others by code that is not recorded"
    return f"it has rows that were made by other code: {known}{more}"


def _named(one: Definition) -> str:
    commit = (
        f"commit {one.commit[:12]}{' with uncommitted changes' if one.dirty else ''}"
        if one.commit
        else "no commit"
    )
    return f"{commit} (run {one.run_id}, definition {one.key[:8]})"
