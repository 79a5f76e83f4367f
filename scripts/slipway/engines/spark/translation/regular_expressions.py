r"""Regular expressions of DuckDB (RE2) as those of Spark (Java), where both match the same.

What differs between the two is rewritten: ``^`` and ``$`` (Java's ``$`` also matches before a last line feed), ``.``, ``\d``, ``\w`` and ``\s``. What is not
understood here is refused.

Sources: RE2's wiki page "Syntax"; ``java.util.regex.Pattern`` of Java 17.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CLASSES = {"d": "0-9", "w": "0-9A-Za-z_", "s": r"\t\n\f\r "}
_CONTROLS = set("tnfr")
_HEX = re.compile(r"x([0-9A-Fa-f]{2})|x\{([0-9A-Fa-f]{1,6})\}")
_SEPARATORS = r"p{Z}"  # Unicode's separators have not changed since version 6.3
_COUNT = re.compile(r"\{(\d{1,3})(,(\d{0,3}))?\}")
_SPECIAL = r"\^$.|?*+()[]{}"


class NotUnderstoodError(ValueError):
    """A part of a pattern that is not known to mean the same to both."""


@dataclass(frozen=True)
class Pattern:
    """A pattern for Java.

    Args:
        java: its text.
        shortest: the number of characters that it matches at least.
        groups: how many groups it captures.
    """

    java: str
    shortest: int
    groups: int


def java_pattern(pattern: str) -> Pattern:
    """The pattern of Java that matches what a pattern of RE2 matches.

    Raises:
        NotUnderstoodError: a part of it is not known to mean the same.
    """
    reader = _Reader(pattern)
    text, shortest = reader.alternatives()
    if reader.at < len(pattern):
        raise NotUnderstoodError(pattern[reader.at :])
    return Pattern(text, shortest, reader.groups)


def whole(java: str) -> str:
    """A pattern of Java that matches only a whole text."""
    return r"\A(?:" + java + r")\z"


class _Reader:
    def __init__(self, pattern: str) -> None:
        self.pattern, self.at, self.groups = pattern, 0, 0

    @property
    def rest(self) -> str:
        return self.pattern[self.at :]

    def taken(self, text: str) -> bool:
        found = self.pattern.startswith(text, self.at)
        self.at += len(text) if found else 0
        return found

    def alternatives(self) -> tuple[str, int]:
        branches = [self.branch()]
        while self.taken("|"):
            branches.append(self.branch())
        return "|".join(text for text, _ in branches), min(shortest for _, shortest in branches)

    def branch(self) -> tuple[str, int]:
        text, shortest = "", 0
        while self.rest and self.rest[0] not in "|)":
            atom, width, countable = self.atom()
            least, quantifier = self.quantifier(countable=countable)
            text += atom + quantifier
            shortest += width * least
        return text, shortest

    def quantifier(self, *, countable: bool) -> tuple[int, str]:
        counted = _COUNT.match(self.pattern, self.at)
        if counted:
            self.at, text, least = counted.end(), counted[0], int(counted[1])
        elif self.rest[:1] and self.rest[0] in "*+?":
            text = self.rest[0]
            self.at, least = self.at + 1, int(text == "+")
        else:
            return 1, ""
        if not countable:
            raise NotUnderstoodError(text)
        text += "?" if self.taken("?") else ""
        if self.rest[:1] and (self.rest[0] in "*+?" or _COUNT.match(self.pattern, self.at)):
            raise NotUnderstoodError(text + self.rest[0])
        return least, text

    def atom(self) -> tuple[str, int, bool]:
        if self.taken("("):
            return self.group()
        if self.taken("["):
            return self.brackets(), 1, True
        if self.taken("^"):
            return r"\A", 0, False
        if self.taken("$"):
            return r"\z", 0, False
        if self.taken("."):
            return r"[^\n]", 1, True
        if self.taken("\\"):
            inner, is_class = self.escape()
            return (f"[{inner}]" if is_class else inner), 1, True
        if self.rest[0] in _SPECIAL:
            raise NotUnderstoodError(self.rest[0])
        self.at += 1
        return self.pattern[self.at - 1], 1, True

    def group(self) -> tuple[str, int, bool]:
        opening = "(?:" if self.taken("?:") else "("
        if self.rest.startswith("?"):
            raise NotUnderstoodError("(" + self.rest[:2])
        self.groups += opening == "("
        text, shortest = self.alternatives()
        if not self.taken(")"):
            raise NotUnderstoodError("(")
        return f"{opening}{text})", shortest, True

    def escape(self) -> tuple[str, bool]:
        """What follows a backslash, and whether it is a class of characters, which then goes into brackets."""
        if not self.rest:
            raise NotUnderstoodError("\\")
        if self.taken(_SEPARATORS):
            return "\\" + _SEPARATORS, True
        hexadecimal = _HEX.match(self.pattern, self.at)
        if hexadecimal:
            self.at = hexadecimal.end()
            return f"\\x{{{hexadecimal[1] or hexadecimal[2]}}}", False
        letter = self.rest[0]
        if letter in _CLASSES:
            self.at += 1
            return _CLASSES[letter], True
        if letter in _CONTROLS or (letter.isascii() and not letter.isalnum()):
            self.at += 1
            return "\\" + letter, False
        raise NotUnderstoodError("\\" + letter)

    def brackets(self) -> str:
        text = "[^" if self.taken("^") else "["
        if self.rest.startswith("]"):
            raise NotUnderstoodError("[]")
        while not self.taken("]"):
            text += self.member()
        return text + "]"

    def member(self) -> str:
        """One character, range or class between brackets."""
        low, is_class = self.character()
        if is_class or not self.rest.startswith("-") or self.rest.startswith("-]"):
            return low
        self.at += 1
        high, is_class = self.character()
        if is_class:
            raise NotUnderstoodError("-" + high)
        return f"{low}-{high}"

    def character(self) -> tuple[str, bool]:
        if self.taken("\\"):
            return self.escape()
        if not self.rest or self.rest[0] == "[":
            raise NotUnderstoodError("[" + self.rest[:1])
        letter = self.rest[0]
        self.at += 1
        # to Java these join, subtract or escape
        return (f"\\{letter}" if letter in "&^-~" else letter), False
