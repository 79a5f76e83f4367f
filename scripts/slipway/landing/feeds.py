"""A feed: one producer's files under the landing area, described by an ODCS contract of the project."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from slipway.errors import ConfigError
from slipway.names import Kind, nearest, shown, twins, why_not

SERVER = "landing"
_RULES = "2"  # of the checks that decide about a file; files of other rules are looked at again
_LONGEST_HEADER = 100_000
_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}


class OnRejected(StrEnum):
    """What a run in a scheduled or production environment does while a file of the feed is set aside."""

    FAIL = "fail"
    WARN = "warn"


@dataclass(frozen=True)
class Feed:
    """What a feed's contract says of its files.

    Args:
        name: folder below the landing area, name of the raw table.
        columns: the header, in order.
        pattern: what file names look like.
        delimiter: one character between values.
        quote: the character around values that hold a delimiter.
        on_rejected: whether files that are set aside stop runs in scheduled and production environments.
        ignored: patterns for names of files that are not looked at.
    """

    name: str
    columns: Sequence[str]
    pattern: str = "*.csv"
    delimiter: str = ","
    quote: str = '"'
    on_rejected: OnRejected = OnRejected.FAIL
    ignored: Sequence[str] = field(default=())

    @classmethod
    def from_contract(cls, contract: Mapping[str, Any], origin: str) -> Feed | None:
        """Read an ODCS v3 contract; None when it has no server named ``landing``.

        Source: Open Data Contract Standard 3.0, sections "servers" and "schema".

        Raises:
            ConfigError: it is a feed, but not one CSV object with named columns.
        """
        try:
            return cls._read(contract, origin)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{origin} is not a contract",
                f"its parts are not those of ODCS ({type(error).__name__}: {error})",
                "See docs/reference/landing.md",
            ) from None

    @classmethod
    def _read(cls, contract: Mapping[str, Any], origin: str) -> Feed | None:
        servers = [server for server in contract.get("servers") or [] if server.get("server") == SERVER]
        if not servers:
            return None
        server, objects = servers[0], contract.get("schema") or []
        if server.get("format") != "csv" or len(objects) != 1 or not objects[0].get("properties"):
            raise ConfigError(
                f"{origin} is not a feed",
                "a feed is one csv object with properties",
                "See docs/reference/landing.md",
            )
        given = {item["property"]: item["value"] for item in server.get("customProperties") or []}
        _check_properties(given, origin)
        if str(given.get("encoding", "utf-8")).lower() not in ("utf-8", "utf8"):
            raise ConfigError(
                f"{origin}: encoding {given['encoding']}", "feeds are read as utf-8", "Convert the files"
            )
        folder, _, pattern = str(server.get("path", f"{contract.get('id')}/*.csv")).rpartition("/")
        feed = cls(
            name=folder.strip("/") or str(objects[0].get("physicalName") or objects[0]["name"]),
            columns=[str(item.get("physicalName") or item["name"]) for item in objects[0]["properties"]],
            pattern=pattern or "*.csv",
            delimiter=str(given.get("delimiter", server.get("delimiter", ","))),
            quote=str(given.get("quote", '"')),
            on_rejected=OnRejected(given.get("onRejectedFiles", OnRejected.FAIL)),
            ignored=_listed(given.get("ignoredFiles")),
        )
        if problem := feed._problem():
            raise ConfigError(f"{origin}: {problem}", fix="See docs/reference/landing.md")
        return feed

    @property
    def digest(self) -> str:
        """Changes when anything does that decides about a file."""
        deciding = (_RULES, self.name, list(self.columns), self.pattern, self.delimiter, self.quote)
        return hashlib.sha256(repr(deciding).encode()).hexdigest()[:16]

    def _problem(self) -> str | None:
        if "/" in self.name:
            return f"path {self.name} has a folder in a folder; a feed is one folder of the landing area"
        if why := why_not(Kind.FEED, self.name):
            called = nearest(Kind.FEED, self.name)
            return f"feed {shown(self.name)} cannot have this name: {why}; call it and its folder {called}"
        for what, sign in (("delimiter", self.delimiter), ("quote", self.quote)):
            if len(sign) != 1 or sign in "\r\n":
                return f"{what} {sign!r} is not one character of a line"
        if not self.quote.isascii() or self.quote == self.delimiter:
            return f"quote {self.quote!r} is not an ASCII character other than the delimiter"
        twice = twins(self.columns)
        return f"column {twice[0][0]} is declared twice" if twice else None

    def name_problem(self, file_name: str) -> str | None:
        """Why a file's name does not fit, None when it does."""
        return None if fnmatchcase(file_name, self.pattern) else f"name does not match {self.pattern}"

    def is_ignored(self, key: str) -> bool:
        """Whether a file is not looked at, by its name or its path below the feed's folder."""
        below = key.partition("/")[2]
        return any(
            fnmatchcase(name, pattern)
            for pattern in self.ignored
            for name in (below, below.rsplit("/", 1)[-1])
        )

    def header_problem(self, first_line: bytes) -> str | None:
        """Why a file's first line is not the contract's header, None when it is.

        What the line says is repeated only where it is a header of this feed for the most part: else it may be anything.
        """
        if not first_line.strip():
            return "empty file, or its first line is"
        try:
            text = first_line.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            return f"header is not utf-8 (byte {error.start})"
        if len(text) > _LONGEST_HEADER:
            return f"header cannot be read: it has more than {_LONGEST_HEADER:,} characters"
        try:
            header = next(csv.reader(io.StringIO(text), delimiter=self.delimiter, quotechar=self.quote), [])
        except csv.Error as error:
            return f"header cannot be read: {error}"
        if list(header) == list(self.columns):
            return None
        missing = [name for name in self.columns if name not in header]
        excess = [name for name in header if name not in self.columns]
        twice = [name for name in self.columns if header.count(name) > 1]
        if not missing and not excess and not twice:
            return f"header has the columns in another order: {', '.join(header)[:200]}"
        parts = [f"{_named(twice)} twice"] if twice else []
        parts += [f"missing {_named(missing)}"] if missing else []
        if excess:
            is_known = len(missing) * 2 <= len(self.columns)
            parts.append(f"unknown {_named(excess)}" if is_known else f"{len(excess)} unknown")
        return f"header differs: {'; '.join(parts)}{self._advice(text, header, missing, excess)}"

    def _advice(self, text: str, header: Sequence[str], missing: Sequence[str], excess: Sequence[str]) -> str:
        for sign, name in _DELIMITERS.items():
            if sign != self.delimiter and [part.strip('"') for part in text.split(sign)] == list(
                self.columns
            ):
                return (
                    f"; it is delimited by {name}, which the contract's customProperty delimiter has to say"
                )
        if len(set(header)) < len(header):
            return "; each column is to stand in the header once"
        if not missing and set(excess) == {""}:
            at_end = header[-1] == ""
            return f"; {'a delimiter at the end of the header makes one: remove it' if at_end else 'name it, or remove it'}"
        if missing and not excess:
            return "; add the column to the file, or describe files without it as a feed of their own"
        return "; to take a new column, add it to the contract and to the raw table" if not missing else ""


