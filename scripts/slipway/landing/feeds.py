"""A feed: one producer's files under the landing area, described by an ODCS contract of the project."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from slipway.contracts.contract_files import read_contracts
from slipway.contracts.model import Contract, OnRejected
from slipway.errors import ConfigError
from slipway.names import Kind, nearest, shown, twins, why_not

_RULES = "2"  # of the checks that decide about a file; files of other rules are looked at again
_LONGEST_HEADER = 100_000
_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}


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
    def of(cls, contract: Contract) -> Feed | None:
        """The feed that a contract describes; None when it has no server named ``landing``.

        Raises:
            ConfigError: it is a feed, but not one CSV object with named columns in one folder.
        """
        server = contract.landing
        if server is None:
            return None
        table, files = contract.tables[0], server.files
        if server.format != "csv" or len(contract.tables) != 1 or not table.columns:
            raise ConfigError(
                f"{contract.origin} is not a feed",
                "a feed is one csv object with properties",
                "See docs/reference/landing.md",
            )
        if files.encoding.lower() not in ("utf-8", "utf8"):
            raise ConfigError(
                f"{contract.origin}: encoding {files.encoding}",
                "feeds are read as utf-8",
                "Convert the files",
            )
        if server.path is None:
            raise ConfigError(
                f"{contract.origin}: server landing of type {server.type} has no path",
                "a feed is a folder below SLIPWAY_LANDING, which may be a prefix of S3",
                "Write `type: local` and `path: <folder>/*.csv`",
            )
        folder, _, pattern = server.path.rpartition("/")
        feed = cls(
            name=folder.strip("/") or table.physical_name or table.name,
            columns=[column.header for column in table.columns],
            pattern=pattern or "*.csv",
            delimiter=files.delimiter,
            quote=files.quote,
            on_rejected=files.on_rejected_files,
            ignored=files.ignored_files,
        )
        if problem := feed._problem():
            raise ConfigError(f"{contract.origin}: {problem}", fix="See docs/reference/landing.md")
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


def read_feeds(project: Path) -> list[Feed]:
    """Feeds among the project's contracts.

    Raises:
        ConfigError: something is wrong with a contract, or two describe one feed.
    """
    return feeds_of(read_contracts(project))


def feeds_of(contracts: Iterable[Contract]) -> list[Feed]:
    """Feeds among contracts.

    Raises:
        ConfigError: a contract describes no files that can be read, or two describe one feed.
    """
    found: dict[str, Feed] = {}
    for contract in contracts:
        feed = Feed.of(contract)
        if feed is not None and feed.name in found:
            raise ConfigError(
                f"{contract.origin} describes feed {feed.name}", "another contract does, too", "Keep one"
            )
        if feed is not None:
            found[feed.name] = feed
    return list(found.values())
