"""Which data files are put together: small ones of one partition, to files of about the table's target size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

ENOUGH = 0.75
"""A file of this part of the target size is left alone."""

MIN_FILES = 5
"""Fewer files are put together only when they fill a file: else each call would write the same rows again."""


@dataclass(frozen=True)
class LiveFile:
    """A data file of a table's current snapshot.

    Args:
        path: where it is.
        size: bytes.
        partition: its partition, in a form that is equal for equal partitions.
    """

    path: str
    size: int
    partition: str = ""


@dataclass(frozen=True)
class Bin:
    """Files that become one.

    Args:
        partition: that they share.
        files: in the order in which they were given.
    """

    partition: str
    files: tuple[LiveFile, ...]

    @property
    def size(self) -> int:
        """Bytes before."""
        return sum(file.size for file in self.files)


def pack(files: Iterable[LiveFile], target: int) -> list[Bin]:
    """Small files in bins of the target size, by first fit, the largest files first.

    Args:
        files: data files of the current partition spec.
        target: bytes that a file should have.
    """
    enough = target * ENOUGH
    small: dict[str, list[LiveFile]] = defaultdict(list)
    for file in files:
        if file.size < enough:
            small[file.partition].append(file)
    return [
        Bin(partition, tuple(members))
        for partition in sorted(small)
        for members in _first_fit(small[partition], target)
        if len(members) >= MIN_FILES or (len(members) > 1 and sum(file.size for file in members) >= enough)
    ]


def _first_fit(files: list[LiveFile], target: int) -> list[list[LiveFile]]:
    bins: list[list[LiveFile]] = []
    rooms: list[int] = []
    for file in sorted(files, key=lambda one: (-one.size, one.path)):
        at = next((number for number, room in enumerate(rooms) if room >= file.size), None)
        if at is None:
            bins.append([])
            rooms.append(target)
            at = len(bins) - 1
        bins[at].append(file)
        rooms[at] -= file.size
    return bins
