"""One dbt invocation: what it reads is pinned, what it writes is staged.

A session exists for every dbt command, also for those that run no hooks (``show``, ``compile``); it has
*begun* when the on-run-start hook ran, and only then anything is landed, staged or published.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import duckdb

from slipway.code.versions import code_of
from slipway.dbt.ingest import is_replaced, show_landing
from slipway.dbt.renames import rename
from slipway.dbt.slices import model_name, requested_slice
from slipway.dbt.volatility import Volatility
from slipway.engines.duckdb.engine import Secret
from slipway.engines.duckdb.request import Increment
from slipway.engines.duckdb.views import Views, keeps_older_files
from slipway.environments.environment import check_vars
from slipway.environments.profiles import Profile
from slipway.errors import NotFoundError
from slipway.iceberg.staged_table import StagedTable
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.records.run_manifest import Code, Node, RunManifest, RunRequest
from slipway.records.store import Records
from slipway.releases.leases import HeldLease
from slipway.runs.batched_models import BatchedModels
from slipway.runs.carried_tests import CarriedTests
from slipway.runs.intake import Intake
from slipway.runs.pinned_tables import LANDING, PinnedTables, Places
from slipway.runs.run_candidate import RunCandidate
from slipway.runs.run_inputs import RunInputs


class Session:
    """The parts of one invocation, which its threads share, each with what it knows.

    Args:
        project: the dbt project's folder.
        profiles_dir: where profiles.yml is.
        target: the dbt target.
        request: what the caller asked for.
        connection: dbt's in-memory database.
        builds: the command lands, stages and publishes.

    Attributes:
        places: where it reads and builds.
        pinned: what was published when it first asked.
        candidate: what it has staged, and the number of its release.
        batched: models that it writes in batches.
        intake: what it takes from the landing area.
        inputs: what its models can read.
        tests: those that need not run.
        views: what is shown in dbt's database.
        nodes: what is known of the nodes it came to, by unique id.
        increments: what queries were given of their inputs, by unique id.
        rebuilt: tables that are built from everything, because their strategy cannot carry what changed.
        previous: the last run whose tables are what is published.
        continues: the run that ``dbt retry`` goes on with.
    """

    def __init__(
        self,
        project: Path,
        profiles_dir: Path,
        target: str,
        request: RunRequest,
        connection: duckdb.DuckDBPyConnection,
        *,
        builds: bool,
    ) -> None:
        self.project, self.request, self.builds = project, request, builds
        profile = Profile(project, profiles_dir)
        self.environment = profile.environment(target)
        check_vars(request.vars)
        self.vars: dict[str, Any] = {**profile.vars, **request.vars}
        self.slice = requested_slice(request.vars, self.vars)
        self.manifest: Any = None
        self.secret = Secret(self.environment, landing=True)
        self.scratch = self._scratch_folder()
        self.begun = False
        self.lease: HeldLease | None = None
        self.code = Code(commit=None, dirty=True)
        self.views = Views(connection)
        self.volatility = Volatility(self.views)
        self.tests = CarriedTests()
        self.lock = lock = threading.RLock()
        self.places = self._places(profile)
        self.records = Records(self.places.outputs.environment)
        run_id = request.run_id
        self.pinned = PinnedTables(
            self.places, self.records, lock, builds=builds, rename=lambda found: rename(self.manifest, found)
        )
        self.candidate = RunCandidate(self.records, run_id, self.pinned, lock)
        self.batched = BatchedModels(self.pinned, self.candidate, lock)
        self.intake = Intake(
            project, run_id, self.pinned, self.views, lambda raw: is_replaced(self.manifest, raw), lock
        )
        self.inputs = RunInputs(
            run_id, self.pinned, self.candidate, self.batched, self.intake, self.views, lock
        )
        self.nodes: dict[str, Node] = {}
        self.increments: defaultdict[str, dict[tuple[str | None, ...], Increment]] = defaultdict(dict)
        self.rebuilt: set[TableName] = set()
        self.previous: RunManifest | None = None
        self.continues: RunManifest | None = None

    @property
    def is_slice(self) -> bool:
        """Whether this run builds a part of the input."""
        return self.slice is not None

    def begin(self) -> None:
        """Start the run: land new files."""
        self.begun = True
        self.code = code_of(self.project)
        self.intake.begin()

    def leave(self) -> None:
        """Let runs go on that wait for this one."""
        if self.lease:
            self.lease.release()

    def pin(self, database: str, identifier: TableName) -> None:
        """Make a relation readable under its dbt name, as this run sees it."""
        if identifier[0] == LANDING:
            show_landing(self.intake, self.manifest, database, identifier)
        elif (
            not self.inputs.show(database, identifier)
            and self.begun
            and self.inputs.is_outside_slice(identifier)
        ):
            raise NotFoundError(
                f"{identifier} is not in this slice",
                "the model that makes it is not selected",
                f"Select it and what it needs, too: --select … +{model_name(self.manifest, identifier)}",
            )

    def stage(self, staged: StagedTable) -> None:
        """Take a table into the candidate, and show it to what reads it from now on."""
        staged = self.candidate.stage(staged)
        if keeps_older_files(staged, self.request.run_id):
            self.views.scan(staged.table)
        self.views.table(self.environment.name, staged.identifier, staged.table.metadata_location)

    def _places(self, profile: Profile) -> Places:
        inputs = outputs = Tables(self.environment, self.secret.renew)
        if self.scratch:
            outputs = Tables(self.environment.scratch(self.scratch), self.secret.renew)
        return Places(profile, inputs, outputs, self.is_slice, self.request.pins)

    def _scratch_folder(self) -> Path | None:
        if self.request.scratch:
            return Path(self.request.scratch)
        return self.environment.home / "scratch" / self.request.run_id if self.is_slice else None
