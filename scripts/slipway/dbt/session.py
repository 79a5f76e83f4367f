"""One dbt invocation: what it reads is pinned, what it writes is staged.

A session exists for every dbt command, also for those that run no hooks (``show``, ``compile``); it has
*begun* when the on-run-start hook ran, and only then anything is landed, staged or published.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import duckdb
from dbt.events.types import JinjaLogInfo
from dbt_common.events.functions import fire_event

from slipway.alerts.routes import read_routes
from slipway.code.versions import code_of, versions_of
from slipway.counts import plural
from slipway.dbt import hooks
from slipway.dbt.build import Builder
from slipway.dbt.command import Invocation, builds, flag, is_retry
from slipway.dbt.conclude import conclude
from slipway.dbt.configuration import check_configuration, check_functions, check_names
from slipway.dbt.data_tests import DataTests
from slipway.dbt.describe import Descriptions
from slipway.dbt.dropped import check_dropped
from slipway.dbt.engine_choice import EngineChoices
from slipway.dbt.ingest import feeds_written, is_replaced, show_landing
from slipway.dbt.inputs import ModelIncrements
from slipway.dbt.keys.node_key import engine
from slipway.dbt.known_unchanged import KnownUnchanged
from slipway.dbt.model_writers import ModelWriters, check_spark
from slipway.dbt.monitored import Monitoring, profile_days
from slipway.dbt.nodes import DbtManifest
from slipway.dbt.promised import check_contracts, left_out
from slipway.dbt.query_checks import QueryChecks
from slipway.dbt.readers import deprecated_models
from slipway.dbt.renames import rename
from slipway.dbt.slices import check_sample
from slipway.dbt.volatility import Volatility
from slipway.engines.duckdb.engine import Secret
from slipway.engines.duckdb.scan import Views
from slipway.engines.spark.spark_of_run import SparkOfRun
from slipway.environments.environment import check_vars, requested_slice
from slipway.environments.profiles import Profile
from slipway.environments.sample_shares import requested_sample
from slipway.errors import ConfigError, NotFoundError
from slipway.iceberg.tables import Tables
from slipway.landing.feeds import read_feeds
from slipway.names import TableName
from slipway.records.run_manifest import Code, RunManifest
from slipway.records.store import Records
from slipway.releases.holds import Holds
from slipway.releases.leases import HeldLease
from slipway.releases.publication import check_store
from slipway.runs.earlier_results import EarlierResults
from slipway.runs.intake import Intake
from slipway.runs.pinned_tables import LANDING, PinnedTables, Places
from slipway.runs.run_candidate import BatchedModels, RunCandidate
from slipway.runs.run_inputs import RunInputs
from slipway.runs.run_request import RunRequest
from slipway.runs.run_results import CarriedTests, RunNodes
from slipway.secrets import one_line


class Session:
    """The parts of one invocation, which its threads share, each with what it knows; and its begin and end.

    Only the plugin, and who started dbt, hold a session: its parts are given to whoever needs them.

    Args:
        project: the dbt project's folder.
        profiles_dir: where profiles.yml is.
        target: the dbt target.
        request: what the caller asked for.
        connection: dbt's in-memory database.
        manifest: dbt's, None while the project is not parsed.

    Attributes:
        request: what the caller asked for.
        manifest: dbt's, as of the last time that a hook ran.
        environment: the target's.
        variables: dbt's vars as the run has them.
        scratch: the folder that it builds in, None for the environment's own tables.
        records: where its records go.
        pinned: what was published when it first asked.
        candidate: what it has staged, and the number of its release.
        intake: what it takes from the landing area.
        inputs: what its models can read.
        increments: what models are given of their inputs instead of all of it.
        views: through which models read.
        volatility: looks at queries.
        checks: refuses queries.
        spark: computes the models that are configured so.
        builder: decides and writes nodes.
        carry_over: decides which tests need not run.
        monitoring: judges monitors.
        tests: what is known of its tests so far.
        known: finds nodes that dbt need not compile, None before the run has begun.
        begun: the on-run-start hook ran.
        code: as the run began.
    """

    def __init__(
        self,
        project: Path,
        profiles_dir: Path,
        target: str,
        request: RunRequest,
        connection: duckdb.DuckDBPyConnection,
        manifest: DbtManifest | None,
    ) -> None:
        self.request, self.manifest = request, manifest
        profile = Profile(project, profiles_dir)
        environment = profile.environment(target)
        # whoever names the inputs compares code, and builds nothing for readers
        if request.pins is not None:
            environment = environment.read_only()
        if request.isolated:
            environment = environment.scratch(Path(str(request.scratch)))
        self.environment = environment
        check_vars(request.vars)
        self._project = project
        self.variables: dict[str, Any] = {**profile.vars, **request.vars}
        asked_slice = requested_slice(request.vars, self.variables)
        requested_sample(self.variables)  # refuses one that cannot be understood
        self.secret = Secret(environment, landing=True)
        self.scratch = Path(request.scratch) if request.scratch else None
        if asked_slice is not None:
            self.scratch = self.scratch or environment.home / "scratch" / request.run_id
        inputs = outputs = Tables(environment, self.secret.renew)
        if self.scratch and not request.isolated:
            outputs = Tables(environment.scratch(self.scratch), self.secret.renew)
        places = Places(profile, inputs, outputs, asked_slice is not None, request.pins)
        self.records = Records(outputs.environment)
        self.views = views = Views(connection, self._current)
        lock, run_id = threading.RLock(), request.run_id
        self.pinned = pinned = PinnedTables(
            places, self.records, lock, builds=builds(), rename=lambda found: rename(self.manifest, found)
        )
        self.candidate = RunCandidate(self.records, run_id, pinned, views, lock)
        self._batched = BatchedModels(pinned, self.candidate, lock)
        self.intake = Intake(
            project, run_id, pinned, views, lambda raw: is_replaced(self.manifest, raw), lock
        )
        self.inputs = RunInputs(run_id, pinned, self.candidate, self._batched, self.intake, views, lock)
        self.increments = ModelIncrements(self.inputs, pinned)
        self.volatility = Volatility(views)
        self.checks = QueryChecks(self.inputs, views, self.volatility)
        self._earlier = EarlierResults()
        self._nodes, self.tests = RunNodes(), CarriedTests(self._earlier)
        self.spark = SparkOfRun(outputs, run_id, pinned.own_locations, environment)
        self.engines = EngineChoices(
            request.engines,
            self.variables,
            inputs=self.inputs,
            pinned=pinned,
            force=request.force or bool(flag("FULL_REFRESH")),
            lock=lock,
        )
        self.writers = ModelWriters(self.inputs, views, self.spark, self.engines)
        self.builder = Builder(
            run_id,
            self.variables,
            pinned=pinned,
            candidate=self.candidate,
            batched=self._batched,
            intake=self.intake,
            inputs=self.inputs,
            views=views,
            volatility=self.volatility,
            checks=self.checks,
            nodes=self._nodes,
            increments=self.increments,
            descriptions=Descriptions(project),
            engines=self.engines,
            writers=self.writers,
            lock=lock,
        )
        self.carry_over = hooks.CarryOver(self.variables, self.inputs, self.volatility, self.tests)
        self.data_tests = DataTests(
            self.engines,
            self.writers,
            self.spark,
            self.tests,
            places=pinned.places,
            feeds=lambda: self.intake.landing.feeds,
        )
        self.monitoring = Monitoring(project, run_id, self.inputs, pinned, self.volatility, self.tests)
        self.begun = False
        self.code = Code(commit=None, dirty=True)
        self._lease: HeldLease | None = None
        self.known: KnownUnchanged | None = None  # before the run has begun
        self._continues: RunManifest | None = None  # the run that dbt retry goes on with

    def check_project(self) -> None:
        """Refuse ``dbt clone``; and a project with names that cannot be used, functions, or copies of Slipway's macros, if this command builds.

        Raises:
            ConfigError: it is one of these.
        """
        if flag("WHICH") == "clone":
            raise ConfigError(
                f"dbt clone cannot make tables of {self.environment.name}",
                "a table gets there by a run that is published whole, and dbt clone is none",
                "Use slipway ci, which clones the tables of a release by their metadata, or slipway promote for another environment",
            )
        if builds() and self.manifest:
            hooks.check_copies(self.manifest)
            check_functions(self.manifest)
            check_names(self.manifest, self.environment)
            check_dropped(self.manifest, self._project)

    def begin(self) -> list[str]:
        """Start the run: wait for others, land new files, continue a failed run on ``dbt retry``.

        Returns:
            Lines for the person who watches.
        """
        from dbt import selected_resources

        manifest, pinned, holds = self.manifest, self.pinned, Holds(self.records)
        assert manifest is not None  # dbt's hooks run when the project is parsed
        check_functions(manifest)
        check_names(manifest, self.environment)
        check_dropped(manifest, self._project)
        check_configuration(manifest, selected_resources.SELECTED_RESOURCES)
        check_sample(manifest, self.variables)
        check_contracts(self._project, manifest)
        check_spark(
            manifest,
            selected_resources.SELECTED_RESOURCES,
            pinned.places,
            {feed.name: feed for feed in read_feeds(self._project)},
            self.engines,
        )
        profile_days(self.variables)
        if not self.scratch:
            read_routes(self._project)  # with a mistake in it, nobody would hear of a failure
            holds.refuse(f"A run in {self.environment.name}")
        engine()  # before threads ask for it all at once
        lines = list(pinned.heal())
        if not self.scratch:
            self.records.last_release()  # what is built could not be published next to a damaged record
            self._lease = hooks.take_turn(
                manifest, self.request, self.environment, self.records, everything=is_retry()
            )
        if self._lease and pinned.look_again():  # others published while it waited
            hooks.forget_relations()
            holds.refuse(f"A run in {self.environment.name}")
        lines += [line for line in pinned.heal() if line not in lines]
        if warning := check_store(pinned.places.outputs, self.records):
            lines.append(warning)
        self.begun, self.code = True, code_of(self._project)
        self.intake.begin(feeds_written(self.intake.landing, manifest, selected_resources.SELECTED_RESOURCES))
        lines += hooks.landing_lines(self.intake)
        lines += left_out(self._project, manifest)
        lines += [said for _, said in deprecated_models(manifest, self.request.started_at)]
        if is_retry():
            lines.append(self._continue(hooks.failed_run(self._project, self.records)))
        damaged = hooks.read_earlier_runs(self.records, self._earlier)
        self.known = KnownUnchanged(
            self.manifest,
            self.request,
            self._earlier,
            versions_of(self._project),
            pinned=pinned,
            inputs=self.inputs,
            volatility=self.volatility,
            builder=self.builder,
            carry_over=self.carry_over,
        )
        return [
            one_line(line) for line in [*lines, *damaged]
        ]  # they name files, and dbt prints them as they are

    def _continue(self, run_id: str) -> str:
        """Go on with a run that failed; returns a line about it."""
        hooks.resume(run_id, self.records, self.pinned, self.candidate)
        self._continues = failed = self.records.manifest(run_id)
        if failed and (failed.code.dirty or failed.code.commit != self.code.commit):
            # no commit holds the code of all tables
            self.code = self.code.model_copy(update={"dirty": True})
        return f"continues run {run_id}: {plural(len(self.candidate.staged), 'table')} of it built"

    def conclude(self, done: Invocation) -> RunManifest:
        """Describe in records what dbt did, and end the run; raises what ``end_run`` raises."""
        self.spark.close()  # nothing is computed any more
        days = profile_days(self.variables)
        manifest = conclude(
            done,
            request=self.request,
            project=self._project,
            variables=self.variables,
            scratch=self.scratch,
            code=self.code,
            previous=self._earlier.newest,
            continues=self._continues,
            pinned=self.pinned,
            candidate=self.candidate,
            batched=self._batched,
            intake=self.intake,
            inputs=self.inputs,
            views=self.views,
            volatility=self.volatility,
            nodes=self._nodes,
            tests=self.tests,
            records=self.records,
        )
        if line := self.monitoring.keep(manifest.outcome, days):
            fire_event(JinjaLogInfo(msg=one_line(line)))
        return manifest

    def leave(self) -> None:
        """Let runs go on that wait for this one, and leave nothing behind that this one has started."""
        self.spark.close()
        if self._lease:
            self._lease.release()

    def _current(self, table: TableName, scan: str) -> str:
        """Which rows of a table models see, where that is not all of them."""
        return self.intake.current(table, scan)

    def pin(self, database: str, identifier: TableName) -> None:
        """Make a relation readable under its dbt name, as this run sees it.

        Raises:
            NotFoundError: it is not in the slice that this run builds.
        """
        if identifier[0] == LANDING:
            show_landing(self.intake, self.manifest, database, identifier)
        elif (
            not self.inputs.show(database, identifier)
            and self.begun
            and self.inputs.is_outside_slice(identifier)
        ):
            nodes = self.manifest.nodes.values() if self.manifest else ()
            made_by = (str(node.name) for node in nodes if (node.schema, node.alias) == identifier)
            raise NotFoundError(
                f"{identifier} is not in this slice",
                "the model that makes it is not selected",
                f"Select it and what it needs, too: --select … +{next(made_by, identifier.name)}",
            )
