"""One dbt invocation: what it reads is pinned, what it writes is staged.

A session exists for every dbt command, also for those that run no hooks (``show``, ``compile``); it has
*begun* when the on-run-start hook ran, and only then anything is landed, staged or published.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
from pyiceberg.table import Table

from slipway.code.versions import code_of
from slipway.dbt.ingest import Intake, show_landing
from slipway.dbt.microbatch import BatchedModel, Unstaged
from slipway.dbt.renames import rename, retire_old_name
from slipway.dbt.slices import model_name, requested_slice
from slipway.dbt.views import Views, keeps_older_files
from slipway.dbt.volatility import Volatility
from slipway.engines.duckdb.engine import Secret
from slipway.engines.duckdb.request import Increment
from slipway.engines.duckdb.target import check_readable
from slipway.environments.environment import Environment, check_vars
from slipway.environments.profiles import Profile
from slipway.errors import NotFoundError, SlipwayError
from slipway.iceberg.tables import StagedTable, Tables
from slipway.landing.feeds import read_feeds
from slipway.landing.land import Landing
from slipway.names import TableName
from slipway.records.run_manifest import Code, LandedFile, Node, RunManifest, RunRequest
from slipway.records.store import Records
from slipway.releases.candidates import check_case, record_of
from slipway.releases.leases import HeldLease
from slipway.releases.publication import heal
from slipway.releases.published import check_catalog, check_file, visible_tables

LANDING = "landing"
INPUT_LAYERS = frozenset({"raw", "ops", LANDING})
"""Layers that a slice reads whole from the environment; everything after them is built from the slice."""


class Session:
    """State shared by the threads of one invocation.

    Args:
        project: the dbt project's folder.
        profiles_dir: where profiles.yml is.
        target: the dbt target.
        request: what the caller asked for.
        connection: dbt's in-memory database.
    """

    def __init__(
        self,
        project: Path,
        profiles_dir: Path,
        target: str,
        request: RunRequest,
        connection: duckdb.DuckDBPyConnection,
    ) -> None:
        self.project, self.request = project, request
        self._profile = Profile(project, profiles_dir)
        self.environment = self._profile.environment(target)
        check_vars(request.vars)
        self.vars: dict[str, Any] = {**self._profile.vars, **request.vars}
        self.slice = requested_slice(request.vars, self.vars)
        self.manifest: Any = None
        self.secret = Secret(self.environment, landing=True)
        self.inputs = Tables(self.environment, self.secret.renew)
        self.scratch = self._scratch_folder()
        mine = self.environment.scratch(self.scratch) if self.scratch else None
        self.outputs = Tables(mine, self.secret.renew) if mine else self.inputs
        self.begun = self.builds = False
        self.lease: HeldLease | None = None
        self._healed: list[str] | None = None
        self.code = Code(commit=None, dirty=True)
        self.lock = threading.RLock()
        self.staged: dict[TableName, StagedTable] = {}
        self.renamed: dict[TableName, TableName] = {}
        self.retired: dict[TableName, StagedTable] = {}
        self.batched: dict[TableName, BatchedModel] = {}
        self.unstaged = Unstaged(self.lock)
        self._stagings: Counter[TableName] = Counter()
        self.nodes: dict[str, Node] = {}
        self.read: dict[str, Table] = {}
        self.increments: defaultdict[str, dict[tuple[str | None, ...], Increment]] = defaultdict(dict)
        self.rebuilt: set[TableName] = set()
        self.landed: list[LandedFile] = []
        self.intake = Intake(self)
        self.previous: RunManifest | None = None
        self.continues: RunManifest | None = None
        self.carried_tests: dict[str, str] = {}
        self.carried: set[str] = set()
        self.test_keys: dict[str, str] = {}
        self._others: dict[str, Tables] = {target: self.inputs}
        self._locations: dict[int, dict[TableName, str] | SlipwayError] = {}
        self.views = Views(connection)
        self.volatility = Volatility(self.views)

    @property
    def is_slice(self) -> bool:
        """Whether this run builds a part of the input."""
        return self.slice is not None

    @property
    def target_environment(self) -> Environment:
        """Where this run's tables are published."""
        return self.outputs.environment

    @cached_property
    def records(self) -> Records:
        """Where this run's records go."""
        return Records(self.outputs.environment)

    @cached_property
    def landing(self) -> Landing:
        """The landing area of the environment; a slice of nothing published yet keeps a ledger of its own."""
        return Landing(self.outputs if self._is_first else self.inputs, read_feeds(self.project))

    @cached_property
    def release(self) -> int:
        """The number this run has when it is published, reserved on first use."""
        return self.records.reserve()

    @property
    def release_tag(self) -> str:
        """The Iceberg tag of this release."""
        with self.lock:
            return f"release-{self.release}"

    def begin(self) -> None:
        """Start the run: land new files, unless the inputs are given or those of a slice are published."""
        self.begun = True
        self.code = code_of(self.project)
        if self.request.pins is None and (self._is_first or not self.is_slice):
            self.landed = self.intake.begin()

    def tables_of(self, database: str) -> Tables:
        """The tables of the environment that a relation's database names."""
        with self.lock:
            if database not in self._others:
                self._others[database] = Tables(self._profile.environment(database))
            return self._others[database]

    def is_environment(self, database: str) -> bool:
        """Whether a database is a target of the profile."""
        return database in self._profile.targets

    def current(self, database: str, identifier: TableName) -> Table | None:
        """A table as this run sees it: its candidate, or what was published when the run began."""
        if database == self.environment.name:
            self.unstaged.stage(identifier)
            if identifier in self.staged:
                return self.staged[identifier].table
            if self.scratch and (found := self.published(self.outputs, identifier)):
                return found
            if pin := (self.request.pins or {}).get(str(identifier)):
                return self.inputs.load(identifier, pin)
            if not self._may_read_whole(identifier):
                return None
        return self.published(self.tables_of(database), identifier)

    def base(self, identifier: TableName) -> Table | None:
        """The table that a model of this run builds on."""
        return self.published(self.outputs, identifier)

    def published(self, tables: Tables, identifier: TableName) -> Table | None:
        """A table as the catalog named it at first use."""
        location = self.locations(tables).get(identifier)
        return tables.load(identifier, location) if location else None

    def whole_input(self, identifier: TableName, *, history: bool = False) -> Table | None:
        """An input that a scratch run takes as it is, instead of building it; None for everything else.

        Args:
            identifier: the table.
            history: it is a snapshot of dbt's, whose history no input holds; taken as it is where it is pinned.
        """
        if not self.scratch or (identifier[0] not in INPUT_LAYERS and not history):
            return None
        if pin := (self.request.pins or {}).get(str(identifier)):
            return self.inputs.load(identifier, pin)
        return self.published(self.inputs, identifier) if self.is_slice and not history else None

    def locations(self, tables: Tables) -> dict[TableName, str]:
        """What the catalog named when it was first asked: one query is the pin of the whole run."""
        with self.lock:
            if (found := self._locations.get(id(tables))) is None:
                found = self._locations[id(tables)] = self._look(tables)
            if isinstance(found, SlipwayError):
                raise found  # at once: a silent store takes a minute, and dbt asks for each schema
            return found

    def _look(self, tables: Tables) -> dict[TableName, str] | SlipwayError:
        try:
            if tables is self.outputs:
                self.heal()
            records = Records(tables.environment)
            check_file(records)
            found = visible_tables(tables, records).locations
            check_catalog(tables, records, found)
            if tables is self.outputs and self.builds:
                self.renamed = rename(self.manifest, found)
        except SlipwayError as error:
            return error
        return found

    def look_again(self) -> bool:
        """Pin anew what the catalogs name now, healed; whether the run's own environment changed since the first look."""
        with self.lock:
            before, self._locations, self._healed = self._locations, {}, None
            return before.get(id(self.outputs)) != self.locations(self.outputs)

    def leave(self) -> None:
        """Let runs go on that wait for this one."""
        if self.lease:
            self.lease.release()

    def heal(self) -> list[str]:
        """Finish or undo what dead processes began to publish, before this run looks at the catalog; returns lines about it."""
        with self.lock:
            if self._healed is None:
                self._healed = heal(self.outputs, self.records) if self.builds and not self.scratch else []
            return self._healed

    def names(self, database: str, namespace: str) -> list[str]:
        """Tables that a model of this run can read in a schema, for dbt's relation cache."""
        if database != self.environment.name:
            return sorted(
                name for space, name in self.locations(self.tables_of(database)) if space == namespace
            )
        found = {*self.staged, *self.batched, *self.locations(self.outputs)}
        if self.scratch:
            # of the others this run makes its own from nothing: dbt must not take them for something to add to
            found |= {one for one in self.locations(self.inputs) if one[0] in INPUT_LAYERS}
        return sorted(name for space, name in found if space == namespace)

    def pin(self, database: str, identifier: TableName) -> None:
        """Make a relation readable under its dbt name, as this run sees it."""
        if identifier[0] == LANDING:
            show_landing(self, database, identifier)
            return
        table = self.current(database, identifier)
        sliced = self.begun and self.is_slice and identifier not in self.staged
        if table is not None:
            check_readable(table)
            if identifier not in self.staged:
                self.views.scan(table)
            self.views.table(database, identifier, table.metadata_location)
            with self.lock:
                self.read.setdefault(f"{database}.{identifier}", table)
        elif sliced and self.published(self.inputs, identifier):
            raise NotFoundError(
                f"{identifier} is not in this slice",
                "the model that makes it is not selected",
                f"Select it and what it needs, too: --select … +{model_name(self.manifest, identifier)}",
            )

    def stage(self, staged: StagedTable) -> None:
        """Take a table into the candidate, if ``check_case`` lets it, and write it down, each time anew."""
        with self.lock:
            check_case(staged.identifier, {*self.staged, *self.locations(self.outputs)}, self.renamed)
            if old := self.renamed.get(staged.identifier):
                staged = replace(staged, base=None, registers=True)
                retire_old_name(self, old)
            self.staged[staged.identifier] = staged
            self._stagings[staged.identifier] += 1
            count = self._stagings[staged.identifier]
        self.records.write(
            self.request.run_id,
            f"candidate/{staged.identifier}.json{f'.{count:06d}' if count > 1 else ''}",
            record_of(staged, self.release),
        )
        if keeps_older_files(staged, self.request.run_id):
            self.views.scan(staged.table)
        self.views.table(self.environment.name, staged.identifier, staged.table.metadata_location)

    def _may_read_whole(self, identifier: TableName) -> bool:
        return not (self.scratch and self.is_slice) or identifier[0] in INPUT_LAYERS

    @cached_property
    def _is_first(self) -> bool:
        """Whether a slice is asked for before there is a raw table to cut it from."""
        if not self.is_slice or self.request.pins is not None:
            return False
        published = self.locations(self.inputs)
        return any(("raw", feed.name) not in published for feed in read_feeds(self.project))

    def _scratch_folder(self) -> Path | None:
        if self.request.scratch:
            return Path(self.request.scratch)
        return self.environment.home / "scratch" / self.request.run_id if self.is_slice else None
