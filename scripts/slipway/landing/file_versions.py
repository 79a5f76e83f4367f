"""Which version of each file is current, in feeds whose files replace earlier ones.

Raw only ever gets more rows, and holds each content once. The contents that are current are known from the newest row of each file name
(mode ``replace``) or of all (mode ``full``), by ``_landed_at``. Where a content becomes current without bringing rows, because
it is empty or because raw has them already, raw gets a mark: a row with line 0 and without values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from slipway.contracts.model import FileMode
from slipway.sql_text import literal


class Version(Protocol):
    """What is asked of an entry of the ledger."""

    @property
    def path(self) -> str:
        """Below the landing area."""
        ...

    @property
    def sha256(self) -> str:
        """Of the content."""
        ...

    @property
    def verdict(self) -> str:
        """What was decided about it."""
        ...

    @property
    def rows(self) -> int | None:
        """How many it holds."""
        ...


_Entry = TypeVar("_Entry", bound=Version)


def file_name(entry: Version) -> str:
    """The name of a file, which is its ``_source_file``."""
    return entry.path.rsplit("/", 1)[-1]


def unit(mode: FileMode, entry: Version) -> str:
    """What a file is a version of: its name, or, in mode ``full``, all there is."""
    return file_name(entry) if mode is FileMode.REPLACE else ""


def newest(mode: FileMode, entries: Iterable[_Entry]) -> dict[str, _Entry]:
    """The current version of each unit, of entries in the order of landing; what was set aside is no version."""
    return {unit(mode, entry): entry for entry in entries if entry.verdict != "rejected"}


def version(unit_: str, sha256: str) -> str:
    """One word for a unit and the content that is current of it."""
    return f"{unit_}={sha256}"


def marks(
    mode: FileMode,
    entries: Sequence[_Entry],
    held: Iterable[str],
    files: Sequence[Version],
    pending: Iterable[str],
) -> list[_Entry]:
    """Entries whose content becomes current without bringing its newest row itself.

    Args:
        mode: of the feed.
        entries: of its ledger, in the order of landing.
        held: contents of which raw has the rows.
        files: what raw is given the rows of.
        pending: versions that raw does not show as current yet.
    """
    wanted = set(pending)
    brought = {version(key, entry.sha256) for key, entry in newest(mode, files).items()}
    there = {*held, *(entry.sha256 for entry in files)}
    return [
        entry
        for key, entry in newest(mode, entries).items()
        if version(key, entry.sha256) in wanted - brought
        and (entry.sha256 in there or _is_empty(entry, entries))
    ]


def _is_empty(entry: Version, entries: Sequence[Version]) -> bool:
    rows = [one.rows for one in entries if one.sha256 == entry.sha256 and one.rows is not None]
    return bool(rows) and rows[-1] == 0


def withdraws(mode: FileMode, entries: Sequence[Version], given: Sequence[Version]) -> bool:
    """Whether files that raw is given may take the place of earlier ones; in doubt they do."""
    contents: dict[str, set[str]] = {}
    for entry in entries:
        if entry.verdict != "rejected":
            contents.setdefault(unit(mode, entry), set()).add(entry.sha256)
    return any(len(contents.get(unit(mode, entry), ())) > 1 for entry in given)


def versions_query(mode: FileMode, scan: str) -> str:
    """A query for unit and current content of a raw table."""
    key = "_source_file" if mode is FileMode.REPLACE else "''"
    return f"select {key} as unit, max_by(_file_sha256, _landed_at) as sha from {scan} group by all"


def current(held: Mapping[str, bool]) -> str:
    """A condition for the current rows of a raw table.

    Args:
        held: each content in it, and whether it is current.
    """
    past = sorted(sha for sha, is_current in held.items() if not is_current)
    condition = "_source_line > 0"
    return f"{condition} and _file_sha256 not in ({', '.join(map(literal, past))})" if past else condition
