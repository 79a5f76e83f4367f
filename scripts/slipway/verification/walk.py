"""The walk from what readers see back to landed files and commit: what is signed is compared with what is there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import duckdb
from pyiceberg.table import Table

from slipway.engines.duckdb import engine
from slipway.errors import DamagedError, NotFoundError
from slipway.iceberg.snapshots import current_content
from slipway.names import TableName
from slipway.records.release_records import Release
from slipway.releases.cut import Cut
from slipway.releases.lookup import environment_of
from slipway.releases.published import Published
from slipway.releases.table_state import read_state
from slipway.runs.origin import LANDING
from slipway.signing.signing_keys import Trust, trust_of
from slipway.verification.links import Findings, Kind, State, Verification
from slipway.verification.signed_releases import SignedReleases
from slipway.verification.signed_runs import SignedRuns
from slipway.verification.signed_tables import SignedTables
from slipway.verification.traced_files import TracedFiles

_NUMBER = re.compile(r"(?:release-)?(\d+)")


def verify(
    project_dir: Path | None, target: str | None, what: str | None = None, *, content: bool = False
) -> Verification:
    """Verify a release, or one table as the last release shows it, and everything that it comes from.

    Args:
        project_dir: folder of dbt_project.yml, None to look for it.
        target: the environment.
        what: a release (``7`` or ``release-7``), or a table as ``layer.table`` or only its name; the last release when None.
        content: read data files, rows and landed files, and compare them with their checksums and digests.

    Raises:
        NotFoundError: nothing was published yet, or there is no such release or table.
        ConfigError: the file of the keys cannot be understood.
        UnavailableError: the catalog or the store cannot be read.
    """
    environment = environment_of(project_dir, target)
    walk = Walk(Published(environment), trust_of(environment), content=content)
    release, tables = walk.resolve(what)
    walk.walk(release, tables)
    order = list(Kind)
    links = sorted(walk.findings.links, key=lambda link: order.index(link.kind))
    return Verification(environment.name, release.number, tables, content, links)


class Walk:
    """One walk: what was looked at already, and what was found.

    Args:
        published: the environment.
        trust: whose signatures count.
        content: whether files and rows are read.

    Attributes:
        findings: what was found.
    """

    def __init__(self, published: Published, trust: Trust, *, content: bool) -> None:
        environment, records = published.environment, published.records
        self.findings = Findings()
        self._published, self._records = published, records
        self._signed = SignedReleases(records, trust, self.findings)
        self._runs = SignedRuns(records, environment.project, self._signed, self.findings)
        self._tables = SignedTables(
            environment, records, self._signed, self.findings, content=content, connect=self._connect
        )
        self._landed = TracedFiles(
            published, self._signed.releases, self.findings, content=content, connect=self._connect
        )

    def _connect(self) -> duckdb.DuckDBPyConnection:
        return self._connection

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        environment = self._published.environment
        return engine.connect(environment, environment.home)

    def resolve(self, what: str | None) -> tuple[Release, list[str]]:
        """The release and the tables that are meant.

        Raises:
            NotFoundError: there is no such release or table.
        """
        releases, name = self._signed.releases, self._published.environment.name
        if not releases:
            self._records.releases()  # raises what is wrong with the only one
            raise NotFoundError(
                f"Nothing is published in {name} yet", "there is no release", "Publish one with slipway run"
            )
        if what is None:
            return releases[-1], sorted(releases[-1].tables)
        if number := _NUMBER.fullmatch(what):
            self._published.release(int(number[1]))  # raises where there is none
            found = next(one for one in releases if one.number == int(number[1]))
            return found, sorted(found.tables)
        last = releases[-1]
        given = what.removeprefix(f"{name}.") if what.count(".") > 1 else what
        same = [table for table in last.tables if given in (table, TableName.parse(table).name)]
        if given in last.tables or len(same) == 1:
            return last, [given if given in last.tables else same[0]]
        raise NotFoundError(
            f"Release {last.number} of {name} has no table {what}",
            f"{', '.join(same)} have this name" if same else "",
            Cut(
                "", {table: self._published.release(last.number).tables[table] for table in last.tables}
            ).hint(what),
        )

    def walk(self, release: Release, tables: Sequence[str]) -> None:
        """Follow the chain from some tables of a release."""
        self._signed.bundle(release)
        self._signed.evidence(release)
        if release is self._signed.releases[-1]:
            for name in tables:
                self._catalog(release, name)
        if not tables:
            self.findings.add(Kind.TABLE, f"release {release.number}", State.MISSING, "it shows no table")
        for name in tables:
            self._table(release, name)
        self._landed.verify()

    def _catalog(self, release: Release, name: str) -> None:
        """Whether the catalog shows what the last release published."""
        here, said = self._now(name), release.tables[name]
        if here is None:
            self.findings.add(Kind.CATALOG, name, State.BROKEN, "the catalog does not name it")
        elif here == said.metadata_location:
            self.findings.add(Kind.CATALOG, name, State.VERIFIED)
        else:
            try:
                content = current_content(self._load(name, here))
            except DamagedError as error:
                self.findings.add(Kind.CATALOG, name, State.BROKEN, error.why)
                return
            if content == said.content:
                self.findings.add(Kind.CATALOG, name, State.VERIFIED, "the same rows, after maintenance")
            else:
                why = f"the catalog shows other rows than release {release.number}: another program committed to it"
                self.findings.add(Kind.CATALOG, name, State.BROKEN, why)

    def _now(self, name: str) -> str | None:
        return self._published.locations.get(TableName.parse(name))

    def _load(self, name: str, location: str) -> Table:
        return self._published.tables.load(TableName.parse(name), location)

    def _table(self, release: Release, name: str) -> None:
        """A table in the state of a release, the run that made it, and what it was made from."""
        said = release.tables[name]
        if not self.findings.is_new(name, str(said.content)):
            return
        try:
            table = self._load(name, self._location(release, name))
        except DamagedError as error:
            state = State.MISSING if isinstance(error.__cause__, FileNotFoundError) else State.BROKEN
            self.findings.add(Kind.TABLE, name, state, error.why)
            return
        if (listed := self._tables.listed(release, name)) is not None:
            self._tables.compare(table, name, said, *listed)
        if said.run_id is None:
            self.findings.add(Kind.RUN, name, State.MISSING, "another program wrote it")
        else:
            self._runs.verify(said.run_id)
        self._inputs(release, name, table)

    def _location(self, release: Release, name: str) -> str:
        """The metadata file: what readers see if that shows the rows of the release, else that of the release."""
        said = release.tables[name]
        here = self._now(name) if release is self._signed.releases[-1] else None
        with suppress(DamagedError):
            if here and current_content(self._load(name, here)) == said.content:
                return here
        return said.metadata_location

    def _inputs(self, release: Release, name: str, table: Table) -> None:
        """What a table was made from, each in the release that showed it in that state."""
        state, run_id = read_state(table), release.tables[name].run_id or ""
        run_commit = self._runs.commit(run_id)
        made_by = {None if one.dirty else one.commit for one in state.made_by}
        if (state.definition.run_id or "") <= run_id:  # else a later run has made the same rows anew
            made_by.add(run_commit)
        inputs = state.inputs
        feeds = [one.removeprefix(LANDING) for one in inputs if one.startswith(LANDING)]
        if feeds:
            self._landed.holds(name, table, feeds, run_commit)
        for other, version in sorted(inputs.items()):
            if other.startswith(LANDING):
                continue
            self._landed.read_by(other, version, made_by)
            shows = self._release_with(release, other, version)
            if shows is None:
                why = f"{name} was made from version {version} of it, which no release shows"
                self.findings.add(Kind.INPUT, other, State.MISSING, why)
            else:
                self._table(shows, other)

    def _release_with(self, release: Release, name: str, version: str) -> Release | None:
        """The release that shows a table in a state: the one under way if it does, else the last that did."""
        candidates = [release, *reversed(self._signed.releases)]
        return next(
            (one for one in candidates if name in one.tables and one.tables[name].content == version), None
        )
