"""The landed files that rows of raw tables name, against the ledger and the landing area of the environment where they landed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import duckdb
from pyiceberg.table import Table

from slipway.contracts.model import FileMode
from slipway.counts import plural
from slipway.engines.duckdb.scan import scanning, whole_scan
from slipway.environments.profiles import Profile
from slipway.errors import DamagedError, SlipwayError
from slipway.iceberg.snapshots import current_content, snapshot_with
from slipway.landing.area import LandingArea, landing_area
from slipway.landing.file_versions import versions_query
from slipway.landing.ledger import Ledger
from slipway.records.landed_files import LandedFile
from slipway.records.release_records import Release
from slipway.releases.published import Published
from slipway.verification.declared_modes import DeclaredModes
from slipway.verification.links import Findings, Kind, State, first_of


@dataclass
class _Raw:
    """A state of a raw table, and what decides which of its rows somebody reads.

    Args:
        table: in that state.
        feeds: whose files its rows are from.
        commit: that it was made from; None where that is not known.
        readers: commits that the tables were made from which were made from it.
    """

    table: Table
    feeds: Sequence[str]
    commit: str | None
    readers: Collection[str | None] = ()


@dataclass
class _Traced:
    """What was found of landed files.

    Args:
        unknown: checksums of those that no ledger has so far.
        past: checksums of those that the mode of the feed declares to be past: a newer version took their place.
        missing: paths of those that are gone.
        replaced: paths of those in whose place another version landed: their content is nowhere any more.
        superseded: paths of those that are gone, and that no row is from which models read.
        wrong: those that are not what they were.
        places: other environments in which some of them landed.
        unreachable: why these cannot be looked at.
    """

    unknown: set[str]
    past: Collection[str] = ()
    missing: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    superseded: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    unreachable: str = ""


class TracedFiles:
    """Looks for the files that raw tables were made from.

    Args:
        published: the environment.
        releases: of it, oldest first.
        findings: get what was found.
        content: whether files are read.
        connect: a connection that reads the tables.
    """

    def __init__(
        self,
        published: Published,
        releases: Sequence[Release],
        findings: Findings,
        *,
        content: bool,
        connect: Callable[[], duckdb.DuckDBPyConnection],
    ) -> None:
        self._published, self._releases, self._findings = published, releases, findings
        self._content, self._connect = content, connect
        self._modes = DeclaredModes(published.environment.project)
        self._raw: dict[tuple[str, str | None], _Raw] = {}
        self._readers: dict[tuple[str, str | None], set[str | None]] = {}

    @cached_property
    def _ledger(self) -> Ledger:
        return Ledger(self._published.tables)

    def holds(self, name: str, table: Table, feeds: Sequence[str], commit: str | None) -> None:
        """Note a raw table, in one state, whose rows are from files of feeds.

        Args:
            name: ``layer.table``.
            table: in that state.
            feeds: their names.
            commit: that it was made from; None where that is not known.
        """
        self._raw[name, current_content(table)] = _Raw(table, feeds, commit)

    def read_by(self, name: str, content: str, commits: Collection[str | None]) -> None:
        """Note that a table was made from a state of another one.

        Args:
            name: the other one.
            content: its state.
            commits: by which the rows of the table were made, and last changed; None among them where one is not known.
        """
        self._readers.setdefault((name, content), set()).update(commits)

    def verify(self) -> None:
        """The landed files that the rows of the raw tables name, against the ledger and the landing area."""
        for (name, content), raw in self._raw.items():
            commits = self._readers.get((name, content)) or {raw.commit}
            self._verify(name, raw.table, raw.feeds, self._modes.of(raw.feeds, commits))

    def _verify(self, name: str, table: Table, feeds: Sequence[str], modes: Collection[FileMode]) -> None:
        """The landed files of one raw table.

        Args:
            name: ``layer.table``.
            table: in one state.
            feeds: whose files its rows are from.
            modes: as which these are read; empty where that is not known for certain.
        """
        content = current_content(table)
        snapshot = snapshot_with(table, content) if content else None
        connection = self._connect()
        try:
            with scanning(connection, table):
                scan = whole_scan(table, snapshot)
                query = f"select distinct _file_sha256 from {scan} where _file_sha256 is not null"
                sums = {str(row[0]) for row in connection.execute(query).fetchall()}
                past = set[str]() if FileMode.APPEND in modes or not modes else set(sums)
                for mode in modes if past else ():
                    rows = connection.execute(versions_query(mode, scan)).fetchall()
                    past -= {str(row[1]) for row in rows}
        except duckdb.BinderException:
            self._findings.add(Kind.LANDED, name, State.MISSING, "its rows do not name their files")
            return
        except (DamagedError, duckdb.Error) as error:
            why = error.why if isinstance(error, DamagedError) else "its rows cannot be read"
            self._findings.add(Kind.LANDED, name, State.BROKEN, why)
            return
        traced = _Traced(set(sums), past)
        self._trace(self._published, self._ledger, feeds, traced)
        if traced.unknown:
            try:
                for place in self._sources(name, content):
                    self._trace(place, Ledger(place.tables), feeds, traced)
            except SlipwayError as error:
                traced.unreachable = f"; where they landed cannot be looked at: {error.line()}"
        self._note(name, traced, len(sums), modes)

    def _trace(self, place: Published, ledger: Ledger, feeds: Sequence[str], traced: _Traced) -> None:
        """Look in one environment for the files that are not known yet."""
        area = landing_area(place.environment.landing, place.environment.catalog_properties)
        for feed in feeds:
            accepted = ledger.accepted(feed, traced.unknown).made()
            if not accepted:
                continue
            self._look_at(area, feed, accepted, ledger.latest(feed).made(), traced)
            traced.unknown -= accepted.keys()
            if place is not self._published and place.environment.name not in traced.places:
                traced.places.append(place.environment.name)

    def _note(self, name: str, traced: _Traced, files: int, modes: Collection[FileMode]) -> None:
        if traced.wrong:
            self._findings.add(Kind.LANDED, name, State.BROKEN, first_of(traced.wrong))
        if traced.missing:
            why = f"not in the landing area any more: {first_of(traced.missing)}"
            self._findings.add(Kind.LANDED, name, State.MISSING, why)
        if unknown := len(traced.unknown):
            why = f"the ledger does not have {plural(unknown, 'file')} that its rows are from{traced.unreachable}"
            self._findings.add(Kind.LANDED, name, State.MISSING, why)
        how = "checksums" if self._content else "sizes"
        where = f", which landed in {', '.join(traced.places)}" if traced.places else ""
        if replaced := len(traced.replaced):
            gone = (traced.replaced, traced.superseded, traced.missing, traced.wrong, traced.unknown)
            checked = files - sum(map(len, gone))
            why = (
                f"{how} of {plural(checked, 'file')}{where}; {plural(replaced, 'earlier version')} "
                f"{'was' if replaced == 1 else 'were'} replaced and cannot be checked: {first_of(traced.replaced)}"
            )
            self._findings.add(Kind.LANDED, name, State.MISSING, why)
        checked = files - len(traced.superseded)
        if not (traced.wrong or traced.missing or traced.replaced or traced.unknown) and (
            checked or not files
        ):
            self._findings.add(
                Kind.LANDED, name, State.VERIFIED, f"{how} of {plural(checked, 'file')}{where}"
            )
        if superseded := len(traced.superseded):
            why = (
                f"{plural(superseded, 'earlier version')}, as fileMode {' and '.join(sorted(modes))} declares; "
                f"no row that models read is from {'it' if superseded == 1 else 'them'}: {first_of(traced.superseded)}"
            )
            self._findings.add(Kind.LANDED, name, State.SUPERSEDED, why)

    def _sources(self, name: str, content: str | None) -> Iterator[Published]:
        """Environments that a state of a table was promoted from, the nearest first.

        Raises:
            SlipwayError: what another one published cannot be read.
        """
        project, releases = self._published.environment.project, self._releases
        seen = {self._published.environment.name}
        while project is not None and (came := _came_from(releases, name, content)):
            if came in seen:
                return
            seen.add(came)
            here = Published(Profile(project).environment(came))
            releases = here.records.releases()
            yield here

    def _look_at(
        self,
        area: LandingArea,
        feed: str,
        accepted: Mapping[str, LandedFile],
        latest: Mapping[str, LandedFile],
        traced: _Traced,
    ) -> None:
        """Look for each content of a feed where the ledger last saw it, which is nowhere if another version took its place.

        Args:
            area: of the environment where the files landed.
            feed: its name.
            accepted: checksum to the entry that accepted it.
            latest: path to its last entry, of the feed.
            traced: gets what was found.
        """
        holders: dict[str, list[str]] = {}
        for path, entry in sorted(latest.items()):
            if entry.sha256 in accepted:
                holders.setdefault(entry.sha256, []).append(path)
        paths = {path for held in holders.values() for path in held}
        there = {one.info.key: one.info for one in area.among(feed, paths) if not one.obstacle}
        for sha256, entry in sorted(accepted.items(), key=lambda item: item[1].path):
            held = holders.get(sha256, [])
            present = [path for path in held if path in there]
            if not present and sha256 in traced.past:
                traced.superseded.append(entry.path)
            elif not held:
                traced.replaced.append(entry.path)
            elif not present:
                traced.missing.append(entry.path)
            elif not any(self._holds(area, path, there[path].size, entry) for path in present):
                traced.wrong.append(f"{present[0]} is not what landed")

    def _holds(self, area: LandingArea, path: str, size: int, entry: LandedFile) -> bool:
        """Whether a file has the content of an entry, as far as is looked."""
        return size == entry.size_bytes and (not self._content or _sum(area, path) == entry.sha256)


def _came_from(releases: Sequence[Release], name: str, content: str | None) -> str:
    """The environment that a state of a table was promoted from; empty where it was not."""
    return next(
        (
            one.promoted.target
            for one in releases
            if one.promoted
            and not one.promoted.rebuilt
            and name in one.tables
            and one.tables[name].content == content
        ),
        "",
    )


def _sum(area: LandingArea, path: str) -> str:
    found = hashlib.sha256()
    with area.open(path) as stream:
        while block := stream.read(1 << 20):
            found.update(block)
    return found.hexdigest()
