"""What is wrong with a contract, where it stands, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from slipway.errors import ConfigError

Path = tuple[str | int, ...]
"""Keys and positions from the top of a contract to a value."""
_LABELS = ("name", "property", "server", "metric", "role", "username", "channel", "synonym", "id")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a contract.

    Args:
        path: where in the contract.
        what: the rest of a sentence that begins with the place, or a whole one with a capital.
        fix: what to do.
        file: name of the file.
        line: line in it, counted from 1.
        place: the path in words, such as ``schema.orders.properties.price``.
    """

    path: Path
    what: str
    fix: str = ""
    file: str = ""
    line: int | None = None
    place: str = ""

    @property
    def error(self) -> ConfigError:
        """The problem as a refusal."""
        at = f"{self.file}, line {self.line}" if self.line else self.file
        if self.what[:1].isupper():
            return ConfigError(f"{self.what} ({at})", fix=self.fix)
        return ConfigError(f"{self.place or self.file} ({at})" if self.place else at, self.what, self.fix)


class Problems:
    """What is wrong with one contract, as it is found.

    Args:
        document: plain values.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.found: list[Problem] = []

    def say(self, path: Path, what: str, fix: str = "") -> None:
        """Note a problem; the arguments are those of ``Problem``."""
        self.found.append(Problem(path, what, fix))

    def say_unknown(self, path: Path, name: str, place: str, known: Iterable[str], noun: str = "key") -> None:
        """Note that nothing reads a name; the arguments are those of ``unknown``."""
        self.found.append(unknown(path, name, place, known, noun))

    def place(self, path: Path) -> str:
        """A path in words."""
        return words(path, self.document)


def words(path: Iterable[str | int], document: Any) -> str:  # noqa: ANN401 - YAML
    """A path in words: an item of a list is called by its name where it has one, else by its number from 1."""
    parts: list[str] = []
    for part in path:
        inside: Any = None
        if isinstance(part, int):
            inside = document[part] if isinstance(document, list) and part < len(document) else None
            named = inside if isinstance(inside, Mapping) else {}
            label = next(
                (named[key] for key in _LABELS if isinstance(named.get(key), str) and named[key]), None
            )
            parts.append(str(label) if label else str(part + 1))
        else:
            inside = document.get(part) if isinstance(document, Mapping) else None
            parts.append(part)
        document = inside
    return ".".join(parts)


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like a name; empty where none is."""
    by_plain = {_plain(one): one for one in known}
    near = get_close_matches(_plain(name), by_plain, 1, 0.7)
    return by_plain[near[0]] if near else ""


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


def unknown(path: Path, name: str, place: str, known: Iterable[str], noun: str = "key") -> Problem:
    """A problem of a name that nothing reads."""
    names = sorted(known)
    near = nearest(name, names)
    fix = (
        f"Did you mean `{near}`?"
        if near
        else f"Known are {', '.join(names[:12])}{' …' if len(names) > 12 else ''}"
    )
    return Problem(path, f"Unknown {noun} `{name[:60]}` in {place or 'the contract'}", fix)
