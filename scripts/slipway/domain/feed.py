"""A feed: one producer's files under the landing area, described by an ODCS contract."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from slipway.domain.errors import ConfigError
from slipway.domain.names import Kind, nearest, shown, twins, why_not

SERVER = "landing"


@dataclass(frozen=True)
class Feed:
    """What a feed's contract says of its files.

    Args:
        name: folder below the landing area, name of the raw table.
        columns: the header, in order.
        pattern: what file names look like.
        delimiter: one character between values.
        quote: the character around values that hold a delimiter.
    """

    name: str
    columns: Sequence[str]
    pattern: str = "*.csv"
    delimiter: str = ","
    quote: str = '"'

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
                "see docs/reference/landing.md",
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
                "see docs/reference/landing.md",
            )
        given = {item["property"]: item["value"] for item in server.get("customProperties") or []}
        if str(given.get("encoding", "utf-8")).lower() not in ("utf-8", "utf8"):
            raise ConfigError(
                f"{origin}: encoding {given['encoding']}", "feeds are read as utf-8", "convert the files"
            )
        folder, _, pattern = str(server.get("path", f"{contract.get('id')}/*.csv")).rpartition("/")
        feed = cls(
            name=folder.strip("/") or str(objects[0].get("physicalName") or objects[0]["name"]),
            columns=[str(item.get("physicalName") or item["name"]) for item in objects[0]["properties"]],
            pattern=pattern or "*.csv",
            delimiter=str(given.get("delimiter", server.get("delimiter", ","))),
            quote=str(given.get("quote", '"')),
        )
        if problem := feed._problem():
            raise ConfigError(f"{origin}: {problem}", fix="see docs/reference/landing.md")
        return feed

    @property
    def digest(self) -> str:
        """Changes when anything does that decides about a file."""
        return hashlib.sha256(repr(dataclasses.astuple(self)).encode()).hexdigest()[:16]

    def _problem(self) -> str | None:
        if "/" in self.name:
            return f"path {self.name} has a folder in a folder; a feed is one folder of the landing area"
        if why := why_not(Kind.FEED, self.name):
            called = nearest(Kind.FEED, self.name)
            return f"feed {shown(self.name)} cannot have this name: {why}; call it and its folder {called}"
        for what, sign in (("delimiter", self.delimiter), ("quote", self.quote)):
            if len(sign) != 1:
                return f"{what} {sign!r} is not one character"
        twice = twins(self.columns)
        return f"column {twice[0][0]} is declared twice" if twice else None

    def name_problem(self, file_name: str) -> str | None:
        """Why a file's name does not fit, None when it does."""
        return None if fnmatch(file_name, self.pattern) else f"name does not match {self.pattern}"

    def header_problem(self, first_line: bytes) -> str | None:
        """Why a file's first line is not the contract's header, None when it is."""
        if not first_line.strip():
            return "empty file"
        try:
            text = first_line.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            return f"header is not utf-8 (byte {error.start})"
        try:
            header = next(csv.reader(io.StringIO(text), delimiter=self.delimiter, quotechar=self.quote), [])
        except csv.Error as error:
            return f"header cannot be read: {error}"
        if list(header) == list(self.columns):
            return None
        missing = [name for name in self.columns if name not in header]
        excess = [name for name in header if name not in self.columns]
        if missing or excess:
            parts = [f"missing {', '.join(missing)}"] if missing else []
            parts += [f"unknown {', '.join(excess)[:200]}"] if excess else []
            return f"header differs: {'; '.join(parts)}"
        return f"header has the columns in another order: {', '.join(header)}"
