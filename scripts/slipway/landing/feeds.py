"""A feed: one producer's files under the landing area, described by an ODCS contract of the project."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from slipway.contracts.contract_files import Reading, read_contracts
from slipway.contracts.model import EXTRA, Contract, Evolution, FileMode, FileSettings, OnRejected
from slipway.contracts.problems import Problem
from slipway.contracts.problems import nearest as closest
from slipway.contracts.row_checks import checks_of
from slipway.contracts.typed_rows import LINEAGE
from slipway.errors import ConfigError
from slipway.landing.formats import FileFormat, FileKind, Header
from slipway.names import Kind, nearest, shown, twins, why_not

_RULES = "3"  # of the checks that decide about a file; files of other rules are looked at again
_KINDS = {
    "csv": FileKind.CSV, "tsv": FileKind.CSV, "txt": FileKind.CSV, "json": FileKind.JSON, "jsonl": FileKind.JSON,
    "ndjson": FileKind.JSON, "parquet": FileKind.PARQUET, "xlsx": FileKind.XLSX, "excel": FileKind.XLSX,
}  # fmt: skip


@dataclass(frozen=True)
class Feed:
    """What a feed's contract says of its files.

    Args:
        name: folder below the landing area, name of the raw table.
        columns: the header, in order.
        pattern: what file names look like.
        format: how they are read.
        optional: columns that a file may lack; they are NULL then.
        mode: what a new file means for the rows of earlier ones.
        on_rejected: whether files that are set aside stop runs in scheduled and production environments.
        ignored: patterns for names of files that are not looked at.
        unknown: what is done with columns of files that the contract does not name.
    """

    name: str
    columns: Sequence[str]
    pattern: str = "*.csv"
    format: FileFormat = field(default_factory=FileFormat)
    optional: Sequence[str] = field(default=())
    mode: FileMode = FileMode.APPEND
    on_rejected: OnRejected = OnRejected.FAIL
    ignored: Sequence[str] = field(default=())
    unknown: Evolution = Evolution.FREEZE

    @classmethod
    def of(cls, contract: Contract) -> Feed | None:
        """The feed that a contract describes; None when it has no server named ``landing``.

        Raises:
            ConfigError: it is a feed, but not one object with named columns in one folder.
        """
        server = contract.landing
        if server is None:
            return None
        table, files = contract.tables[0], server.files
        kind = _KINDS.get((server.format or "").lower())
        if kind is None or len(contract.tables) != 1 or not table.columns:
            raise ConfigError(
                f"{contract.origin} is not a feed",
                "a feed is one object with properties, of format csv, json, parquet or xlsx",
                "See docs/reference/landing.md",
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
            format=_format(kind, files),
            optional=[
                column.header for column in table.columns if column.settings.optional or column.settings.since
            ],
            mode=files.file_mode,
            on_rejected=files.on_rejected_files,
            ignored=files.ignored_files,
            unknown=contract.settings.schema_contract.columns,
        )
        if problem := feed._problem():
            raise ConfigError(f"{contract.origin}: {problem}", fix="See docs/reference/landing.md")
        _check_limits(contract)
        return feed

    @property
    def keeps_extra(self) -> bool:
        """Whether values of columns that the contract does not name are kept in one column of raw."""
        return self.unknown in (Evolution.DISCARD_ROW, Evolution.DISCARD_VALUE)

    @cached_property
    def digest(self) -> str:
        """Changes when anything does that decides about a file."""
        deciding: tuple[object, ...] = (
            _RULES,
            self.name,
            list(self.columns),
            self.pattern,
            self.format,
            list(self.optional),
        )
        if self.unknown is not Evolution.FREEZE:
            deciding += (str(self.unknown),)
        return hashlib.sha256(repr(deciding).encode()).hexdigest()[:16]

    def _problem(self) -> str | None:
        if "/" in self.name:
            return f"path {self.name} has a folder in a folder; a feed is one folder of the landing area"
        if why := why_not(Kind.FEED, self.name):
            called = nearest(Kind.FEED, self.name)
            return f"feed {shown(self.name)} cannot have this name: {why}; call it and its folder {called}"
        if (problem := self.format.problem()) is not None:
            return problem
        if own := [name for name in self.columns if name.lower() in (*LINEAGE, EXTRA)]:
            return f"column {own[0]} has the name of a column that Slipway adds to raw"
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


def _check_limits(contract: Contract) -> None:
    """Refuse limits of rules that a feed does not have.

    Raises:
        ConfigError: there is one.
    """
    if not (limits := contract.settings.quarantine_limits):
        return
    known = ["*", *(check.id for check in checks_of(contract))]
    for rule in limits:
        if rule not in known:
            near = closest(rule, known)
            raise ConfigError(
                f"{contract.origin}: quarantineLimits has a limit of {rule}",
                "the contract has no such rule",
                f"Did you mean {near}?" if near else f"Use one of {', '.join(known)}",
            )


def _format(kind: FileKind, files: FileSettings) -> FileFormat:
    declared = files.header
    header = (Header.EXACT if declared else Header.NONE) if isinstance(declared, bool) else Header(declared)
    return FileFormat(
        kind=kind,
        delimiter=files.delimiter,
        quote=files.quote,
        escape=files.escape,
        encoding=files.encoding,
        header=header,
        skip_lines=files.skip_lines,
        footer_lines=files.footer_lines,
        sheet=files.sheet,
        max_bytes=files.max_uncompressed_bytes,
        max_ratio=files.max_compression_ratio,
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


def with_feed_problems(readings: Iterable[Reading]) -> list[Reading]:
    """Readings of contracts with what keeps them from being feeds added to their problems."""
    found, known = [], list[Contract]()
    for reading in readings:
        problems = []
        if reading.contract is not None:
            try:
                feeds_of([*known, reading.contract])
                known.append(reading.contract)
            except ConfigError as error:
                what = error.what.removeprefix(reading.contract.origin).lstrip(": ")
                problems = [Problem(("servers",), f"{what}: {error.why}" if error.why else what, error.fix)]
        found.append(reading.with_problems(problems))
    return found
