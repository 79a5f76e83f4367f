"""Which files are samples of a new feed, and what the names of its files look like."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path

from slipway.errors import NotFoundError
from slipway.landing.area import is_hidden

_PACKED = (".gz", ".zst", ".zip")
_CHANGES = re.compile(r"[0-9]+(?:[-_. T]?[0-9]+)*")
"""The part of a name that is another one in each file, such as ``2024-05-01`` or ``0001``."""


def sample_files(places: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Files that are named, and those of folders that are named.

    Of a folder those are taken that have the ending that most of its files have; hidden ones are passed over.

    Returns:
        The samples as absolute paths, sorted, and the files of folders that are none because of their ending.

    Raises:
        NotFoundError: there is no such file or folder, or no file in a folder.
    """
    taken: dict[Path, None] = {}
    left: list[Path] = []
    for place in places:
        if place.is_dir():
            inside = sorted(_below(place))
            if not inside:
                raise NotFoundError(
                    f"No file in {place}", "a feed is inferred from samples", "Name files, or another folder"
                )
            ending = Counter(_ending(path.name) for path in inside).most_common(1)[0][0]
            taken |= dict.fromkeys(path for path in inside if _ending(path.name) == ending)
            left += [path for path in inside if _ending(path.name) != ending]
        elif place.is_file():
            taken[place.absolute()] = None
        else:
            raise NotFoundError(
                f"No file {place}", "there is neither a file nor a folder", "Correct the name"
            )
    return sorted(taken), left


def _below(folder: Path) -> Iterable[Path]:
    for root, folders, names in os.walk(folder.absolute()):
        folders[:] = [name for name in folders if not is_hidden(name)]
        yield from (
            Path(root) / name for name in names if not is_hidden(name) and (Path(root) / name).is_file()
        )


def _ending(name: str) -> str:
    """``.csv`` of ``a.csv`` and of ``a.csv.gz``: a feed may have both."""
    path = Path(name.lower())
    return Path(path.stem).suffix if path.suffix in _PACKED else path.suffix


def name_pattern(names: Sequence[str]) -> str:
    """A pattern that all names fit, and names like them with other numbers and dates.

    Args:
        names: of files, without folders.
    """
    shapes = {_CHANGES.sub("*", _exact(name)) for name in names}
    if len(shapes) == 1:
        (shape,) = shapes
        last = Path(names[0]).suffix
        ends = f"{Path(Path(names[0]).stem).suffix}{last}" if last.lower() in _PACKED else last
        found = shape if "*" in shape else f"*{_exact(ends)}"
    else:
        plain = [_exact(name) for name in names]
        start = _CHANGES.split(_common(plain))[0]
        end = _common([name[::-1] for name in plain])[::-1]
        end = end[end.index(".") :] if "." in end and not any(sign in end for sign in "[]") else ""
        found = f"{_whole(start)}*{end}"
    return found if all(fnmatchcase(name, found) for name in names) else "*"


def _common(names: Sequence[str]) -> str:
    """The beginning that all names have."""
    alike = takewhile(lambda signs: len(set(signs)) == 1, zip(*names, strict=False))
    return "".join(signs[0] for signs in alike)


def _exact(name: str) -> str:
    """A name as a pattern that only this name fits."""
    return re.sub(r"[*?[]", lambda sign: f"[{sign[0]}]", name)


def _whole(start: str) -> str:
    """The beginning of names up to the last sign that parts words, so that ``trips_m…`` and ``trips_n…`` give ``trips_``."""
    cut = max(start.rfind(sign) for sign in "_- .")
    return start[: cut + 1] if not start.endswith("]") else ""