def _named(names: Sequence[str]) -> str:
    return ", ".join(name[:60] or "a column without a name" for name in names[:8]) + (
        " …" if len(names) > 8 else ""
    )


def _listed(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),) if value else ()


def _check_properties(given: Mapping[str, Any], origin: str) -> None:
    """Refuse what is spelt almost like a property that is read here; others may be another program's."""
    known = ("delimiter", "quote", "encoding", "onRejectedFiles", "ignoredFiles")
    for name in given:
        near = get_close_matches(str(name), known, 1, 0.8)
        if near and name not in known:
            raise ConfigError(f"{origin}: customProperty {name}", "nothing reads it", f"Write {near[0]}")
    policy = given.get("onRejectedFiles", OnRejected.FAIL)
    if policy not in list(OnRejected):
        raise ConfigError(f"{origin}: onRejectedFiles {policy}", "it is fail or warn", "Correct the contract")


def read_feeds(project: Path) -> list[Feed]:
    """Feeds among the project's contracts.

    Raises:
        ConfigError: a contract cannot be read, or two describe one feed.
    """
    found: dict[str, Feed] = {}
    for path in sorted((project / "contracts").glob("*.odcs.y*ml")):
        try:
            contract = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except yaml.YAMLError as error:
            raise ConfigError(f"{path.name} is not YAML", " ".join(str(error).split())) from None
        feed = Feed.from_contract(contract, path.name) if isinstance(contract, dict) else None
        if feed is not None and feed.name in found:
            raise ConfigError(
                f"{path.name} describes feed {feed.name}", "another contract does, too", "Keep one"
            )
        if feed is not None:
            found[feed.name] = feed
    return list(found.values())
